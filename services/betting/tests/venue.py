"""A carril for the tests: betting's use cases on a real database, with people, races and a ledger to book in."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
from betting import api
from betting.api.own_views import CancelView
from betting.api.registry_views import PermitView, StableView
from betting.api.views import EventView, MarketView, RaceView
from betting.app import handlers
from betting.consumers import LedgerEvents
from betting.domain.events import Event
from betting.domain.ids import EventId, MarketId, OfferId, RaceId, RunnerId, StableId, UserId
from betting.domain.margins import Margin
from betting.domain.markets import Market, TieRule
from betting.domain.offers import PLAIN, Options
from betting.domain.races import Race
from betting.domain.ratios import Ratio
from betting.domain.results import Declaration
from betting.ledger import Holds
from betting.service.calls import Call
from betting.service.desk import Desk, WantedOffer
from betting.service.floor import Floors
from betting.service.gates import Gates
from betting.service.officiating import Officiating
from betting.service.placing import Placing
from betting.service.programme import Programme, WantedEvent, WantedMarket, WantedRace
from betting.service.reading import Reading
from betting.service.registry import Registry, WantedPermit
from betting.service.settling import Settling
from betting.service.suspending import Suspending
from betting.service.trading import Trading
from betting.store.registry import Stable
from common.amqp import Delivery
from common.client import ServiceClient
from common.deadlines import DeadlineWorker
from common.errors import NotReady, Unavailable
from common.idempotency import Answer
from common.money import Money
from common.pg import Pool, create_pool
from common.testing import Database
from contracts.betting import OfferMatched
from contracts.envelope import Envelope, envelope
from contracts.ledger import EntryCommitted, PostRefused, PostRequested, RefusalReason
from pydantic import BaseModel

from services.betting.tests.books import Books, NotYet, Refusal
from services.betting.tests.fake_ledger import API_KEY, FakeLedger

Thing = TypeVar("Thing")
JUDGES = (UserId(uuid4()), UserId(uuid4()))
_keys = count(1)


async def insist(ask: Callable[[], Awaitable[Thing]]) -> Thing:
    """Ask as a good client does: again, with the same key, while the answer is "not now"."""
    for _ in range(300):
        try:
            return await ask()
        except (NotReady, Unavailable):
            await asyncio.sleep(0.1)
    raise AssertionError("no definite answer")


def call(user: UUID, key: str | None = None, fingerprint: bytes | None = None) -> Call:
    """A call under a key of its own unless told."""
    return Call(UserId(user), key or f"key-{next(_keys)}", fingerprint or bytes(32))


@dataclass
class Clock:
    """The time, which tests may move on."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Venue:
    """One open market after another, and everything that can happen in it."""

    pool: Pool
    owner: "asyncpg.Pool[asyncpg.Record]"
    ledger: FakeLedger
    holds: Holds
    clock: Clock = field(default_factory=Clock)
    users_per_chunk: int = 200
    heard: list[Envelope] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.programme = Programme(self.pool, clock=self.clock)
        self.registry = Registry(self.pool)
        self.gates = Gates(self.pool, self.programme, clock=self.clock)
        self.officiating = Officiating(self.pool)  # the database looks at its own clock when a window closes
        self.suspending = Suspending(self.pool, clock=self.clock)
        self.settling = Settling(self.pool, clock=self.clock, users_per_chunk=self.users_per_chunk)
        self.reading = Reading(self.pool)
        self.restart()

    def restart(self, patience: timedelta = timedelta(seconds=10)) -> None:
        """What a new process would have: nothing in memory."""
        self.floors = Floors(self.pool, clock=self.clock)
        self.desk = Desk(self.pool, patience=patience, clock=self.clock)
        self.placing = Placing(
            self.pool, self.desk, self.holds, self.floors, show=api.own_offer_answer, clock=self.clock
        )
        self.trading = Trading(self.pool, self.floors, clock=self.clock)
        self.deadlines = DeadlineWorker(
            self.pool, handlers(self.trading, self.gates, self.officiating), clock=self.clock
        )

    async def time_passes(self) -> None:
        """Whatever is due by now happens."""
        while await self.deadlines.turn():
            pass

    @property
    def books(self) -> Books:
        return self.ledger.books

    def bettor(self, pesos: str = "1000.00") -> UserId:
        """Somebody with money."""
        user = UserId(uuid4())
        self.books.fund(user, pesos)
        return user

    async def race(
        self,
        horses: tuple[str, ...] = ("El Moro", "La Chula"),
        *,
        objection_seconds: int = 0,
        state: str = "SIN",
    ) -> Race:
        """A race of a published event of its own."""
        events: list[Event] = []
        races: list[Race] = []
        now = self.clock()
        permit = WantedPermit(
            "P-1", "Carril La Herradura", "SEGOB", now.date(), now.date() + timedelta(days=1)
        )
        await self.registry.add_permit(call(JUDGES[0]), permit, lambda each: Answer.of(PermitView.of(each)))
        wanted = WantedEvent(
            "Junta", "Carril La Herradura", "P-1", now, state, objection_seconds=objection_seconds
        )
        await self.programme.create_event(
            call(JUDGES[0]), wanted, lambda event: _keep(events, event, EventView.of)
        )
        event_id = EventId(events[0].id)
        await self.programme.schedule_race(
            call(JUDGES[0]),
            event_id,
            WantedRace(1, 300, horses, self.clock() + timedelta(hours=1)),
            lambda race: _keep(races, race, RaceView.of),
        )
        await self.programme.publish(
            call(JUDGES[0]), event_id, lambda event: _keep(events, event, EventView.of)
        )
        return races[0]

    async def market(
        self,
        *,
        bps: int = 300,
        min_stake: int = 100,
        race: Race | None = None,
        objection_seconds: int = 0,
        **terms: Any,
    ) -> "Floor":
        """An open market, of a race of its own unless told."""
        race = race or await self.race(objection_seconds=objection_seconds)
        markets: list[Market] = []
        wanted = WantedMarket(
            **{
                "currency": "MXN", "commission_bps": bps, "tie_rule": TieRule.PUSH, "min_stake": min_stake,
                "max_stake": 100_000_000, **terms,
            }
        )  # fmt: skip
        await self.programme.open_market(
            call(JUDGES[0]), race.id, wanted, lambda market: _keep(markets, market, MarketView.of)
        )
        return Floor(self, race, markets[0])

    async def stable(self, name: str, *members: UserId) -> StableId:
        """A stable and its people."""
        stables: list[Stable] = []
        await self.registry.add_stable(
            call(JUDGES[0]), name, lambda stable: _keep(stables, stable, StableView.of)
        )
        for member in members:
            await self.registry.add_member(
                call(JUDGES[0]), stables[0].id, member, "OWNER", lambda each: Answer.of(StableView.of(each))
            )
        return stables[0].id

    async def runs_for(self, race: Race, runner: int, stable: StableId) -> None:
        await self.programme.set_stable(
            call(JUDGES[0]),
            race.runners[runner].id,
            race.id,
            stable,
            lambda each: Answer.of(RaceView.of(each)),
        )

    async def deliver(self, most: int | None = None) -> None:
        """What relay, broker and ledger do: book every command in order and bring the answers back.

        `most`: only so many messages, the first ones.
        """
        waiting = await self.owner.fetch(
            """
            DELETE FROM outbox WHERE (shard, id) IN (SELECT shard, id FROM outbox ORDER BY id LIMIT $1)
            RETURNING id, exchange, body
            """,
            most,
        )
        for row in sorted(waiting, key=lambda row: int(row["id"])):
            message = Envelope.model_validate_json(row["body"])
            self.heard.append(message)
            if row["exchange"] == "commands":
                await self._book(message)

    async def _book(self, message: Envelope) -> None:
        wanted = message.read(PostRequested)
        try:
            answer: EntryCommitted | PostRefused = self.books.command(wanted)
        except NotYet as early:
            raise AssertionError(f"{wanted.idempotency_key} came before its matches") from early
        except Refusal as refusal:
            answer = PostRefused(
                principal="betting",
                idempotency_key=wanted.idempotency_key,
                kind=wanted.kind,
                reference=wanted.reference,
                problem=RefusalReason(slug=str(refusal), detail="no"),
            )
        await self.hear(answer)

    async def hear(self, answer: EntryCommitted | PostRefused, *, id: UUID | None = None) -> None:
        """Bring an answer of the ledger's to betting."""
        told = envelope(answer, id=id or uuid4(), subject=answer.reference, version=1, time=datetime.now(UTC))
        delivery = Delivery("betting.ledger-events", told, b"", 1, redelivered=False)
        await LedgerEvents(self.settling).handle(delivery)

    async def sweep(self) -> None:
        """Let the sweeper take up whatever is pending, however fresh."""
        self.clock.ahead += timedelta(minutes=10)
        while await self.placing.resume(limit=500):
            self.clock.ahead += timedelta(minutes=10)

    async def check_money(self) -> None:
        """Betting and the ledger tell the same story, and so do betting's own tables."""
        for row in await self.owner.fetch(
            "SELECT id, status, remaining FROM offer WHERE status <> 'PENDING'"
        ):
            assert self.books.holds.get(row["id"], Decimal(0)) == row["remaining"], tuple(row)
        for row in await self.owner.fetch("SELECT id, status, escrow FROM market"):
            left = Decimal(0) if row["status"] in ("SETTLED", "VOID", "SETTLING") else row["escrow"]
            assert self.books.balances[f"markets/{row['id']}/escrow"] == left, tuple(row)
        assert not await self.owner.fetch(
            """
            SELECT o.id FROM offer o LEFT JOIN fill f ON o.id IN (f.maker_offer, f.taker_offer)
            GROUP BY o.id
            HAVING o.matched <> coalesce(sum(CASE o.id WHEN f.maker_offer THEN f.maker_stake ELSE f.taker_stake END), 0)
            """
        )
        assert not await self.owner.fetch(
            """
            SELECT m.id FROM market m LEFT JOIN fill f ON f.market_id = m.id
            GROUP BY m.id HAVING m.escrow <> coalesce(sum(f.pot), 0)
            """
        )

    def check_history(self) -> None:
        """Each aggregate's events are versioned without a gap, in the order they were told."""
        versions: dict[str, list[int]] = {}
        for message in self.heard:
            if message.type.startswith("betting."):
                versions.setdefault(message.partitionkey, []).append(message.sequence)
        for aggregate, seen in versions.items():
            assert seen == list(range(1, len(seen) + 1)), aggregate

    def matches(self, market: MarketId) -> list[OfferMatched]:
        return [
            message.read(OfferMatched)
            for message in self.heard
            if message.type == OfferMatched.type and message.partitionkey == f"markets/{market}"
        ]


@dataclass
class Floor:
    """The floor of one market."""

    venue: Venue
    race: Race
    market: Market

    def wanted(
        self,
        side: int,
        ratio: tuple[int, int],
        pesos: int,
        *,
        version: int = 1,
        options: Options = PLAIN,
        repeat: bool = True,
    ) -> WantedOffer:
        return WantedOffer(
            market_id=self.market.id,
            market_version=version,
            terms_hash=None,
            runner_id=self.race.runners[side].id,
            ratio=Ratio(*ratio),
            stake=pesos * 100,
            currency="MXN",
            options=options,
            repeat=repeat,
        )

    async def place(
        self,
        user: UUID,
        side: int,
        ratio: tuple[int, int],
        pesos: int,
        *,
        key: str | None = None,
        version: int = 1,
        options: Options = PLAIN,
        repeat: bool = True,
    ) -> "Placed":
        wanted = self.wanted(side, ratio, pesos, version=version, options=options, repeat=repeat)
        return Placed.of(await self.venue.placing.place(call(user, key), wanted))

    async def cancel(self, user: UUID, offer: UUID, *, key: str | None = None) -> int:
        """How much it took back, in centavos."""
        answer = await self.venue.trading.cancel(
            call(user, key), OfferId(offer), lambda done: Answer.of(CancelView.of(done))
        )
        return Money.parse(json.loads(answer.body)["cancelled"], "MXN").minor

    async def close(self) -> Answer:
        return await self.venue.gates.close(
            call(JUDGES[0]), self.market.id, lambda market: Answer.of(MarketView.of(market))
        )

    async def scratch(self, reason: str = "cojea") -> Answer:
        return await self.venue.gates.scratch(
            call(JUDGES[0]), self.race.id, reason, lambda race: Answer.of(RaceView.of(race))
        )

    async def no_contest(self, reason: str = "crossed the rail") -> Answer:
        return await self.venue.gates.no_contest(
            call(JUDGES[0]), self.race.id, reason, lambda race: Answer.of(RaceView.of(race))
        )

    def seen(
        self, winner: int | None, *, margin: Margin = Margin.CABEZA, off: datetime | None = None
    ) -> Declaration:
        """What an official could have seen; the race was off long after the last bet unless told."""
        return Declaration(
            winner=None if winner is None else RunnerId(self.race.runners[winner].id),
            margin=None if winner is None else margin,
            off_time=off or datetime(2036, 6, 7, 18, tzinfo=UTC),
            photo_sha256=bytes(32),
        )

    async def declare(
        self,
        winner: int | None,
        *,
        judge: UserId = JUDGES[0],
        margin: Margin = Margin.CABEZA,
        off: datetime | None = None,
    ) -> Answer:
        seen = self.seen(winner, margin=margin, off=off)
        return await self.venue.officiating.declare(
            call(judge), RaceId(self.race.id), seen, lambda race: Answer.of(RaceView.of(race))
        )

    async def finish(self, winner: int | None) -> None:
        """Close, two results, settle, book."""
        await self.close()
        await self.finish_decided(winner)

    async def finish_decided(self, winner: int | None) -> None:
        """Two results, settle, book."""
        for judge in JUDGES:
            await self.declare(winner, judge=judge)
        await self.venue.time_passes()
        await self.venue.settling.settle_due()
        await self.venue.deliver()

    async def status(self) -> str:
        status: str = await self.venue.owner.fetchval(
            "SELECT status FROM market WHERE id = $1", self.market.id
        )
        return status

    async def offers(self) -> dict[UUID, str]:
        rows = await self.venue.owner.fetch(
            "SELECT id, status FROM offer WHERE market_id = $1", self.market.id
        )
        return {row["id"]: row["status"] for row in rows}


@dataclass(frozen=True)
class Placed:
    """A placement's answer, read."""

    http: int
    id: UUID
    status: str
    matched: str = "0.00"
    fills: int = 0
    problem: str = ""
    replayed: bool = False

    @classmethod
    def of(cls, answer: Answer) -> "Placed":
        body = json.loads(answer.body)
        if answer.status >= 400:
            return cls(answer.status, UUID(body["offer"]), "", problem=body["type"], replayed=answer.replayed)
        return cls(
            answer.status,
            UUID(body["id"]),
            body["status"],
            body["matched"],
            len(body["fills"]),
            "",
            answer.replayed,
        )


def _keep(found: list[Thing], thing: Thing, view: Callable[[Thing], BaseModel]) -> Answer:
    """Remember the thing itself beside the answer that shows it."""
    found.append(thing)
    return Answer.of(view(thing))


@asynccontextmanager
async def open_venue(database: Database, ledger: FakeLedger) -> AsyncIterator[Venue]:
    async with AsyncExitStack() as stack:
        pool = await create_pool(database.dsn("betting_app"), max_size=16, application_name="test")
        stack.push_async_callback(pool.close)
        owner = await stack.enter_async_context(
            asyncpg.create_pool(database.superuser_dsn, min_size=1, max_size=4)
        )
        client = await stack.enter_async_context(
            ServiceClient(ledger.url, timeout_seconds=2.0, headers={"Authorization": f"Bearer {API_KEY}"})
        )
        yield Venue(pool, owner, ledger, Holds(client))
