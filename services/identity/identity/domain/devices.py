"""Devices: what signs a person's money calls."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType, Self
from uuid import UUID

from common.errors import Conflict, Forbidden, Invalid, NotFound

from identity.domain.people import UserId

DeviceId = NewType("DeviceId", UUID)

MOST_DEVICES: Final = 10
"""Live ones of one person."""
NAME_MAX_CHARACTERS: Final = 60


class InvalidDeviceName(Invalid):
    slug = "invalid-device-name"
    title = "Not a valid name for a device"


class TooManyDevices(Conflict):
    slug = "too-many-devices"
    title = "Too many devices"


class NoSuchDevice(NotFound):
    slug = "no-such-device"
    title = "There is no such device"


class DeviceNotYours(Forbidden):
    """The key that signed is no device of the person whose session this is."""

    slug = "device-not-yours"
    title = "Signed by a device of somebody else"


class DeviceRevoked(Forbidden):
    slug = "device-revoked"
    title = "The device has been revoked"


@dataclass(frozen=True, slots=True)
class DeviceName:
    """What its owner calls it, single-spaced and printable."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidDeviceName."""
        value = " ".join(text.split())
        if not 1 <= len(value) <= NAME_MAX_CHARACTERS or not value.isprintable():
            raise InvalidDeviceName(f"Use 1 to {NAME_MAX_CHARACTERS} printable characters.", field="name")
        return cls(value)


@dataclass(frozen=True, slots=True)
class Device:
    """A device of one person. Revoked ones are remembered."""

    id: DeviceId
    user: UserId
    name: DeviceName
    enrolled_at: datetime
    revoked_at: datetime | None = None


def check_another_device(live: int) -> None:
    """Whether somebody with so many live devices may enrol one more. Raises TooManyDevices."""
    if live >= MOST_DEVICES:
        raise TooManyDevices(f"At most {MOST_DEVICES} devices; revoke one first.")


def check_signer(device: Device | None, user: UserId) -> Device:
    """The device, if it may sign for that person. Raises DeviceNotYours, also when there is none; DeviceRevoked."""
    if device is None or device.user != user:
        raise DeviceNotYours("Sign with a device that you have enrolled.", field="Signature-Input")
    if device.revoked_at is not None:
        raise DeviceRevoked("Enrol the device again.", field="Signature-Input")
    return device
