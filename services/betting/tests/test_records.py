"""What an offer says of itself: no record tells of another offer, and nobody is of another owner group than theirs."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta, timezone
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
from betting.domain.ids import Minor, OfferId, UserId
from betting.domain.offers import Options
from common.testing import Database

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.badges import shows
from services.betting.tests.floors import Floor, Placed
from services.betting.tests.second_net import as_the_service
from services.betting.tests.venue import Venue

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def floor(venue: Venue) -> Floor:
    return await venue.market()


@pytest.fixture
async def app(database: Database) -> AsyncIterator[Connection]:
    async with as_the_service(database) as connection:
        yield connection


async def write_down_again(
    app: Connection, offer: UUID, record: str | None, owner: UUID | None = None
) -> None:
    """The same offer again, under an id of its own, with that record and that owner group. `ID` in a record is the id."""
    id = uuid4()
    await app.execute(
        """
        INSERT INTO offer (id, idempotency_key, record, owner, market_id, market_version, user_id, side, risk, win, rank,
            stake, remaining, next_attempt_at, placed_at, fill_or_kill, min_fill, expires_at, challenges, answers, session)
        SELECT $2::uuid, $2::text, $3, coalesce($4, owner), market_id, market_version, user_id, side, risk, win, rank, stake,
               stake, now(), placed_at, fill_or_kill, min_fill, expires_at, challenges, answers, session
          FROM offer WHERE id = $1
        """,
        offer,
        id,
        record and record.replace("ID", str(id)),
        owner,
    )


async def test_whatever_is_asked_of_an_offer_is_in_its_record(venue: Venue, floor: Floor) -> None:
    """The database and the service say it in the same words, byte for byte."""
    ana, beto = venue.bettor(), venue.bettor()
    challenge = await floor.place(beto, 1, (4, 5), 40, options=Options(challenges=ana))
    soon = venue.clock() + timedelta(hours=1)
    asked = [
        Options(),
        Options(fill_or_kill=True, min_fill=Minor(1_234)),
        Options(min_fill=Minor(100), expires_at=soon.replace(microsecond=0)),
        Options(expires_at=soon.replace(microsecond=120_000).astimezone(timezone(timedelta(hours=-6)))),
        Options(challenges=UserId(uuid4()), expires_at=soon),
        Options(answers=OfferId(challenge.id)),
    ]
    for options, session in zip(asked, (None, "f" * 32, '"q" \\ / \n\t\x01') * 2, strict=True):
        wanted = replace(floor.wanted(0, (5, 4), 100, options=options), session=session)
        made = Placed.of(await venue.placing.place(call(ana), wanted))
        told = json.loads(await venue.reading.record(OfferId(made.id), ana))
        assert (told["session"], told["min_fill_minor"]) == (session, options.min_fill)
        assert told["expires_at"] == (options.expires_at and options.expires_at.isoformat())
        assert (told["stake_minor"], told["potential_win_minor"], told["bettor"]) == (10_000, 8_000, str(ana))


async def test_no_record_says_anything_else_than_its_offer(
    venue: Venue, floor: Floor, app: Connection
) -> None:
    expires_at = venue.clock() + timedelta(hours=1)
    made = await floor.place(venue.bettor(), 0, (5, 4), 100, options=Options(expires_at=expires_at))
    record: str = await app.fetchval(
        "SELECT replace(record, id::text, 'ID') FROM offer WHERE id = $1", made.id
    )
    await write_down_again(app, made.id, record)
    told = json.loads(record)
    other = {str: str(uuid4()), int: 7, bool: True, type(None): "another"}
    lies = [{**told, name: other[type(value)]} for name, value in told.items()]
    lies += [{**told, "expires_at": (expires_at + timedelta(hours=1)).isoformat()}, {**told, "more": 1}]
    texts = [json.dumps(lie, sort_keys=True, separators=(",", ":")) for lie in lies]
    texts += [json.dumps(told), record.replace('{"', '{"stake_minor":1,"', 1), "{}", ""]
    allowed: list[str | None] = []
    rules = set()
    for text in (*texts, None):
        try:
            await write_down_again(app, made.id, text)
        except asyncpg.CheckViolationError as refused:
            rules.add(refused.constraint_name)
        except asyncpg.DataError:
            continue  # no JSON, or no moment
        else:
            allowed.append(text)
    assert (allowed, rules) == ([], {"offer_record_says_what_counts"})


async def test_nobody_leaves_their_stable_for_an_offer(venue: Venue, floor: Floor, app: Connection) -> None:
    """Whatever the service takes two of one stable for, they are not matched: it would be one of them who is lost."""
    groom, stranger = venue.bettor(), venue.bettor()
    stable = await venue.stable("Cuadra Reyna", venue.bettor(), groom)
    for bettor, lies in ((groom, (groom, stranger)), (stranger, (stable, groom))):
        made = await floor.place(bettor, 0, (1, 1), 50)
        record: str = await app.fetchval(
            "SELECT replace(record, id::text, 'ID') FROM offer WHERE id = $1", made.id
        )
        await write_down_again(app, made.id, record)
        for owner in lies:
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                await write_down_again(app, made.id, record, owner)
            assert refused.value.constraint_name == "offer_owner_is_of_its_bettor"


@pytest.mark.parametrize("change", ["joins", "officiates"])
async def test_who_joins_a_stable_while_an_offer_is_written_down_waits(
    venue: Venue, floor: Floor, app: Connection, change: str
) -> None:
    """Else the offer, whose owner group has been looked for, would be refused, and all that are written with it. So does who
    is appointed: else it would rest, and what rested of theirs has been looked for."""
    stable, groom = await venue.stable("Cuadra Reyna"), venue.bettor()
    join = {
        "joins": f"INSERT INTO stable_member VALUES ('{groom}', '{stable}', 'GROOM', '{JUDGES[0]}')",
        "officiates": f"INSERT INTO appointment VALUES ('{floor.race.event_id}', '{groom}', '{JUDGES[0]}')",
    }[change]
    async with venue.owner.acquire() as desk, desk.transaction():
        await desk.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 6))", str(groom))
        joining = asyncio.ensure_future(app.execute(shows(JUDGES[0]) + join))
        await asyncio.sleep(0.2)
        assert not joining.done()
    await joining
