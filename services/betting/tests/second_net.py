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
