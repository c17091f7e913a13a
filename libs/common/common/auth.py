"""Who is asking, by identity's word: EdDSA tokens of at most a minute, verified here.

Identity alone can sign; everyone else knows its public keys, fetched from its JWKS page or given.
"""

import asyncio
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Base64UrlBytes, BaseModel, ValidationError

from common.badges import Badge
from common.errors import Unauthenticated, Unavailable
from common.http.edge import bearer
from common.http.routes import Authenticate, Principal
from common.roles import Role

ISSUER: Final = "identity"
TYPE: Final = "at+jwt"
ALGORITHM: Final = "EdDSA"
LONGEST_LIFETIME_SECONDS: Final = 60
LEEWAY_SECONDS: Final = 2
"""How far two machines' clocks may be apart."""

FRESH_SECONDS: Final = 300.0
"""After this long the keys are fetched again, so that a withdrawn one goes."""
REFETCH_SECONDS: Final = 2.0
"""Between two fetches at least, however many unknown keys callers name."""
FETCH_TIMEOUT_SECONDS: Final = 2.0
REMEMBERED_TOKENS: Final = 4096

Keys = Mapping[str, Ed25519PublicKey]


class TokenVerifier:
    """Verifies the tokens made for one audience (this service's name)."""

    def __init__(self, source: str | Keys, *, audience: str) -> None:
        """`source` is identity's base URL, or the keys themselves by id."""
        self._key_of = _Jwks(source).key_of if isinstance(source, str) else _among(source)
        self._audience = audience
        self._remembered: dict[str, tuple[Principal, float]] = {}

    async def verify(self, token: str) -> Principal:
        """The principal the token names.

        A token that has been verified is remembered until it expires: a signature costs more than
        the rest of a small request. Raises `Unauthenticated`, without saying what is wrong with it;
        `Unavailable` if identity's keys cannot be had.
        """
        principal, expires = self._remembered.get(token, (None, 0.0))
        if principal is not None and datetime.now(UTC).timestamp() < expires + LEEWAY_SECONDS:
            return principal
        claims = _decoded(token, await self._key_of(_key_id(token)), self._audience)
        proved_at = None if claims.auth_time is None else datetime.fromtimestamp(claims.auth_time, UTC)
        shown = claims.badge
        badge = None if shown is None else Badge(shown.kid, claims.role, int(claims.iat), shown.mac)
        principal = Principal(claims.sub, claims.role, claims.sid, proved_at, claims.proof, badge)
        if len(self._remembered) >= REMEMBERED_TOKENS:
            self._remembered.clear()
        self._remembered[token] = (principal, claims.exp)
        return principal


def by_token(verifier: TokenVerifier) -> Authenticate:
    """Authenticates requests by the bearer token they carry, for `build_app`."""

    async def authenticate(request: web.Request) -> Principal:
        return await verifier.verify(bearer(request))

    return authenticate


class _Badge(BaseModel):
    kid: str
    mac: Base64UrlBytes


class _Claims(BaseModel):
    sub: str
    role: Role
    sid: str | None = None
    auth_time: float | None = None
    proof: int | None = None
    badge: _Badge | None = None
    iat: float
    exp: float


class _Jwk(BaseModel):
    kty: str
    crv: str | None = None
    kid: str
    x: str = ""


class _JwkSet(BaseModel):
    keys: list[_Jwk]


class _Jwks:
    """Identity's public keys, kept, and fetched again when they are old or one is missing."""

    def __init__(self, identity_url: str) -> None:
        self._url = f"{identity_url.rstrip('/')}/.well-known/jwks.json"
        self._keys: Keys = {}
        self._fetched_at = -FRESH_SECONDS
        self._asked_at = -FRESH_SECONDS
        self._asking = asyncio.Lock()

    async def key_of(self, key_id: str) -> Ed25519PublicKey:
        """The key of that id. Raises `Unauthenticated` if identity has none, `Unavailable` if it cannot say."""
        known, old = key_id in self._keys, monotonic() - self._fetched_at > FRESH_SECONDS
        # While one request asks whether its key still holds, the others do not wait to be told: were identity to hang,
        # everybody would hang with it.
        if not known or (old and not self._asking.locked()):
            async with self._asking:
                if monotonic() - self._asked_at > REFETCH_SECONDS:
                    await self._fetch()
        if not self._keys:
            raise Unavailable("identity's keys cannot be had now", retry_after=1)
        return await _among(self._keys)(key_id)

    async def _fetch(self) -> None:
        """Replace the keys by what identity shows now; keep the old ones if it shows nothing."""
        began = monotonic()
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
                session.get(self._url) as response,
            ):
                shown = _JwkSet.model_validate_json(await response.read())
            keys = {key.kid: _public_key(key.x) for key in shown.keys if key.crv == "Ed25519"}
        except (aiohttp.ClientError, TimeoutError, ValueError):  # pydantic's ValidationError is one
            return
        finally:
            self._asked_at = (
                monotonic()
            )  # counted from the answer: who waited for it does not ask the same again
        if keys:
            self._keys, self._fetched_at = keys, began


def _among(keys: Keys) -> Callable[[str], Awaitable[Ed25519PublicKey]]:
    async def key_of(key_id: str) -> Ed25519PublicKey:
        if key_id not in keys:
            raise _not_accepted()
        return keys[key_id]

    return key_of


def _public_key(x: str) -> Ed25519PublicKey:
    """A raw key in base64url without padding (RFC 8037)."""
    return Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(x + "=" * (-len(x) % 4)))


def _key_id(token: str) -> str:
    """The id of the key that is said to have signed. Only our own kind of token gets this far."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _not_accepted() from None
    key_id = header.get("kid")
    if header.get("alg") != ALGORITHM or header.get("typ") != TYPE or not isinstance(key_id, str):
        raise _not_accepted()
    return key_id


def _decoded(token: str, key: Ed25519PublicKey, audience: str) -> _Claims:
    try:
        claims = _Claims.model_validate(
            jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                leeway=LEEWAY_SECONDS,
                options={"require": ["iss", "aud", "sub", "iat", "exp"], "strict_aud": True},
            )
        )
    except (jwt.PyJWTError, ValidationError):
        raise _not_accepted() from None
    if claims.exp - claims.iat > LONGEST_LIFETIME_SECONDS:
        raise _not_accepted()
    return claims


def _not_accepted() -> Unauthenticated:
    return Unauthenticated("the token is not accepted", field="Authorization")
