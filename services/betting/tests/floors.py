"""The floor of one market, for the tests: what bettors and officials do there, and how it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from betting.api.own_views import CancelView
from betting.api.views import MarketView, RaceView
from betting.domain.ids import OfferId, RaceId, RunnerId, UserId
from betting.domain.margins import Margin
from betting.domain.markets import Market
from betting.domain.offers import PLAIN, Options
from betting.domain.races import Race
from betting.domain.ratios import Ratio
from betting.domain.results import Declaration
from betting.service.desk import WantedOffer
from common.idempotency import Answer
from common.money import Money

from services.betting.tests.asking import JUDGES, call

if TYPE_CHECKING:
    from services.betting.tests.venue import Venue


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
    ) -> Placed:
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

    async def ends(self) -> set[tuple[str, str | None]]:
        """How offers of this market stand, each status with the reason if it has ended before it was filled."""
        rows = await self.venue.owner.fetch(
            "SELECT DISTINCT status, ending FROM offer WHERE market_id = $1", self.market.id
        )
        return {(row["status"], row["ending"]) for row in rows}


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
    def of(cls, answer: Answer) -> Placed:
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
