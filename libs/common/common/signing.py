"""Signed requests: HTTP message signatures (RFC 9421) with HMAC-SHA256, the same for services and devices.

A signature covers the method, the path, the query, the body (by `Content-Digest`, RFC 9530) and the
`Idempotency-Key`, and carries a moment and a nonce. So a request that was overheard cannot be changed,
kept for later, or sent twice.
"""

import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import http_sf
from aiohttp import web
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
)
from http_message_signatures.algorithms import HMAC_SHA256
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from http_sf.compat import InnerList
from prometheus_client import Counter
from redis.asyncio import Redis
from yarl import URL

from common import plain_signatures
from common.errors import Unauthenticated, Unavailable
from common.http.reading import body_of
from common.redis import TROUBLE

WINDOW: Final = timedelta(seconds=300)
"""How far `created` may be from our clock, either way."""
TAG: Final = "el-carril"
"""The application the signature is for, so that one made for another is of no use here."""
LABEL: Final = "sig1"
COVERED: Final = ("@method", "@path", "@query")
IDEMPOTENCY_KEY: Final = "idempotency-key"
DIGEST: Final = "content-digest"
SHORTEST_SECRET_BYTES: Final = 32
NONCE_LENGTH: Final = range(16, 129)
"""Characters of a nonce; ours have 128 random bits."""

_NONCE_SECONDS: Final = int(2 * WINDOW.total_seconds()) + 1
"""A nonce is remembered for as long as its signature can be in the window."""
_BLIND: Final = Counter(
    "signature_nonce_blind", "Signed requests admitted while the nonces' store did not answer"
)


class SignatureMissing(Unauthenticated):
    """The caller must sign, and has not."""

    slug = "signature-missing"
    title = "Signature required"


class SignatureNotValid(Unauthenticated):
    """The signature is malformed, covers too little, or is not the key's over this request."""

    slug = "signature-invalid"
    title = "Signature not valid"


class SignatureExpired(Unauthenticated):
    """Signed too long ago, or by a clock that is ahead."""

    slug = "signature-expired"
    title = "Signature outside its time window"


class SignatureReplayed(Unauthenticated):
    """A request with this nonce has been seen."""

    slug = "signature-replayed"
    title = "Signature used before"


class NoncesUnavailable(Unavailable):
    """Whether the nonce was used cannot be told, and repeating this request could do harm."""

    slug = "signature-store-unavailable"
    title = "Signed requests cannot be admitted now"


REFUSALS: Final = (
    SignatureMissing,
    SignatureNotValid,
    SignatureExpired,
    SignatureReplayed,
    NoncesUnavailable,
)
"""What a route that asks for signatures may answer."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that both sides hold. `id` is public and names it; it goes into the signature as `keyid`."""

    id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < SHORTEST_SECRET_BYTES:
            raise ValueError(f"a signing secret has at least {SHORTEST_SECRET_BYTES} bytes")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<id>:<secret in base64>`. Raises `ValueError`, without telling the secret."""
        id, _, secret = text.strip().rpartition(":")
        try:
            return cls(id, b64decode(secret, validate=True))
        except NotBase64:
            raise ValueError("a signing key is <id>:<secret in base64>") from None

    def written(self) -> str:
        """As `parse` reads it."""
        return f"{self.id}:{b64encode(self.secret).decode()}"


@dataclass(frozen=True, slots=True)
class _Message:
    """A request as the library wants it. Only the path and the query of the URL are looked at."""

    method: str
    url: str
    headers: Mapping[str, str]


class RequestSigner:
    """Signs requests with one key."""

    def __init__(self, key: SigningKey, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._key = key
        self._now = now
        self._signer = HTTPMessageSigner(signature_algorithm=HMAC_SHA256, key_resolver=_only(key))

    def headers(self, method: str, url: URL, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The request's headers with `Content-Digest`, `Signature-Input` and `Signature` added.

        `url` must be the one that is sent, to the letter. Every call makes a new nonce, so an attempt
        that is repeated must be signed again.
        """
        signed = dict(headers)
        keys = [value for name, value in signed.items() if name.lower() == IDEMPOTENCY_KEY]
        keyed, nonce, now = bool(keys), secrets.token_urlsafe(16), self._now()
        if len(keys) < 2:
            plain = plain_signatures.sign(
                method, url.raw_path, url.raw_query_string, keys[0] if keys else None, body,
                created=int(now.timestamp()), key_id=self._key.id, secret=self._key.secret, nonce=nonce, tag=TAG,
            )  # fmt: skip
            if plain is not None:
                return signed | plain
        self._signer.sign(
            _Message(method, f"http://signed{url.raw_path_qs}", signed),
            key_id=self._key.id,
            created=now,
            nonce=nonce,
            tag=TAG,
            label=LABEL,
            covered_component_ids=(*COVERED, IDEMPOTENCY_KEY) if keyed else COVERED,
            body=body,
        )
        return signed


def claimed_key_id(request: web.Request) -> str:
    """The key that is said to have signed, to look its secret up by: nothing is verified yet.

    Raises `SignatureMissing`, or `SignatureNotValid` for what cannot be read.
    """
    text = request.headers.get("Signature-Input")
    plain = plain_signatures.claimed_key_id(text or "")
    if plain is not None and "Signature" in request.headers:
        return plain
    if text is None or "Signature" not in request.headers:
        raise SignatureMissing("sign this request (RFC 9421)", field="Signature-Input")
    try:
        members = http_sf.parse(text.encode(), tltype="dictionary")
    except ValueError:
        members = None
    match [*members.values()] if isinstance(members, dict) else []:
        case [(_, {"keyid": str(key_id)})]:
            return key_id
        case _:
            raise SignatureNotValid("Signature-Input cannot be read", field="Signature-Input")


class SignatureVerifier:
    """Verifies that requests are signed, within the window, and come once."""

    def __init__(
        self, nonces: Redis, *, audience: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`audience` keeps one service's nonces apart from another's in the same Redis."""
        self._nonces = nonces
        self._audience = audience
        self._now = now

    async def verify(self, request: web.Request, key: SigningKey, *, body: bytes | None = None) -> None:
        """Verify the one signature of this request against that key, and spend its nonce.

        `body` is the request's, for a caller that has read it already.

        A request that may be repeated harmlessly (a safe method, or a signed idempotency key) passes
        while the nonces' store does not answer; any other is then refused.

        Raises:
            SignatureMissing, SignatureNotValid, SignatureExpired, SignatureReplayed, NoncesUnavailable.
            InvalidInput, PayloadTooLarge, RequestTimeout: the body could not be read.
        """
        if claimed_key_id(request) != key.id:
            raise SignatureNotValid("keyid is not the key you authenticate by", field="Signature-Input")
        keyed = IDEMPOTENCY_KEY in request.headers
        raw = await body_of(request) if body is None else body
        nonce = _verified(request, key, raw, keyed=keyed, now=self._now())
        harmless = keyed or request.method in ("GET", "HEAD")
        await self._spend(f"signing:nonce:{self._audience}:{key.id}:{nonce}", harmless=harmless)

    async def _spend(self, name: str, *, harmless: bool) -> None:
        try:
            fresh = await self._nonces.set(name, b"", nx=True, ex=_NONCE_SECONDS)
        except TROUBLE as error:
            if not harmless:
                raise NoncesUnavailable("try again in a moment", retry_after=2) from error
            _BLIND.inc()
            return
        if not fresh:
            raise SignatureReplayed("this nonce has been used", field="Signature-Input")


class _Verifier(HTTPMessageVerifier):
    """The library's verifier, with our window and our words for what is outside of it."""

    def __init__(self, key: SigningKey, now: datetime) -> None:
        super().__init__(signature_algorithm=HMAC_SHA256, key_resolver=_only(key))
        self._now = now

    def validate_created_and_expires(self, sig_input: InnerList, max_age: timedelta | None = None) -> None:  # noqa: ARG002 - the library's signature
        """Raises `SignatureExpired`; `SignatureNotValid` without a moment."""
        created, expires = sig_input.params.get("created"), sig_input.params.get("expires")
        if not isinstance(created, int):
            raise SignatureNotValid("created is missing", field="Signature-Input")
        _check_window(created, expires if isinstance(expires, int) else None, self._now)


def _check_window(created: int, expires: int | None, now: datetime) -> None:
    """Raises `SignatureExpired`."""
    at = now.timestamp()
    if abs(at - created) > WINDOW.total_seconds() or (expires is not None and expires < at):
        raise SignatureExpired("signed outside the time window; check your clock", field="Signature-Input")


def _verified(request: web.Request, key: SigningKey, body: bytes, *, keyed: bool, now: datetime) -> str:
    """The nonce of a signature that holds."""
    target = request.rel_url
    plain = plain_signatures.find(request.method, target.raw_path, target.raw_query_string, request.headers)
    if plain is not None and plain.key_id == key.id and plain.tag == TAG:
        _check_window(plain.created, None, now)
        if not plain.holds(key.secret, body):
            raise SignatureNotValid("the signature does not hold", field="Signature")
        nonce: str | None = plain.nonce
    else:
        nonce = _verified_by_library(request, key, body, keyed=keyed, now=now)
    if nonce is None or len(nonce) not in NONCE_LENGTH:
        raise SignatureNotValid(
            f"the nonce has {NONCE_LENGTH.start} to {NONCE_LENGTH.stop - 1} characters",
            field="Signature-Input",
        )
    return nonce


def _verified_by_library(
    request: web.Request, key: SigningKey, body: bytes, *, keyed: bool, now: datetime
) -> str | None:
    """What RFC 9421 allows besides the form that our own signer writes."""
    message = _Message(request.method, f"http://signed{request.rel_url.raw_path_qs}", request.headers)
    required = (*COVERED, IDEMPOTENCY_KEY) if keyed else COVERED
    try:
        (found,) = _Verifier(key, now).verify(
            message, max_age=WINDOW, expect_tag=TAG, require_components=required, body=body
        )
    except (InvalidSignature, HTTPMessageSignaturesException) as error:
        raise SignatureNotValid(f"the signature does not hold: {error}", field="Signature") from None
    nonce: str | None = found.nonce
    return nonce


def _only(key: SigningKey) -> MappingKeyResolver:
    both = {key.id: key.secret}
    return MappingKeyResolver(public_keys=both, private_keys=both)
