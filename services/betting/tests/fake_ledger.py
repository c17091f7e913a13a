"""The ledger's HTTP door over `Books`, with moods; and identity's keys beside it."""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from uuid import UUID

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from common.roles import Role
from contracts.ledger import EntryRequest, EntryView
from contracts.ledger_batches import BatchRequest, BatchView, EntryProblem, EntryResult, KeyedEntry
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.betting.tests.badges import claim_of
from services.betting.tests.books import Books, Refusal

API_KEY = "lk_live_test"


class Mood(Enum):
    WELL = auto()
    DEAF = auto()  # the request never has an effect
    MUTE = auto()  # the hold is booked, the answer lost
    BUSY = auto()
    BROKEN = auto()  # answers, but nothing that decides
    UNDECIDED = auto()  # the same, for each hold by itself
    CONFUSED = auto()  # answers about the holds in another order
    SUSPICIOUS = auto()  # takes no request of several holds: one of them must be at fault


class FakeLedger:
    def __init__(self) -> None:
        self.books = Books()
        self.mood = Mood.WELL
        self.requests = 0
        self.largest = 0
        self.slow_seconds = 0.0
        self.url = ""

    async def post_batch(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {API_KEY}"
        self.requests += 1
        self.largest = max(self.largest, (await request.read()).count(b'"idempotency_key"'))
        wanted = BatchRequest.model_validate_json(await request.read())
        await asyncio.sleep(self.slow_seconds)
        if self.mood is Mood.DEAF:
            _hang_up(request)
        if self.mood is Mood.BUSY:
            return _problem(429, "overloaded")
        if self.mood is Mood.BROKEN:
            return _problem(422, "refused-by-database")
        if self.mood is Mood.SUSPICIOUS and len(wanted.groups) > 1:
            return _problem(422, "invalid-input")
        told = BatchView(groups=tuple((self._result(entry),) for (entry,) in wanted.groups))
        if self.mood is Mood.CONFUSED:
            told = BatchView(groups=told.groups[::-1])
        if self.mood is Mood.MUTE:
            _hang_up(request)
        return web.Response(body=told.model_dump_json().encode(), content_type="application/json")

    async def post_entry(self, request: web.Request) -> web.Response:
        """One entry that may be refused: the repayment of a debt."""
        try:
            entry = self.books.post(
                request.headers["Idempotency-Key"], EntryRequest.model_validate_json(await request.read())
            )
        except Refusal as refusal:
            return _problem(422, str(refusal))
        view = EntryView.model_validate(entry.model_dump())
        return web.Response(status=201, body=view.model_dump_json().encode(), content_type="application/json")

    async def get_balance(self, request: web.Request) -> web.Response:
        account = request.query["account"]
        balance = str(self.books.balances[account])
        return web.json_response({"balance": balance, "sequence": self.books.sequences[account]})

    async def get_accounts(self, request: web.Request) -> web.Response:
        prefix = request.query["prefix"]
        accounts = [
            {"account": path, "balance": str(amount)}
            for path, amount in self.books.balances.items()
            if path.startswith(prefix)
        ]
        return web.json_response({"accounts": accounts}) if accounts else _problem(404, "account-not-found")

    async def get_holds(self, request: web.Request) -> web.Response:
        """Two a page, so that there are several."""
        holds = self.books.holds_under(request.query["reference"])
        after = request.query.get("after", "")
        page = [hold for hold in holds if hold["id"] > after][:2]
        more = page and page[-1]["id"] != holds[-1]["id"]
        if not holds:
            return _problem(404, "reference-not-found")
        return web.json_response({"holds": page, "next": page[-1]["id"] if more else None})

    def _result(self, wanted: KeyedEntry) -> EntryResult:
        key = wanted.idempotency_key
        if self.mood is Mood.UNDECIDED:
            why = EntryProblem(type="/problems/overloaded", title="later", status=429, detail="later")
            return EntryResult(idempotency_key=key, status=429, replayed=False, problem=why)
        try:
            entry = self.books.post(
                key, EntryRequest(**wanted.model_dump(include=set(EntryRequest.model_fields)))
            )
        except Refusal as refusal:
            why = EntryProblem(
                type=f"/problems/{refusal}", title="no", status=422, detail="the ledger says no"
            )
            return EntryResult(idempotency_key=key, status=422, replayed=False, problem=why)
        view = EntryView.model_validate(entry.model_dump())
        return EntryResult(idempotency_key=key, status=201, replayed=False, entry=view)


def _hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


def _problem(status: int, slug: str) -> web.Response:
    body = {"type": f"/problems/{slug}", "title": slug, "status": status, "detail": f"the ledger says {slug}"}
    return web.json_response(body, status=status, content_type="application/problem+json")


class FakeIdentity:
    """Signs tokens, and shows the key that verifies them. Everybody is an administrator but those of another role in `staff`
    (None for no employee)."""

    def __init__(self) -> None:
        self.staff: dict[UUID, Role | None] = {}
        self.silent = False
        self._key = Ed25519PrivateKey.generate()
        self.url = ""

    async def jwks(self, _: web.Request) -> web.Response:
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = urlsafe_b64encode(raw).rstrip(b"=").decode()
        return web.json_response({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "test", "x": x}]})

    async def role(self, request: web.Request) -> web.Response:
        if self.silent:
            _hang_up(request)
        role = self.staff.get(UUID(request.match_info["user_id"]), Role.ADMIN)
        return (
            _problem(404, "no-such-staff") if role is None else web.json_response({"role": role, "proof": 1})
        )

    def token(self, user: UUID, role: str) -> str:
        now = int(time.time())
        claims = {
            "iss": "identity", "aud": "betting", "sub": str(user), "role": role, "iat": now, "exp": now + 60,
            "auth_time": now, **claim_of(user, Role(role), now),
        }  # fmt: skip
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": "test", "typ": "at+jwt"})


@asynccontextmanager
async def neighbours() -> AsyncIterator[tuple[FakeLedger, FakeIdentity]]:
    """Both on one server of their own."""
    ledger, identity = FakeLedger(), FakeIdentity()
    app = web.Application()
    app.router.add_post("/v1/entries/batch", ledger.post_batch)
    app.router.add_post("/v1/entries", ledger.post_entry)
    app.router.add_get("/v1/balance", ledger.get_balance)
    app.router.add_get("/v1/accounts", ledger.get_accounts)
    app.router.add_get("/v1/holds", ledger.get_holds)
    app.router.add_get("/internal/staff/{user_id}", identity.role)
    app.router.add_get("/.well-known/jwks.json", identity.jwks)
    async with TestServer(app) as server:
        ledger.url = identity.url = str(server.make_url("")).rstrip("/")
        yield ledger, identity
