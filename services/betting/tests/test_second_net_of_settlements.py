"""The second net under settlements: worked out twice, booked in order, written whole and once."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from betting.domain.ids import RunnerId
from betting.domain.margins import Margin
from betting.domain.markets import MarketKind, TieRule
from betting.domain.offers import Side
from betting.domain.results import Declaration, outcome_of
from common.testing import Database

from services.betting.tests.second_net import Scene, as_the_service, set_scene
from services.betting.tests.venue import Venue


@pytest.fixture
async def scene(venue: Venue) -> Scene:
    return await set_scene(venue)


@pytest.fixture
async def app(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    async with as_the_service(database) as connection:
        yield connection


async def test_a_settlement_is_not_booked_before_its_chunks(venue: Venue, scene: Scene) -> None:
    await scene.floor.finish(0)
    async with venue.owner.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE settlement DISABLE TRIGGER settlement_stays_booked")
        await connection.execute("ALTER TABLE settlement_chunk DISABLE TRIGGER settlement_chunk_stays_booked")
        await connection.execute("UPDATE settlement SET booked_at = NULL")
        await connection.execute("UPDATE settlement_chunk SET booked_at = NULL, entry_sequence = NULL")
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await connection.execute("UPDATE settlement SET booked_at = now()")
        assert refused.value.constraint_name == "settlement_books_every_chunk"


@pytest.mark.parametrize(
    ("rule", "lie"),
    [
        (
            "settlement_shares_are_right",
            "UPDATE draft SET payout = payout + 1, commission = commission - 1 WHERE payout > 0",
        ),
        ("settlement_shares_are_right", "UPDATE draft SET payout = payout + commission, commission = 0"),
        ("settlement_shares_are_right", "DELETE FROM draft WHERE payout = 0"),
        ("settlement_follows_the_result", "UPDATE draft_header SET outcome = 'B'"),
        ("settlement_follows_the_result", "UPDATE draft_header SET outcome = 'VOID', late_after = NULL"),
        (
            "settlement_follows_the_result",
            "UPDATE draft_header SET late_after = late_after + interval '1 second'",
        ),
        ("settlement_follows_the_result", "UPDATE draft_header SET tax = 'isr', withholding_bps = 100"),
        ("settlement_follows_the_result", "UPDATE draft_header SET result_version = 2"),
        ("settlement_chunks_are_right", "UPDATE draft_chunk SET total = total + 1"),
        ("settlement_pays_the_escrow", "UPDATE draft_header SET total = total + 1"),
        ("settlement_pays_the_escrow", "UPDATE draft_header SET chunks = 2"),
        ("settlement_books_every_chunk", "UPDATE draft_header SET booked_at = now()"),
    ],
)
async def test_a_settlement_is_computed_twice(venue: Venue, scene: Scene, rule: str, lie: str) -> None:
    """The database works out every share from the bets; a settlement that lies about one does not commit."""
    await scene.floor.finish(0)
    connection = await venue.owner.acquire()
    whole = connection.transaction()
    await whole.start()
    try:
        for draft, table in (("draft", "share"), ("draft_chunk", "chunk"), ("draft_header", "")):
            await connection.execute(
                f"CREATE TEMP TABLE {draft} ON COMMIT DROP AS SELECT * FROM settlement{'_' if table else ''}{table}"
            )
        await connection.execute("UPDATE draft_chunk SET booked_at = NULL, entry_sequence = NULL")
        await connection.execute("UPDATE draft_header SET booked_at = NULL")
        await connection.execute(
            "DELETE FROM settlement_share; DELETE FROM settlement_chunk; DELETE FROM settlement"
        )
        await connection.execute(lie)
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await connection.execute(
                """
                INSERT INTO settlement SELECT * FROM draft_header;
                INSERT INTO settlement_chunk SELECT * FROM draft_chunk;
                INSERT INTO settlement_share SELECT * FROM draft;
                SET CONSTRAINTS ALL IMMEDIATE
                """
            )
        assert refused.value.constraint_name == rule
    finally:
        await whole.rollback()
        await venue.owner.release(connection)


async def test_an_outcome_is_the_same_in_both_nets(venue: Venue, scene: Scene) -> None:
    """Every question about two of three runners, every order in which they may come in, every margin."""
    runners = [RunnerId(UUID(int=number)) for number in (1, 2, 3)]
    one, other, third = runners
    orders: list[tuple[tuple[RunnerId, ...], ...]] = [
        ((one,), (other,), (third,)), ((third,), (other,), (one,)), ((one, other),), ((third,), (one, other)),
        ((third,),), ((other,),), ((one,),), ((other, third),),
    ]  # fmt: skip
    terms = scene.floor.market.terms
    questions = [
        replace(terms, runner_a=one, runner_b=other, tie_rule=tie_rule, kind=kind, giver=giver, line=line)
        for tie_rule in TieRule
        for kind, giver, line in [
            (MarketKind.GANA, None, None),
            *((MarketKind.VENTAJA, giver, line) for giver in Side for line in Margin),
        ]
    ]
    asked = [
        (each, Declaration(winner, margin, datetime(2036, 1, 1, tzinfo=UTC), bytes(32), places))
        for each in questions
        for places in orders
        for winner in [places[0][0] if len(places[0]) == 1 else None]
        for margin in ([None] if winner is None else Margin)
    ]
    found = await venue.owner.fetch(
        """
        SELECT outcome_by(kind, tie_rule, giver, line, place_in(places, $7), place_in(places, $8), margin) AS outcome
          FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
               WITH ORDINALITY AS a (kind, tie_rule, giver, line, margin, places, at) ORDER BY at
        """,
        [each.kind for each, _ in asked],
        [each.tie_rule for each, _ in asked],
        [each.giver for each, _ in asked],
        [each.line for each, _ in asked],
        [seen.margin for _, seen in asked],
        [json.dumps([[str(runner) for runner in group] for group in seen.places]) for _, seen in asked],
        one,
        other,
    )  # fmt: skip
    market = scene.floor.market
    assert [row["outcome"] for row in found] == [
        outcome_of(replace(market, terms=each), seen).value for each, seen in asked
    ]
    assert len({row["outcome"] for row in found}) == 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE settlement SET booked_at = NULL",
        "UPDATE settlement SET booked_at = booked_at + interval '1 hour'",
        "UPDATE settlement_chunk SET booked_at = NULL, entry_sequence = NULL",
        "UPDATE settlement_chunk SET entry_sequence = entry_sequence + 1",
    ],
)
async def test_what_was_booked_stays_booked(
    app: "asyncpg.Connection[asyncpg.Record]", scene: Scene, statement: str
) -> None:
    await scene.floor.finish(0)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await app.execute(statement)
    assert refused.value.constraint_name == "settlement_stays_booked"


async def test_a_settled_market_is_not_void_because_somebody_writes_so(
    app: "asyncpg.Connection[asyncpg.Record]", scene: Scene
) -> None:
    """With a reason of its own it could have been settled again as void: everybody's winnings back."""
    await scene.floor.finish(0)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await app.execute("UPDATE market SET void_reason = 'x' WHERE id = $1", scene.floor.market.id)
    assert refused.value.constraint_name == "market_is_void_with_its_race"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO settlement_chunk VALUES ($1, 1, 2, 5)",
        """INSERT INTO settlement_share (market_id, version, user_id, chunk, staked, payout, commission)
            VALUES ($1, 1, gen_random_uuid(), 1, 5, 5, 0)""",
    ],
)
async def test_nothing_is_added_to_a_settlement(
    app: "asyncpg.Connection[asyncpg.Record]", scene: Scene, statement: str
) -> None:
    """A share more would be paid with the next chunk that is asked for again."""
    await scene.floor.finish(0)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await app.execute(statement, scene.floor.market.id)
    assert refused.value.constraint_name == "settlement_is_written_whole"


async def test_nothing_is_settled_twice(venue: Venue, scene: Scene) -> None:
    await scene.floor.finish(0)
    for table in ("settlement", "settlement_chunk", "settlement_share"):
        with pytest.raises(asyncpg.UniqueViolationError):
            await venue.owner.execute(f"INSERT INTO {table} SELECT * FROM {table}")
