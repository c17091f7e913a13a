"""Tokens: what identity signed for us in the last minute passes, and nothing else does."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from common import auth
from common.auth import TokenVerifier, by_token
from common.badges import Badge
from common.errors import Unauthenticated, Unavailable
from common.http import Principal, Role, Route, build_app, reply
from common.http.routes import PRINCIPAL
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.tests.shop import open_shop, settings

KEY = Ed25519PrivateKey.generate()
STRANGER = Ed25519PrivateKey.generate()
ANA = Principal(subject="ana", role=Role.BETTOR, session="s1")


def token(
    key: Ed25519PrivateKey = KEY,
    *,
    key_id: str | None = "k1",
    typ: str = "at+jwt",
    without: str | None = None,
    **changes: object,
) -> str:
    """A good token, unless told otherwise."""
    now = datetime.now(UTC).timestamp()
    claims: dict[str, object] = {
        "iss": "identity",
        "aud": "betting",
        "sub": "ana",
        "role": "bettor",
        "sid": "s1",
        "iat": now,
        "exp": now + 30,
        **changes,
    }
    claims.pop(without or "", None)
    headers = {"typ": typ} if key_id is None else {"typ": typ, "kid": key_id}
    return jwt.encode(claims, key, "EdDSA", headers=headers)


@pytest.fixture
def verifier() -> TokenVerifier:
    return TokenVerifier({"k1": KEY.public_key()}, audience="betting")


async def test_a_good_token_names_its_principal(verifier: TokenVerifier) -> None:
    good = token()
    assert await verifier.verify(good) == ANA
    assert await verifier.verify(good) == ANA
    assert (await verifier.verify(token(proof=3))).proof == 3


async def test_a_badge_is_of_the_tokens_role_and_second(verifier: TokenVerifier) -> None:
    shown = {"kid": "b1", "mac": urlsafe_b64encode(bytes(32)).decode()}
    issued_at = int(datetime.now(UTC).timestamp())
    principal = await verifier.verify(token(role="official", iat=issued_at, badge=shown))
    assert principal.badge == Badge("b1", Role.OFFICIAL, issued_at, bytes(32))


def within(begins: float, ends: float) -> str:
    """A token for a time in seconds from now."""
    now = datetime.now(UTC).timestamp()
    return token(iat=now + begins, exp=now + ends)


BAD: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "no token": lambda: "x",
    "three parts of no token": lambda: "a.b.c",
    "a stranger's": lambda: token(STRANGER),
    "an unknown key's": lambda: token(key_id="k2"),
    "no key's": lambda: token(key_id=None),
    "of another sort": lambda: token(typ="JWT"),
    "for another service": lambda: token(aud="ledger"),
    "for two services": lambda: token(aud=["betting", "ledger"]),
    "another issuer's": lambda: token(iss="somebody"),
    "of an unknown role": lambda: token(role="owner"),
    "run out": lambda: within(-40, -10),
    "for too long": lambda: within(-100, 30),
    "not begun": lambda: within(60, 90),
    "with a badge that is none": lambda: token(badge={"kid": "k"}),
    "unsigned": lambda: jwt.encode({"sub": "ana"}, "", "none", headers={"typ": "at+jwt", "kid": "k1"}),
    "signed by a word": lambda: jwt.encode(
        {"sub": "ana"}, "x" * 32, "HS256", headers={"typ": "at+jwt", "kid": "k1"}
    ),
    "with a changed signature": lambda: token()[:-4] + "AAAA",
    **{
        f"without {claim}": partial(token, without=claim)
        for claim in ("iss", "aud", "sub", "role", "iat", "exp")
    },
}
"""Made when they are tried: a token lives for seconds, and one that has run out is refused for that alone."""


@pytest.mark.parametrize("bad", BAD)
async def test_anything_else_is_not_accepted(verifier: TokenVerifier, bad: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await verifier.verify(BAD[bad]())
    assert refused.value.detail == "the token is not accepted"


async def test_a_remembered_token_still_expires(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "LEEWAY_SECONDS", 0)
    short = token(exp=datetime.now(UTC).timestamp() + 1)
    assert await verifier.verify(short) == ANA
    await asyncio.sleep(1.1)
    with pytest.raises(Unauthenticated):
        await verifier.verify(short)


async def test_what_is_remembered_is_bounded(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REMEMBERED_TOKENS", 2)
    for number in range(5):
        assert (await verifier.verify(token(sub=str(number)))).subject == str(number)
    assert len(verifier._remembered) <= 2


async def test_a_request_is_authenticated_by_its_bearer_token(verifier: TokenVerifier) -> None:
    async def who(request: web.Request) -> web.Response:
        """Tell who asks."""
        return web.Response(text=request[PRINCIPAL].subject)

    routes = (Route("GET", "/who", who), Route("GET", "/nothing", nothing, auth="none"))
    app = build_app(settings(), routes, title="Who", authenticate={"token": by_token(verifier)})
    async with open_shop(app) as client:
        response = await client.get("/who", headers={"Authorization": f"Bearer {token()}"})
        assert (response.status, await response.text()) == (200, "ana")
        assert (await client.get("/who", headers={"Authorization": "Bearer x"})).status == 401
        assert (await client.get("/nothing")).status == 204


async def nothing(_: web.Request) -> web.Response:
    """Nothing."""
    return reply(None)


@dataclass
class Identity:
    """Shows keys, counts how often it is asked, and can be out of order."""

    keys: dict[str, Ed25519PrivateKey] = field(default_factory=lambda: {"k1": KEY})
    asked: int = 0
    broken: bool = False
    frozen: bool = False
    url: str = ""

    async def jwks(self, _: web.Request) -> web.Response:
        """The public keys."""
        self.asked += 1
        if self.broken:
            return web.Response(status=503)
        if self.frozen:
            await asyncio.sleep(auth.FETCH_TIMEOUT_SECONDS * 2)
        shown = [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "kid": key_id,
                "x": _base64url(key.public_key().public_bytes_raw()),
            }
            for key_id, key in self.keys.items()
        ]
        return web.json_response({"keys": [*shown, {"kty": "RSA", "kid": "old", "n": "x", "e": "AQAB"}]})


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
async def identity() -> AsyncIterator[Identity]:
    shown = Identity()
    app = web.Application()
    app.router.add_get("/.well-known/jwks.json", shown.jwks)
    async with TestServer(app) as server:
        shown.url = str(server.make_url("/"))
        yield shown


async def test_keys_are_fetched_once_for_many(identity: Identity) -> None:
    verifier = TokenVerifier(identity.url, audience="betting")
    tokens = [token(sub=str(number)) for number in range(20)]
    assert len(await asyncio.gather(*(verifier.verify(each) for each in tokens))) == 20
    assert identity.asked == 1


async def test_a_new_key_is_found_and_made_up_ones_do_not_cost_a_fetch_each(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = TokenVerifier(identity.url, audience="betting")
    assert await verifier.verify(token()) == ANA
    monkeypatch.setattr(auth, "REFETCH_SECONDS", 0.2)
    identity.keys["k2"] = STRANGER
    await asyncio.sleep(0.25)
    assert await verifier.verify(token(STRANGER, key_id="k2")) == ANA
    assert identity.asked == 2
    for number in range(10):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(STRANGER, key_id=f"made-up-{number}"))
    assert identity.asked == 2


async def test_a_withdrawn_key_goes_when_the_keys_are_old(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = TokenVerifier(identity.url, audience="betting")
    await verifier.verify(token())
    monkeypatch.setattr(auth, "REFETCH_SECONDS", 0.0)
    monkeypatch.setattr(auth, "FRESH_SECONDS", 0.0)
    identity.keys = {"k2": STRANGER}
    with pytest.raises(Unauthenticated):
        await verifier.verify(token(sub="luz"))


async def test_known_keys_outlive_identity_and_unknown_ones_do_not_appear(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = TokenVerifier(identity.url, audience="betting")
    identity.broken = True
    with pytest.raises(Unavailable):
        await fresh.verify(token())
    identity.broken = False
    monkeypatch.setattr(auth, "REFETCH_SECONDS", 0.0)
    assert await fresh.verify(token()) == ANA
    identity.broken = True
    monkeypatch.setattr(auth, "FRESH_SECONDS", 0.0)
    assert (await fresh.verify(token(sub="luz"))).subject == "luz"


async def test_while_identity_hangs_one_request_waits_for_it_and_the_others_pass(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that are old hold until identity has said otherwise. A fetch that comes to nothing is not made again by
    each of those who waited for it."""
    verifier = TokenVerifier(identity.url, audience="betting")
    await verifier.verify(token())
    monkeypatch.setattr(auth, "FETCH_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(auth, "REFETCH_SECONDS", 0.4)
    monkeypatch.setattr(auth, "FRESH_SECONDS", 0.0)
    await asyncio.sleep(0.45)
    identity.frozen = True
    known = [asyncio.create_task(verifier.verify(token(sub=str(number)))) for number in range(20)]
    unknown = [verifier.verify(token(STRANGER, key_id=f"k{number}")) for number in range(2, 6)]
    strangers = asyncio.gather(*unknown, return_exceptions=True)
    while sum(task.done() for task in known) < 19:
        await asyncio.sleep(0.01)
    assert sum(task.done() for task in known) == 19, "one asks, and nobody else waits for it"
    found = [*await asyncio.gather(*known, return_exceptions=True), *await strangers]
    assert [type(each) for each in found] == [Principal] * 20 + [Unauthenticated] * 4
    assert identity.asked == 2


async def test_what_identity_shows_by_mistake_replaces_nothing(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = TokenVerifier(identity.url, audience="betting")
    await verifier.verify(token())
    monkeypatch.setattr(auth, "REFETCH_SECONDS", 0.0)
    monkeypatch.setattr(auth, "FRESH_SECONDS", 0.0)
    identity.keys = {}
    assert (await verifier.verify(token(sub="luz"))).subject == "luz"
