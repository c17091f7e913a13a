"""The keys of devices, asked of identity, kept for a moment, and what they signed verified."""

from base64 import b64decode
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import Final
from uuid import UUID

from aiohttp import web
from common.client import RemoteProblem, ServiceClient, Unreachable
from common.errors import Forbidden, Unavailable
from common.signing import SignatureVerifier, SigningKey
from pydantic import BaseModel, Field

from gateway.keeping import Fresh, Keeping
from gateway.sessions import NoSession, name_of

RETRY_AFTER_SECONDS: Final = 2


class DeviceNotYours(Forbidden):
    """The key that signed is no device of the person whose session this is."""

    slug = "device-not-yours"
    title = "Signed by a device of somebody else"


class DeviceRevoked(Forbidden):
    slug = "device-revoked"
    title = "The device has been revoked"


class DevicesUnavailable(Unavailable):
    """Identity does not answer, so no signature can be verified: no money moves."""

    slug = "devices-unavailable"
    title = "Signatures cannot be verified now"


class KeyRequest(BaseModel):
    """What identity is asked."""

    session: str = Field(repr=False)
    device: str


class KeyView(BaseModel):
    """What identity answers."""

    device: UUID
    key: str = Field(repr=False)


class Devices:
    """Verifies that a device of the session's own person has signed."""

    def __init__(
        self,
        identity: ServiceClient,
        verifier: SignatureVerifier,
        *,
        keep_seconds: float,
        capacity: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """At most `capacity` keys are kept."""
        self._identity = identity
        self._verifier = verifier
        self._keep_seconds = keep_seconds
        self._keys: Keeping[tuple[str, str], SigningKey] = Keeping(capacity=capacity, clock=clock)

    async def verify(self, request: web.Request, secret: str, device: str, body: bytes) -> None:
        """Expect that this device, which must be one of the session's holder, has signed the request.

        Raises DeviceNotYours, DeviceRevoked, NoSession, DevicesUnavailable, and what `SignatureVerifier` does.
        """
        if not _is_canonical(device):
            raise DeviceNotYours("keyid is no device of yours.", field="Signature-Input")
        key = await self._keys.get((name_of(secret), device), lambda: self._ask(secret, device))
        await self._verifier.verify(request, key, body=body)

    def forget(self, device: UUID) -> None:
        """Drop a device's key, also one that identity is telling us just now."""
        for name in [name for name in self._keys.names() if name[1] == str(device)]:
            self._keys.forget(name)

    def remember(self, yes: bool) -> None:
        """Whether keys are kept at all: not while revocations cannot be heard."""
        self._keys.remember(yes)

    async def _ask(self, secret: str, device: str) -> Fresh[SigningKey]:
        try:
            told = await self._identity.post(
                "/internal/device-key", KeyRequest(session=secret, device=device), KeyView
            )
        except RemoteProblem as refusal:
            for refused in (DeviceNotYours, DeviceRevoked):
                if refusal.slug == refused.slug:
                    raise refused(refusal.detail, field="Signature-Input") from None
            if refusal.status == HTTPStatus.UNAUTHORIZED:
                raise NoSession("The session ran out or was ended.", field="Authorization") from None
            if refusal.status == HTTPStatus.BAD_REQUEST:  # nothing that identity would take for a device
                raise DeviceNotYours("keyid is no device of yours.", field="Signature-Input") from None
            raise DevicesUnavailable("Try again.", retry_after=RETRY_AFTER_SECONDS) from refusal
        except Unreachable as error:
            raise DevicesUnavailable("Try again.", retry_after=RETRY_AFTER_SECONDS) from error
        return Fresh(SigningKey(device, b64decode(told.key)), self._keep_seconds)


def _is_canonical(device: str) -> bool:
    """Whether it is a device's id in the one spelling in which it is revoked."""
    try:
        return str(UUID(device)) == device
    except ValueError:
        return False
