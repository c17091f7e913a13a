"""The keys of devices, asked of identity, kept for a moment, and what they signed verified."""

from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Final
from uuid import UUID

from aiohttp import web
from common.client import RemoteProblem, ServiceClient, Unreachable
from common.errors import Forbidden, Unavailable
from common.signing import SignatureVerifier, SigningKey
from pydantic import BaseModel, Field

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


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A device's key and until when (on the loop's clock) it is used again."""

    key: SigningKey
    use_until: float


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
        """At most `capacity` keys are remembered, the least recently used goes first."""
        self._identity = identity
        self._verifier = verifier
        self._keep_seconds = keep_seconds
        self._remembers = True
        self._forgotten = 0
        self._capacity = capacity
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], KeptKey] = OrderedDict()

    async def verify(self, request: web.Request, secret: str, device: str, body: bytes) -> None:
        """Expect that this device, which must be one of the session's holder, has signed the request.

        Raises DeviceNotYours, DeviceRevoked, NoSession, DevicesUnavailable, and what `SignatureVerifier` does.
        """
        await self._verifier.verify(request, await self._key_of(secret, device), body=body)

    def forget(self, device: UUID) -> None:
        """Drop a device's key, also one that identity is telling us just now."""
        self._forgotten += 1
        for name in [name for name in self._kept if name[1] == str(device)]:
            del self._kept[name]

    def remember(self, yes: bool) -> None:
        """Whether keys are kept at all: not while revocations cannot be heard."""
        self._remembers = yes
        if not yes:
            self._kept.clear()

    async def _key_of(self, secret: str, device: str) -> SigningKey:
        name = (name_of(secret), device)
        kept = self._kept.get(name)
        if kept is not None and self._clock() < kept.use_until:
            self._kept.move_to_end(name)
            return kept.key
        if not _is_canonical(device):
            raise DeviceNotYours("keyid is no device of yours.", field="Signature-Input")
        asked_at, forgotten = self._clock(), self._forgotten
        key = SigningKey(device, await self._ask(secret, device))
        if not self._remembers or self._forgotten != forgotten:
            return key
        self._kept[name] = KeptKey(key, asked_at + self._keep_seconds)
        self._kept.move_to_end(name)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return key

    async def _ask(self, secret: str, device: str) -> bytes:
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
        return b64decode(told.key)


def _is_canonical(device: str) -> bool:
    """Whether it is a device's id in the one spelling in which it is revoked."""
    try:
        return str(UUID(device)) == device
    except ValueError:
        return False
