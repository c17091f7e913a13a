"""What no writer can do to the one total order: not by numbers of its own, not by looking first and writing later."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
from common.pg import Isolation

from services.ledger.tests.forgery import Line, Scene, available, held
from services.ledger.tests.forgery import scene as scene
from services.ledger.tests.test_resettle import Settled
from services.ledger.tests.test_resettle import settled as settled
from services.ledger.tests.vocabulary import (
    PRINCIPAL,
    Bank,
    connected,
    hold,
    one_row,
    posted,
)

REFUSAL = """
INSERT INTO refusal (id, ledger_id, kind, principal, idempotency_key, fingerprint, reference, problem)
VALUES ($1, 1, 'bet.hold', $2, 'k', sha256('x'), 'r', '{}')
"""


class Written(NamedTuple):
    """A posting as a forger writes it: `number` and `balance` are what it says of its account."""

    path: str
    number: int
    amount: Decimal
    balance: Decimal
    hold: UUID | None = None


async def write(
    connection: asyncpg.Connection,
    reference: str,
    *entries: tuple[str, Sequence[Written]],
    after: int = 0,
    part: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None),
) -> str:
    """Write entries in one statement, `after` others that are on their way; the rule that refused them. `part` is the
    settlement's version, total, chunk and chunks."""
    head = (await one_row(connection, "SELECT sequence FROM head WHERE ledger_id = 1"))["sequence"] + after
    try:
        await connection.execute(
            """
            WITH e AS (
                INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference,
                    settlement_version, settlement_total, settlement_chunk, settlement_chunks)
                SELECT 1, $1 + place, gen_random_uuid(), kind, legs, $2, gen_random_uuid()::text, $3, $4, $14, $15, $16, $17
                  FROM unnest($5::text[], $6::int[]) WITH ORDINALITY AS e (kind, legs, place))
            INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance, hold)
            SELECT 1, $1 + p.place, p.leg, a.id, p.number, p.amount, p.balance, p.hold
              FROM unnest($7::int[], $8::int[], $9::text[], $10::int[], $11::numeric[], $12::numeric[], $13::uuid[])
                   AS p (place, leg, path, number, amount, balance, hold)
              JOIN account a ON a.ledger_id = 1 AND a.path = p.path
            """,
            head,
            PRINCIPAL,
            hashlib.sha256(b"x").digest(),
            reference,
            [kind for kind, _ in entries],
            [len(lines) for _, lines in entries],
            *map(
                list,
                zip(
                    *(
                        (place, leg, *line)
                        for place, (_, lines) in enumerate(entries, 1)
                        for leg, line in enumerate(lines, 1)
                    ),
                    strict=True,
                ),
            ),
            *part,
        )
    except asyncpg.PostgresError as refusal:
        return str(refusal.constraint_name or refusal.sqlstate)
    return "posted"


class State(NamedTuple):
    balance: Decimal
    number: int


async def state(connection: asyncpg.Connection, path: str) -> State:
    row = await one_row(
        connection,
        "SELECT amount, sequence FROM account JOIN balance ON account_id = id WHERE path = $1",
        path,
    )
    return State(row["amount"], row["sequence"])


@pytest.mark.parametrize(
    ("first", "rule"), [("bet.release", "posted"), ("bet.hold", "account_sequence_is_next")]
)
async def test_postings_are_numbered_in_the_order_of_their_entries(
    scene: Scene, first: str, rule: str
) -> None:
    """Sixty are there; a hundred can be held once forty are released, and not by an entry that comes before that one."""
    posting, offer, hundred, forty = scene.at["ledger_posting"], uuid4(), Decimal(100), Decimal(40)
    mine, kept = await state(posting, available(scene.rich)), await state(posting, held(scene.rich))
    releasing = (
        Written(held(scene.rich), kept.number + 1, forty, kept.balance + forty, scene.offer),
        Written(available(scene.rich), mine.number + 1, -forty, mine.balance - forty),
    )
    holding = (
        Written(available(scene.rich), mine.number + 2, hundred, mine.balance - forty + hundred),
        Written(held(scene.rich), kept.number + 2, -hundred, kept.balance + forty - hundred, offer),
    )
    entries = [("bet.release", releasing), ("bet.hold", holding)]
    ordered = entries if first == "bet.release" else entries[::-1]
    told = await write(posting, f"markets/{scene.market}", *ordered)
    assert told == rule


@pytest.mark.parametrize(
    "numbers", [(2, 1), (1, 3), (1, 1)], ids=["in their order", "without a gap", "each once"]
)
async def test_the_legs_of_an_entry_are_numbered(scene: Scene, numbers: tuple[int, int]) -> None:
    posting, market = scene.at["ledger_posting"], f"markets/{scene.market}"
    mine, kept = await state(posting, available(scene.rich)), await state(posting, held(scene.rich))
    amounts, first = (Decimal(1), Decimal(2)), numbers.index(1)
    after = [kept.balance - sum(amounts)] * 2
    after[first] = kept.balance - amounts[first]
    legs = (
        Written(
            available(scene.rich), mine.number + 1, sum(amounts, Decimal(0)), mine.balance + sum(amounts)
        ),
        *(
            Written(held(scene.rich), kept.number + number, -amount, balance, uuid4())
            for number, amount, balance in zip(numbers, amounts, after, strict=True)
        ),
    )
    told = await write(posting, market, ("bet.hold", legs))
    assert told == ("posting_account_sequence_is_unique" if numbers == (1, 1) else "account_sequence_is_next")


async def test_a_hold_is_not_drawn_before_it_is_opened(scene: Scene) -> None:
    """Forty are held besides, so there is money to draw."""
    posting, offer, one = scene.at["ledger_posting"], uuid4(), Decimal(1)
    mine, kept = await state(posting, available(scene.rich)), await state(posting, held(scene.rich))
    drawn = (
        Written(held(scene.rich), kept.number + 1, one, kept.balance + one, offer),
        Written(available(scene.rich), mine.number + 1, -one, mine.balance - one),
    )
    opened = (
        Written(available(scene.rich), mine.number + 2, one, mine.balance),
        Written(held(scene.rich), kept.number + 2, -one, kept.balance, offer),
    )
    entries = (("bet.release", drawn), ("bet.hold", opened))
    assert await write(posting, f"markets/{scene.market}", *entries) == "hold_is_drawn_once_open"


@asynccontextmanager
async def about_to_commit(scene: Scene, statement: str, *arguments: object) -> AsyncIterator[None]:
    """Another session has done this, and commits at the end of the block."""
    async with connected(scene.bank.database, "ledger_posting") as other, other.transaction():
        await other.execute(statement, *arguments)
        yield


async def waits_or_is_done(bank: Bank, work: asyncio.Task[str]) -> None:
    """Until `work` waits for somebody's lock, or has its answer."""
    async with connected(bank.database, "superuser") as connection, asyncio.timeout(5):
        while not work.done() and not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
        ):
            await asyncio.sleep(0.01)


async def test_a_command_that_is_being_refused_is_not_posted(scene: Scene) -> None:
    id = uuid4()
    lines: list[Line] = [(held(scene.rich), "10", scene.offer), (available(scene.rich), "-10", None)]
    async with about_to_commit(scene, REFUSAL, id, PRINCIPAL):
        forging = asyncio.create_task(scene.forge("bet.release", lines, id=id))
        await waits_or_is_done(scene.bank, forging)
    assert await forging == "command_has_one_outcome"


async def test_a_command_that_is_being_posted_is_not_refused(scene: Scene) -> None:
    id, posting = uuid4(), scene.at["ledger_posting"]
    lines: list[Line] = [(held(scene.rich), "10", scene.offer), (available(scene.rich), "-10", None)]

    async def refuse() -> str:
        async with connected(scene.bank.database, "ledger_posting") as other:
            try:
                return await other.execute(REFUSAL, id, PRINCIPAL)
            except asyncpg.CheckViolationError as refusal:
                return str(refusal.constraint_name)

    async with posting.transaction():
        assert await scene.forge("bet.release", lines, id=id) == "posted"
        refusing = asyncio.create_task(refuse())
        await waits_or_is_done(scene.bank, refusing)
    assert await refusing == "command_has_one_outcome"


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_nobody_writes_who_looks_back(scene: Scene, isolation: Isolation) -> None:
    """What was refused after the transaction's first look is not to be seen in it, whatever the trigger asks."""
    id, posting = uuid4(), scene.at["ledger_posting"]
    lines: list[Line] = [(held(scene.rich), "10", scene.offer), (available(scene.rich), "-10", None)]
    transaction = posting.transaction(isolation=isolation)
    await transaction.start()
    await posting.execute("SELECT FROM head")
    async with about_to_commit(scene, REFUSAL, id, PRINCIPAL):
        pass
    assert await scene.forge("bet.release", lines, id=id) == "journal_is_written_read_committed"
    await transaction.rollback()


async def test_a_rule_does_not_look_before_the_one_in_front_has_committed(
    bank: Bank, settled: Settled
) -> None:
    """A debt is for what is missing. Of money that is just coming nobody knew who looked first and waited afterwards."""
    market, offer = str(uuid4()), uuid4()
    assert posted(await bank.engine.post(hold(settled.winner, Decimal(197), market, offer)))
    debt, escrow = f"players/{settled.winner}/debt", f"markets/{settled.market}/escrow"
    async with (
        connected(bank.database, "ledger_posting") as first,
        connected(bank.database, "superuser") as second,
    ):
        await second.execute("INSERT INTO account (ledger_id, path, currency) VALUES (1, $1, 'MXN')", debt)
        mine, kept = await state(first, available(settled.winner)), await state(first, held(settled.winner))
        one, pot = Decimal(1), await state(second, escrow)
        async with first.transaction():
            coming = (
                Written(held(settled.winner), kept.number + 1, one, kept.balance + one, offer),
                Written(available(settled.winner), mine.number + 1, -one, mine.balance - one),
            )
            assert await write(first, f"markets/{market}", ("bet.release", coming)) == "posted"
            owed = (
                Written(debt, 1, Decimal(197), Decimal(197)),
                Written(escrow, pot.number + 1, Decimal(-197), Decimal(-197)),
            )
            recovery = ("bet.resettle", owed)
            writing = asyncio.create_task(
                write(second, f"markets/{settled.market}", recovery, after=1, part=(2, 200, 1, 2))
            )
            await waits_or_is_done(bank, writing)
        assert await writing == "debt_only_for_what_is_missing"
