"""Devices: enrolling, listing, revoking; and what the gateway verifies signatures with."""

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.http import IDEMPOTENCY_KEY, Body, Role, Route, View, read, read_query, reply
from common.http.cursors import write_cursor
from common.idempotency import Answer, fingerprint
from pydantic import Field

from identity.api.parts import (
    ACCESS,
    DEVICES,
    NO_STORE,
    PageQuery,
    Secret,
    ShortText,
    caller,
    id_in_path,
    place_by_time,
)
from identity.domain.devices import (
    Device,
    DeviceId,
    DeviceName,
    DeviceNotYours,
    DeviceRevoked,
    InvalidDeviceName,
    NoSuchDevice,
    TooManyDevices,
)
from identity.domain.people import AccountClosed, SessionEnded
from identity.sessions import SessionsUnavailable
from identity.store.devices import DevicePlace

DEVICES_ORDER = "devices"


class EnrolRequest(Body):
    name: Annotated[ShortText, Field(examples=["Teléfono de Wanda"])]


class DeviceKeyRequest(Body):
    """`device` is what a request's signature names as its key; anybody can write anything there."""

    session: Secret
    device: ShortText


class DeviceView(View):
    id: UUID
    name: str
    enrolled_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, device: Device) -> "DeviceView":
        return cls(
            id=device.id,
            name=device.name.value,
            enrolled_at=device.enrolled_at,
            revoked_at=device.revoked_at,
        )


class EnrolledDeviceView(DeviceView):
    """A new device with its key, told this once: HMAC-SHA256 over RFC 9421's signature base, `keyid` is `id`."""

    key: Annotated[str, Field(description="32 bytes in base64.")]


class DevicesView(View):
    """A page of devices. `next` goes into `after`; null: there are no more."""

    items: tuple[DeviceView, ...]
    next: str | None


class DeviceKeyView(View):
    """What a device signs with, for the gateway to verify."""

    device: UUID
    key: str


async def enrol_device(request: web.Request) -> web.Response:
    """Enrol a device that signs money calls.

    Offers, withdrawals and changes of limits are refused unless a device of the person has signed them
    (RFC 9421, HMAC-SHA256). The key is told this once.
    """
    wanted = await read(request, EnrolRequest)
    devices = request.app[DEVICES]
    answer = await devices.enrol(
        caller(request),
        DeviceName.parse(wanted.name),
        key=request[IDEMPOTENCY_KEY],
        fingerprint=fingerprint("POST /v1/devices", wanted),
        show=_enrolled,
    )
    if answer.status != web.HTTPCreated.status_code or answer.resource is None:
        return reply(answer)
    key = b64encode(devices.secret_of(UUID(answer.resource))).decode()
    # The stored answer lacks the key: it is derived, and lies in no database.
    whole = json.dumps({**json.loads(answer.body), "key": key})
    return reply(Answer(answer.status, whole, answer.resource, answer.replayed), headers=NO_STORE)


async def devices(request: web.Request) -> web.Response:
    """One's devices, revoked ones too, newest first."""
    page = read_query(request, PageQuery)
    found = await request.app[DEVICES].devices(caller(request), _place(page.after), limit=page.limit)
    view = DevicesView(
        items=tuple(DeviceView.of(each) for each in found), next=after_devices(found, limit=page.limit)
    )
    return reply(view)


async def revoke_device(request: web.Request) -> web.Response:
    """Revoke one of one's devices: its signatures are worth nothing any more."""
    device_id = id_in_path(request, "device_id")
    if device_id is None:
        raise NoSuchDevice("You have no such device.")
    await request.app[DEVICES].revoke(caller(request), DeviceId(device_id))
    return reply(None)


async def device_key(request: web.Request) -> web.Response:
    """The key a session's device signs with. Internal: the gateway alone calls it."""
    wanted = await read(request, DeviceKeyRequest)
    session = await request.app[ACCESS].session(wanted.session.get_secret_value())
    try:
        device_id = DeviceId(UUID(wanted.device))
    except ValueError:
        raise DeviceNotYours("Sign with a device that you have enrolled.", field="Signature-Input") from None
    key = await request.app[DEVICES].signing_key(session.user, device_id)
    return reply(DeviceKeyView(device=device_id, key=b64encode(key).decode()), headers=NO_STORE)


def after_devices(found: Sequence[Device], *, limit: int) -> str | None:
    """The cursor at the end of a page of at most so many; None if it was the last one."""
    if len(found) < limit:
        return None
    return write_cursor(DEVICES_ORDER, found[-1].enrolled_at.isoformat(), str(found[-1].id))


def _place(after: str | None) -> DevicePlace | None:
    if after is None:
        return None
    return DevicePlace(*place_by_time(after, DEVICES_ORDER))


def _enrolled(device: Device) -> Answer:
    return Answer.of(DeviceView.of(device), status=201, resource=str(device.id))


ROUTES = (
    Route("POST", "/v1/devices", enrol_device, body=EnrolRequest, returns=EnrolledDeviceView, status=201,
          role=Role.BETTOR, idempotent=True, step_up=True,
          refusals=(InvalidDeviceName, TooManyDevices, AccountClosed, SessionEnded)),
    Route("GET", "/v1/devices", devices, query=PageQuery, returns=DevicesView, role=Role.BETTOR),
    Route("DELETE", "/v1/devices/{device_id}", revoke_device, status=204, role=Role.BETTOR,
          refusals=(NoSuchDevice, SessionEnded)),
    Route("POST", "/internal/device-key", device_key, body=DeviceKeyRequest, returns=DeviceKeyView, auth="none",
          refusals=(DeviceNotYours, DeviceRevoked, SessionEnded, SessionsUnavailable)),
)  # fmt: skip
