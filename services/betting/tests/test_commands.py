"""What betting asks of the ledger: nothing leaves that is not written down here, whoever writes it into the outbox."""

import copy
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import pytest
from common.testing import Database

from services.betting.tests.second_net import as_the_service
from services.betting.tests.test_results import a_bet, declared
from services.betting.tests.venue import Venue

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Command: TypeAlias = dict[str, Any]
COMMANDS = "SELECT body FROM outbox WHERE exchange = 'commands' ORDER BY id"


@pytest.fixture
async def app(database: Database) -> AsyncIterator[Connection]:
    async with as_the_service(database) as connection:
        yield connection


async def send(
    app: Connection,
    command: Command,
    *,
    exchange: str = "commands",
    routing_key: str = "ledger.commands.betting",
    aggregate: str | None = None,
) -> None:
    """Write a command into the outbox, and take that back."""
    whole = app.transaction()
    await whole.start()
    try:
        await app.execute(
            """
            INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
            VALUES (0, gen_random_uuid(), $1, $2, $3, 1, $4)
            """,
            exchange, routing_key, aggregate or command["data"]["reference"], json.dumps(command),
        )  # fmt: skip
    finally:
        await whole.rollback()


async def everything_asked(venue: Venue, app: Connection) -> list[Command]:
    """A bet, a rest that goes back, a settlement and its correction, each command as it left."""
    venue.users_per_chunk = 1
    venue.__post_init__()
    floor = await venue.market(race=await venue.race(state="SON"))
    await a_bet(venue, floor)
    await floor.place(venue.bettor(), 0, (1, 1), 50)
    asked = [json.loads(row["body"]) for row in await venue.owner.fetch(COMMANDS)]
    await declared(floor)
    asked += [json.loads(row["body"]) for row in await venue.owner.fetch(COMMANDS)][len(asked) :]
    await venue.time_passes()
    await venue.deliver()
    await venue.settling.settle_due()
    settling = [json.loads(row["body"]) for row in await venue.owner.fetch(COMMANDS)]
    for command in (*asked, *settling):
        await send(app, command)  # as it is, once more: the ledger knows its key
    return [*asked, *settling]


def first_leg(change: Callable[[Command], object]) -> Callable[[Command], object]:
    return lambda data: change(data["postings"][0])


def last_leg(change: Callable[[Command], object]) -> Callable[[Command], object]:
    return lambda data: change(data["postings"][-1])


LIES: dict[str, Callable[[Command], object]] = {
    "another amount": first_leg(lambda leg: leg.update(amount="1.00")),
    "another player": last_leg(lambda leg: leg.update(account=f"players/{uuid4()}/available")),
    "another hold": first_leg(lambda leg: leg.update(hold=str(uuid4()))),
    "another currency": last_leg(lambda leg: leg.update(currency="USD")),
    "the other way round": first_leg(lambda leg: leg.update(side="credit" if leg["side"] == "debit" else "debit")),
    "one leg more": lambda data: data["postings"].append(data["postings"][0]),
    "one leg less": lambda data: data["postings"].pop(),
    "another kind": lambda data: data.update(kind="bet.void" if data["kind"] != "bet.void" else "bet.settle"),
    "another key": lambda data: data.update(idempotency_key=data["idempotency_key"] + ":1"),
    "a key in capitals": lambda data: data.update(idempotency_key=data["idempotency_key"].upper()),
    "a key of its own": lambda data: data.update(idempotency_key="mine"),
    "no key": lambda data: data.pop("idempotency_key"),
    "another market": lambda data: data.update(reference=f"markets/{uuid4()}"),
    "a receipt": lambda data: data.update(receipt=str(uuid4())),
    "another time": lambda data: data.update(effective_at="2026-01-01T00:00:00Z"),
    "another version": lambda data: data.update(
        settlement={**(data["settlement"] or {"version": 0}), "version": (data["settlement"] or {"version": 1})["version"] + 1}
    ),
    "nothing": lambda data: data.clear(),
}  # fmt: skip


async def test_no_command_says_anything_else_than_what_is_written(venue: Venue, app: Connection) -> None:
    asked = await everything_asked(venue, app)
    assert {command["data"]["kind"] for command in asked} == {"bet.match", "bet.release", "bet.settle"}
    allowed = []
    for command in asked:
        for what, lie in LIES.items():
            forged = copy.deepcopy(command)
            lie(forged["data"])
            try:
                await send(app, forged, aggregate=command["data"]["reference"])
            except (asyncpg.CheckViolationError, asyncpg.DataError):
                continue
            allowed.append((command["data"]["kind"], what))
    assert not allowed


async def test_a_command_goes_to_its_own_queue(venue: Venue, app: Connection) -> None:
    """Not to another producer's queue, and under no other aggregate, where it would overtake those before it."""
    command = (await everything_asked(venue, app))[0]
    for elsewhere in (
        {"exchange": "retry"},
        {"routing_key": "ledger.commands.payments"},
        {"aggregate": f"markets/{uuid4()}"},
    ):
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await send(app, command, **elsewhere)
        assert refused.value.constraint_name == "command_is_as_written"


async def test_nothing_is_released_of_an_offer_that_has_not_ended(venue: Venue, app: Connection) -> None:
    """The rest of a stake goes back when nothing of it can become a bet any more."""
    floor = await venue.market()
    made = await floor.place(venue.bettor(), 0, (1, 1), 50)
    user = await app.fetchval("SELECT user_id FROM offer WHERE id = $1", made.id)
    leg = {"amount": "50.00", "currency": "MXN"}
    data = {
        "idempotency_key": f"release:{made.id}",
        "kind": "bet.release",
        "reference": f"markets/{floor.market.id}",
        "metadata": {"offer": str(made.id)},
        "postings": [
            {**leg, "account": f"players/{user}/held", "side": "debit", "hold": str(made.id)},
            {**leg, "account": f"players/{user}/available", "side": "credit"},
        ],
    }
    with pytest.raises(asyncpg.CheckViolationError):
        await send(app, {"data": data})
    await floor.close()
    await send(app, {"data": data})
