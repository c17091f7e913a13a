"""The provider over HTTP: operations, its own books, settlement files, and the strings that faults are pulled by."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from tools.chaos_psp import faults as chaos
from tools.chaos_psp.book import Book, PspError, Thing
from tools.chaos_psp.faults import Faults
from tools.chaos_psp.log import Log
from tools.chaos_psp.webhooks import Sender

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Amount = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{1,12}\.[0-9]{2}$")]


@dataclass
class State:
    """All that the server holds."""

    book: Book
    log: Log
    sender: Sender
    hold_seconds: float
    lag_seconds: float
    offset: timedelta = timedelta(0)
    sent: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def now(self) -> datetime:
        """The provider's own clock: it can be put forward."""
        return datetime.now(UTC) + self.offset


STATE: Final = web.AppKey("state", State)
API_KEY: Final = web.AppKey("api_key", str)
A_PAGE: Final = 2
"""So few disputes are listed at once: whoever reads the list has to turn pages."""
READ_KEY: Final = web.AppKey[str | None]("read_key")
"""Looks at everything and orders nothing."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wish(BaseModel):
    """What a client asks for. Its key is its own, for ever."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    act: Literal["authorize", "capture", "void", "refund"]
    amount: Amount
    currency: Literal["MXN"]
    card_token: Annotated[str, StringConstraints(max_length=200)] | None = None
    parent: Annotated[str, StringConstraints(max_length=100)] | None = None


class Strings(_Strict):
    """Which faults shall strike how often from now on."""

    seed: int = 0
    rates: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    every: bool = False
    hold_seconds: float = Field(default=2.0, ge=0, le=60)
    lag_seconds: float = Field(default=0.3, ge=0, le=60)

    @field_validator("rates")
    @classmethod
    def _are_known(cls, rates: dict[str, float]) -> dict[str, float]:
        unknown = set(rates) - set(chaos.ALL)
        if unknown:
            raise ValueError(f"no such faults: {', '.join(sorted(unknown))}")
        return rates


class Forward(_Strict):
    """How far the clock is put forward."""

    seconds: float = Field(ge=0)


class Outcome(_Strict):
    """How a dispute ends."""

    won: bool


async def operate(request: web.Request) -> web.StreamResponse:
    """Do what is asked, once a key; and then perhaps say something else about it."""
    wish = Wish.model_validate_json(await request.read())
    state = request.app[STATE]
    book = state.book
    parent = book.things.get(wish.parent or "")
    label = f"{parent.token if parent else wish.card_token}:{wish.act}:{Decimal(wish.amount)}"
    struck = None
    if not state.sent[label]:
        struck = book.faults.one_of(chaos.SENDING, label)
    state.sent[label] += 1
    if struck == "timeout_before":
        return await _hang(request, state)
    made = book.create(
        key=wish.key, act=wish.act, amount=Decimal(wish.amount), token=wish.card_token, parent=wish.parent,
        now=state.now(),
    )  # fmt: skip
    state.log.things(book, made)
    for each in made:
        await state.sender.tell(each)
    thing = book.by_key(wish.key)
    if thing is None:
        raise PspError(500, "lost")
    return await _answer(request, state, struck, thing)


async def _answer(request: web.Request, state: State, struck: str | None, thing: Thing) -> web.StreamResponse:
    """What is said of what has been done."""
    match struck:
        case "timeout_after":
            return await _hang(request, state)
        case "reset_mid_body":
            return await _reset(request)
        case "ok_with_error_body":
            return web.json_response({"error": {"code": "temporarily_unavailable"}})
        case "error_after_success":
            return web.json_response({"error": {"code": "internal"}}, status=500)
        case "html_502":
            return _html_502()
        case "conflict_in_progress":
            return web.json_response({"error": {"code": "in_progress"}}, status=409)
        case _:
            return web.json_response(_view(thing, state.now()), status=201)


async def find(request: web.Request) -> web.StreamResponse:
    """The object under a key."""
    key = request.query.get("key", "")
    return await _look(request, request.app[STATE].book.by_key(key), key)


async def fetch(request: web.Request) -> web.StreamResponse:
    """An object by its id."""
    id = request.match_info["id"]
    return await _look(request, request.app[STATE].book.things.get(id), id)


async def _look(request: web.Request, thing: Thing | None, otherwise: str) -> web.StreamResponse:
    state = request.app[STATE]
    label = thing.label if thing else otherwise
    struck = None if state.asked[label] else state.book.faults.one_of(chaos.ASKING, label)
    state.asked[label] += 1
    match struck:
        case "query_timeout":
            return await _hang(request, state)
        case "query_reset":
            return await _reset(request)
        case "query_html_502":
            return _html_502()
        case "query_error_body":
            return web.json_response({"error": {"code": "temporarily_unavailable"}})
    if thing is None or _not_seen_yet(state, thing):
        return _refusal(404, "not_found")
    return web.json_response(_view(thing, state.now()))


def _not_seen_yet(state: State, thing: Thing) -> bool:
    """An object that was made a moment ago may not be found yet."""
    lag = timedelta(seconds=state.lag_seconds)
    young = state.now() < thing.created_at + lag
    return young and state.book.faults.strikes("not_found_after_success", thing.label)


async def report(request: web.Request) -> web.Response:
    """What an object has done to the balance, by the provider's books."""
    state = request.app[STATE]
    thing = state.book.things.get(request.match_info["id"])
    if thing is None:
        return _refusal(404, "not_found")
    amount = state.book.report(thing.id, state.now())
    view = {"id": thing.id, "act": thing.act, "amount": f"{amount:.2f}", "currency": thing.currency}
    return web.json_response(view | {"occurred_at": thing.created_at.isoformat()})


async def payouts(request: web.Request) -> web.Response:
    return web.json_response({"names": sorted(request.app[STATE].book.files)})


async def payout(request: web.Request) -> web.Response:
    text = request.app[STATE].book.files.get(request.match_info["name"])
    return _refusal(404, "not_found") if text is None else web.Response(text=text, content_type="text/csv")


async def disputes(request: web.Request) -> web.Response:
    """The disputes that have changed between two moments, a page at a time."""
    asked = request.query
    since, until = (datetime.fromisoformat(asked[name]) for name in ("since", "until"))
    page = request.app[STATE].book.disputes(since, until, asked.get("after", ""), A_PAGE)
    return web.json_response({"ids": page})


async def statement(request: web.Request) -> web.Response:
    """The provider's own account of us, as CSV."""
    return web.Response(text=request.app[STATE].book.statement(), content_type="text/csv")


async def pull(request: web.Request) -> web.Response:
    """Choose the faults."""
    wanted = Strings.model_validate_json(await request.read())
    state = request.app[STATE]
    chosen = chaos.everything(wanted.seed) if wanted.every else Faults(wanted.seed, wanted.rates)
    state.book.faults = state.sender.faults = chosen
    state.hold_seconds, state.lag_seconds = wanted.hold_seconds, wanted.lag_seconds
    return web.json_response({"seed": chosen.seed, "rates": dict(chosen.rates)})


async def put_forward(request: web.Request) -> web.Response:
    state = request.app[STATE]
    state.offset += timedelta(seconds=Forward.model_validate_json(await request.read()).seconds)
    return web.json_response({"now": state.now().isoformat()})


async def come_late(request: web.Request) -> web.Response:
    """Let everything go wrong that goes wrong long afterwards."""
    state = request.app[STATE]
    changed = state.book.come_late(state.now())
    state.log.things(state.book, changed)
    for each in changed:
        await state.sender.tell(each)
    return web.json_response({"changed": [_view(each, state.now()) for each in changed]})


async def end_dispute(request: web.Request) -> web.Response:
    """Let a dispute end."""
    state, wanted = request.app[STATE], Outcome.model_validate_json(await request.read())
    ended = state.book.end_dispute(request.match_info["id"], state.now(), won=wanted.won)
    state.log.things(state.book, [ended])
    await state.sender.tell(ended)
    return web.json_response(_view(ended, state.now()))


async def pay_out(request: web.Request) -> web.Response:
    """Publish a settlement file now."""
    return web.json_response({"name": publish(request.app[STATE])})


def publish(state: State) -> str | None:
    """Publish a settlement file of what is not paid out yet, if there is anything."""
    name = state.book.pay_out(state.now())
    if name is not None:
        state.log.things(state.book, [each for each in state.book.things.values() if each.paid_out == name])
        state.log.file(name, state.book.files[name])
    return name


async def forget(request: web.Request) -> web.Response:
    """Begin anew: nothing has ever happened."""
    state = request.app[STATE]
    for kept in (
        state.book.things,
        state.book.moves,
        state.book.files,
        state.sent,
        state.asked,
        state.book.faults.struck,
    ):
        kept.clear()
    state.offset = timedelta(0)
    state.log.forget()
    return web.json_response({})


async def truth(request: web.Request) -> web.Response:
    """The truth ledger: what every object has really moved, to compare others' books with."""
    state = request.app[STATE]
    now = state.now()
    things = [
        _view(each, now)
        | {"label": each.label, "moved": f"{state.book.report(each.id, now):.2f}", "paid_out": each.paid_out}
        for each in state.book.things.values()
    ]
    total = sum((each.amount for each in state.book.moves), Decimal(0))
    return web.json_response(
        {
            "things": things,
            "owed": f"{total:.2f}",
            "digest": state.book.digest(),
            "struck": state.book.faults.count(),
            "webhooks_waiting": state.sender.waiting,
            "webhooks_delivered": state.sender.delivered,
        }
    )  # fmt: skip


async def pending(request: web.Request) -> web.Response:
    """What the provider has not told yet, the settlement files that it has published, and its disputes."""
    state = request.app[STATE]
    disputes = sorted(each.id for each in state.book.things.values() if each.act == "dispute")
    return web.json_response(
        {"webhooks_waiting": state.sender.waiting, "files": sorted(state.book.files), "disputes": disputes}
    )


async def healthy(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


ROUTES: Final = (
    web.post("/v1/operations", operate),
    web.get("/v1/operations", find),
    web.get("/v1/operations/{id}", fetch),
    web.get("/v1/report/{id}", report),
    web.get("/v1/payouts", payouts),
    web.get("/v1/payouts/{name}", payout),
    web.get("/v1/disputes", disputes),
    web.get("/v1/statement", statement),
    web.put("/control/faults", pull),
    web.post("/control/clock", put_forward),
    web.post("/control/late", come_late),
    web.post("/control/disputes/{id}", end_dispute),
    web.post("/control/payout", pay_out),
    web.post("/control/forget", forget),
    web.get("/control/truth", truth),
    web.get("/control/pending", pending),
    web.get("/healthz", healthy),
    web.get("/readyz", healthy),
)


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Who may ask, and everything the provider says no to."""
    if request.path.startswith("/v1/"):
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        reads = bearer == request.app[READ_KEY]
        if not reads and bearer != request.app[API_KEY]:
            return _refusal(401, "unauthorized")
        if reads and request.method != "GET":
            return _refusal(403, "key_may_only_read")
    try:
        return await handler(request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return _refusal(400, f"invalid: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    except PspError as error:
        return _refusal(error.status, error.code)


def _view(thing: Thing, now: datetime) -> dict[str, str | None]:
    return {
        "id": thing.id,
        "key": thing.key,
        "act": thing.act,
        "parent": thing.parent,
        "amount": f"{thing.shown:.2f}",
        "currency": thing.currency,
        "status": thing.status_at(now),
        "reason": thing.reason if now >= thing.ready_at else None,
        "expires_at": thing.expires_at.isoformat() if thing.expires_at else None,
    }


def _refusal(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"code": code}}, status=status)


def _html_502() -> web.Response:
    return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")


async def _hang(request: web.Request, state: State) -> web.Response:
    """Say nothing until nobody listens any more."""
    await asyncio.sleep(state.hold_seconds)
    if request.transport:
        request.transport.abort()
    return web.Response(status=504)


async def _reset(request: web.Request) -> web.StreamResponse:
    """Break off in the middle of the body."""
    response = web.StreamResponse(
        status=200, headers={"Content-Type": "application/json", "Content-Length": "400"}
    )
    await response.prepare(request)
    await response.write(b'{"id": "op_')
    if request.transport:
        request.transport.abort()
    return response
