"""What the tests of the second net look at: a market in which everything has happened, and betting's own login."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from common.testing import Database

from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue


@dataclass
class Scene:
    """A market with a bet in it, an offer resting, and another market beside it."""

    floor: Floor
    other: Floor
    made: UUID
    taken: UUID
    resting: UUID
    also: UUID


async def set_scene(venue: Venue) -> Scene:
    floor = await venue.market()
    made = await floor.place(venue.bettor(), 0, (5, 4), 500)
    taken = await floor.place(venue.bettor(), 1, (4, 5), 200)
    resting = await floor.place(venue.bettor(), 1, (1, 2), 100)
    also = await floor.place(venue.bettor(), 0, (5, 4), 100)
    return Scene(floor, await venue.market(), made.id, taken.id, resting.id, also.id)


@asynccontextmanager
async def as_the_service(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn("betting_app"))
    try:
        yield connection
    finally:
        await connection.close()


OFFER = """
    INSERT INTO offer (id, market_id, market_version, user_id, owner, idempotency_key, side, risk, win, rank, stake,
        remaining, next_attempt_at, placed_at, record)
    SELECT {id}, m.id, 1, {new}, {new}, 'k', 'A', {risk}, {win}, {rank}, {stake}, {remaining}, now(), now(),
           wager_record(jsonb_populate_record(NULL::offer, jsonb_build_object(
               'id', {id}, 'market_id', m.id, 'market_version', 1, 'user_id', {new}, 'side', 'A', 'risk', {risk}, 'win', {win},
               'stake', {stake}, 'fill_or_kill', false, 'placed_at', now())),
               m.currency, r.event_id, m.race_id, m.runner_a, m.terms_hash)
      FROM market m JOIN race r ON r.id = m.race_id WHERE m.id = {market}
"""
FILL = """
    INSERT INTO fill (id, market_id, sequence, maker_offer, maker_user, maker_side, maker_stake, risk, win,
        taker_offer, taker_user, taker_side, taker_stake, taker_risk, taker_win, lots, pot, matched_at)
    SELECT {new}, m.market_id, 999, m.id, m.user_id, m.side, {maker_stake}, m.risk, m.win,
           t.id, t.user_id, t.side, {taker_stake}, t.risk, t.win, {lots}, {pot}, {matched_at}
      FROM offer m, offer t WHERE m.id = {maker} AND t.id = {taker}
"""


def an_offer(
    *, id: str = "{new}", ratio: str = "5, 4, 4", stake: str = "5.00", remaining: str | None = None
) -> str:
    """A statement that writes an offer down, with its record, for `literals` to fill in."""
    risk, win, rank = ratio.split(", ")
    return OFFER.format(
        id=id,
        new="{new}",
        market="{market}",
        risk=risk,
        win=win,
        rank=rank,
        stake=stake,
        remaining=remaining or stake,
    )


def a_fill(
    *,
    maker: str = "{made}",
    taker: str = "{taken}",
    stakes: str = "5.00, 4.00",
    lots: int = 100,
    pot: str = "9.00",
    matched_at: str = "now()",
) -> str:
    maker_stake, taker_stake = stakes.split(", ")
    return FILL.format(
        new="{new}",
        maker=maker,
        taker=taker,
        maker_stake=maker_stake,
        taker_stake=taker_stake,
        lots=lots,
        pot=pot,
        matched_at=matched_at,
    )
