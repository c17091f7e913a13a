"""A carril for the tests: betting's use cases on a real database, with people, races and a ledger to book in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from betting import api
from betting.api.registry_views import PermitView, RateApprovalView, StableView
from betting.api.views import EventView, MarketView, RaceView
from betting.app import handlers
from betting.consumers import LedgerEvents
from betting.domain.events import Event
from betting.domain.ids import EventId, MarketId, StableId, UserId
from betting.domain.markets import Market, TieRule
from betting.domain.races import Race
from betting.domain.withholding import RateApproval, TaxRate
from betting.ledger import Holds, MarketBooks, Purses
from betting.service.collecting import Collecting
from betting.service.desk import Desk
from betting.service.excluding import Excluding
from betting.service.floor import Floors
from betting.service.gates import Gates
from betting.service.holding import Holding
from betting.service.officiating import Officiating
from betting.service.placing import Placing
from betting.service.programme import Programme, WantedEvent, WantedMarket, WantedRace
from betting.service.reading import Reading
from betting.service.registry import Registry, WantedPermit
from betting.service.rejecting import Rejecting
from betting.service.restarting import Restarting
from betting.service.settling import Settling
from betting.service.suspending import Suspending
from betting.service.trading import Trading
from betting.service.withholding import Withholding
from betting.store.registry import Stable
from common.amqp import Delivery
from common.client import ServiceClient
from common.deadlines import DeadlineWorker
from common.idempotency import Answer
from common.pg import Pool, create_pool
from common.roles import Role
from common.testing import Database
from contracts.betting import OfferMatched
from contracts.envelope import Envelope, envelope
from contracts.ledger import EntryCommitted, PostRefused, PostRequested, RefusalReason

from services.betting.tests.asking import JUDGES, Clock, call, keep
from services.betting.tests.books import Books, NotYet, Refusal
from services.betting.tests.checks import money_agrees, told_without_gaps
from services.betting.tests.fake_ledger import API_KEY, FakeLedger
from services.betting.tests.floors import Floor


@dataclass
class Venue:
    """One open market after another, and everything that can happen in it."""

    pool: Pool
    owner: "asyncpg.Pool[asyncpg.Record]"
    ledger: FakeLedger
    client: ServiceClient
    clock: Clock = field(default_factory=Clock)
    users_per_chunk: int = 200
    heard: list[Envelope] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.programme = Programme(self.pool, clock=self.clock)
        self.registry = Registry(self.pool, clock=self.clock)
        self.withholding = Withholding(self.pool, self.client, clock=self.clock)
        self.gates = Gates(self.pool, self.programme, clock=self.clock)
        self.officiating = Officiating(self.pool)  # the database looks at its own clock when a window closes
        self.suspending = Suspending(self.pool, clock=self.clock)
        self.settling = Settling(self.pool, clock=self.clock, users_per_chunk=self.users_per_chunk)
        self.restarting = Restarting(
            self.pool, MarketBooks(self.client), self.settling, self.suspending, clock=self.clock
        )
        self.reading = Reading(self.pool)
        self.collecting = Collecting(self.pool, Purses(self.client), clock=self.clock)
        self.excluding = Excluding(self.pool, self.suspending)
        self.restart()

    def restart(self, patience: timedelta = timedelta(seconds=10)) -> None:
        """What a new process would have: nothing in memory."""
        turn = asyncio.Lock()
        self.floors = Floors(self.pool, clock=self.clock, turn=turn)
        self.desk = Desk(self.pool, patience=patience, clock=self.clock, turn=turn)
        self.placing = Placing(
            self.pool,
            self.desk,
            Holding(Holds(self.client)),
            self.floors,
            Rejecting(self.pool, clock=self.clock),
            show=api.own_offer_answer,
            clock=self.clock,
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
        offset: timedelta = timedelta(),
        days: int = 0,
    ) -> Race:
        """A race of a published event of its own, which begins now, or in so many days, and is written in this offset
        from UTC."""
        events: list[Event] = []
        races: list[Race] = []
        now = self.clock() + timedelta(days=days)
        permit = WantedPermit(
            "P-1", "Carril La Herradura", "SEGOB", now.date(), now.date() + timedelta(days=1)
        )
        await self.registry.add_permit(call(JUDGES[0]), permit, lambda each: Answer.of(PermitView.of(each)))
        wanted = WantedEvent(
            "Junta", "Carril La Herradura", "P-1", now.astimezone(timezone(offset)), state,
            objection_seconds=objection_seconds,
        )  # fmt: skip
        await self.programme.create_event(
            call(JUDGES[0]), wanted, lambda event: keep(events, event, EventView.of)
        )
        event_id = EventId(events[0].id)
        await self.programme.schedule_race(
            call(JUDGES[0]),
            event_id,
            WantedRace(1, 300, horses, self.clock() + timedelta(hours=1)),
            lambda race: keep(races, race, RaceView.of),
        )
        await self.programme.publish(
            call(JUDGES[0]), event_id, lambda event: keep(events, event, EventView.of)
        )
        return races[0]

    async def tax(self, *rates: TaxRate) -> None:
        """What two administrators agree that the law withholds."""
        found: list[RateApproval] = []
        for rate in rates:
            await self.withholding.ask(
                call(JUDGES[0], role=Role.ADMIN),
                rate,
                "the law",
                lambda each: keep(found, each, RateApprovalView.of),
            )
            await self.withholding.decide(
                call(JUDGES[1], role=Role.ADMIN),
                found[-1].id,
                lambda each: Answer.of(RateApprovalView.of(each)),
                approve=True,
            )

    async def market(
        self,
        *,
        bps: int = 300,
        min_stake: int = 100,
        race: Race | None = None,
        objection_seconds: int = 0,
        **terms: Any,
    ) -> Floor:
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
            call(JUDGES[0]), race.id, wanted, lambda market: keep(markets, market, MarketView.of)
        )
        return Floor(self, race, markets[0])

    async def stable(self, name: str, *members: UserId) -> StableId:
        """A stable and its people."""
        stables: list[Stable] = []
        await self.registry.add_stable(
            call(JUDGES[0]), name, lambda stable: keep(stables, stable, StableView.of)
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
        await LedgerEvents(self.settling, self.collecting).handle(delivery)

    async def sweep(self) -> None:
        """Let the sweeper take up whatever is pending, however fresh."""
        due = "UPDATE offer SET next_attempt_at = '-infinity' WHERE status = 'PENDING'"
        while await self.owner.execute(due) != "UPDATE 0":
            await self.placing.resume()

    async def check_money(self) -> None:
        """Betting and the ledger tell the same story, and so do betting's own tables."""
        await money_agrees(self.owner, self.books)

    def check_history(self) -> None:
        """Each aggregate's events are versioned without a gap, in the order they were told."""
        told_without_gaps(self.heard)

    def matches(self, market: MarketId) -> list[OfferMatched]:
        return [
            message.read(OfferMatched)
            for message in self.heard
            if message.type == OfferMatched.type and message.partitionkey == f"markets/{market}"
        ]


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
        yield Venue(pool, owner, ledger, client)
