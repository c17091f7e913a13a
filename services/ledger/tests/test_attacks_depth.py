"""What no runtime role can do in SQL to reversals, links, closed accounts, expiring holds and deadlines.

As `test_attacks.py`: every attack runs against books in use, ends in a refusal that names its rule, and leaves
the books sound.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from common.testing import Database
from ledger.service import AccountKeeping

from services.ledger.tests.shop import CASH, OWN, Shop, found_ledger, open_shop
from services.ledger.tests.vocabulary import PRINCIPAL, assert_sound, connected, one_row, posted

ROLES = ("ledger_posting", "ledger_receipts", "ledger_keys", "ledger_reader", "ledger_relay")
ANA, BETO, GONE = "liabilities/ana", "liabilities/beto", "liabilities/gone"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

Line = tuple[str, str, UUID | None]
Forged = tuple[str, Sequence[Line], Mapping[str, object]]


@dataclass
class Scene:
    """Ana has 200, of which 10 are held until next year and 5 are overdue; an account is closed."""

    shop: Shop
    transfer: UUID
    opening: UUID
    hold: UUID
    overdue: UUID
    at: dict[str, asyncpg.Connection]

    async def forge(self, *entries: Forged) -> str:
        """Write entries in one statement as the posting role would, with true balances; returns the rule
        that refused them."""
        posting, ledger = self.at["ledger_posting"], self.shop.ledger
        head = await one_row(posting, "SELECT sequence FROM head WHERE ledger_id = $1", ledger)
        state: dict[str, tuple[int, Decimal, int]] = {}
        entry_rows, posting_rows = [], []
        for sequence, (kind, lines, columns) in enumerate(entries, head["sequence"] + 1):
            values = {
                "sequence": sequence, "id": uuid4(), "kind": kind, "legs": len(lines), "principal": PRINCIPAL,
                "idempotency_key": uuid4().hex, "fingerprint": hashlib.sha256(b"x").digest(), "reference": "orders/1",
                "reverses": None, "link": None, "links": None, "hold_expires_at": None, "effective_at": datetime.now(UTC),
                **columns,
            }  # fmt: skip
            entry_rows.append(values)
            for leg, (path, amount, held) in enumerate(lines, 1):
                if path not in state:
                    row = await one_row(
                        posting,
                        "SELECT id, amount, sequence FROM account JOIN balance ON account_id = id "
                        "WHERE path = $1 AND ledger_id = $2 AND currency = 'USD'",
                        path,
                        ledger,
                    )
                    state[path] = row["id"], row["amount"], row["sequence"]
                id, balance, at = state[path]
                state[path] = id, balance + Decimal(amount), at + 1
                posting_rows.append((sequence, leg, id, at + 1, amount, str(state[path][1]), held))
        names = list(entry_rows[0])
        marks = ", ".join(
            "("
            + str(ledger)
            + ", "
            + ", ".join(f"${row * len(names) + n + 1}" for n in range(len(names)))
            + ")"
            for row in range(len(entry_rows))
        )
        legs = ", ".join(
            f"({ledger}, {s}, {leg}, {id}, {at}, '{amount}'::numeric, '{after}'::numeric, "
            + (f"'{held}'::uuid)" if held else "NULL::uuid)")
            for s, leg, id, at, amount, after, held in posting_rows
        )
        try:
            await posting.execute(
                f"WITH e AS (INSERT INTO entry (ledger_id, {', '.join(names)}) VALUES {marks}) "
                f"INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance, hold) "
                f"VALUES {legs}",
                *(row[name] for row in entry_rows for name in names),
            )
        except asyncpg.PostgresError as refusal:
            return str(refusal.constraint_name or refusal.sqlstate)
        return "posted"

    async def attack(self, role: str, statement: str, *arguments: object) -> str:
        """The rule, or the missing privilege, that stopped a statement."""
        try:
            await self.at[role].execute(statement, *arguments)
        except asyncpg.PostgresError as refusal:
            return str(refusal.constraint_name or refusal.sqlstate)
        return "done"


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        hold, overdue = uuid4(), uuid4()
        for command in (
            transfer := shop.transfer(CASH, ANA, "100.00"),
            shop.transfer(CASH, ANA, "100.00"),
            shop.transfer(CASH, BETO, "1.00"),
            shop.transfer(CASH, GONE, "1.00"),
            shop.transfer(GONE, OWN, "1.00"),
            opening := shop.hold(ANA, "10.00", hold, expires_at=datetime.now(UTC) + timedelta(days=30)),
            shop.hold(ANA, "5.00", overdue, expires_at=LONG_AGO),
        ):
            assert posted(await shop.engine.post(command))
        await AccountKeeping(shop.pool).close(shop.ledger, PRINCIPAL, GONE, "USD")
        at = {role: await stack.enter_async_context(connected(database, role)) for role in ROLES}
        yield Scene(shop, transfer.id, opening.id, hold, overdue, at)
        async with connected(database, "superuser") as connection:
            await assert_sound(connection)


UNDO: list[Line] = [(CASH, "-100.00", None), (ANA, "100.00", None)]
HELD = f"held/{ANA}"


async def test_the_forger_itself_can_write_sound_entries(scene: Scene) -> None:
    """Else every attack below would be refused for the wrong reason."""
    mirror: list[Line] = [(ANA, "-10.00", None), (HELD, "10.00", scene.hold)]
    assert await scene.forge(("reversal", mirror, {"reverses": scene.opening})) == "posted"
    link = uuid4()
    move: list[Line] = [(ANA, "1", None), (BETO, "-1", None)]
    pair = [("transfer", move, {"link": link, "links": 2})] * 2
    assert await scene.forge(*pair) == "posted"
    due: list[Line] = [(HELD, "5.00", scene.overdue), (ANA, "-5.00", None)]
    await scene.at["ledger_reader"].execute("SELECT 1")
    assert await scene.forge(("hold.expire", due, {})) == "posted"


async def test_a_reversal_is_a_true_mirror_once(scene: Scene) -> None:
    whole = {"reverses": scene.transfer}
    less: list[Line] = [(CASH, "-99.00", None), (ANA, "99.00", None)]
    other: list[Line] = [(CASH, "-1.00", None), (BETO, "1.00", None)]
    swapped: list[Line] = [UNDO[1], UNDO[0]]
    more: list[Line] = [*UNDO, (CASH, "-1", None), (OWN, "1", None)]
    same_way: list[Line] = [(CASH, "100.00", None), (ANA, "-100.00", None)]
    for lines in (less, other, swapped, more, same_way):
        assert await scene.forge(("reversal", lines, whole)) == "reversal_mirrors_entry", lines
    assert await scene.forge(("reversal", UNDO, {})) == "entry_reverses_as_kind_says"
    assert await scene.forge(("transfer", UNDO, whole)) == "entry_reverses_as_kind_says"
    assert await scene.forge(("reversal", UNDO, {"reverses": uuid4()})) == "reversal_names_an_entry"
    assert (
        await scene.forge(("reversal", UNDO, {**whole, "reference": "orders/2"}))
        == "reversal_keeps_reference"
    )
    opened: list[Line] = [(ANA, "-10.00", None), (HELD, "10.00", scene.hold)]
    unheld: list[Line] = [(ANA, "-10.00", None), (HELD, "10.00", scene.overdue)]
    assert await scene.forge(("reversal", unheld, {"reverses": scene.opening})) == "reversal_mirrors_entry"
    undo = ("reversal", opened, {"reverses": scene.opening})
    assert await scene.forge(undo) == "posted"
    # The second time the hold has nothing left; of a plain entry only the index knows.
    assert await scene.forge(undo) in {
        "hold_remaining_not_negative",
        "entry_is_reversed_once",
        "balance_not_below_floor",
    }
    deposit = scene.shop.transfer(CASH, BETO, "1.00")
    assert posted(await scene.shop.engine.post(deposit))
    back: list[Line] = [(CASH, "-1.00", None), (BETO, "1.00", None)]
    again: Forged = ("reversal", back, {"reverses": deposit.id})
    assert await scene.forge(again) == "posted"
    assert await scene.forge(again) == "entry_is_reversed_once"
    assert await scene.forge(again, again) == "entry_is_reversed_once"


async def test_nothing_is_posted_that_is_not_on_disk_when_it_is_answered(scene: Scene) -> None:
    """Not by a session that does not wait for the disk, and not by one that decides so at the last moment."""
    move: list[Line] = [(ANA, "1", None), (BETO, "-1", None)]
    posting = scene.at["ledger_posting"]
    await posting.execute("SET synchronous_commit = off")
    assert await scene.forge(("transfer", move, {})) == "entry_waits_for_the_disk"
    await posting.execute("SET synchronous_commit = on")
    transaction = posting.transaction()
    await transaction.start()
    assert await scene.forge(("transfer", move, {})) == "posted"
    await posting.execute("SET LOCAL synchronous_commit = off")
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await transaction.commit()
    assert refusal.value.constraint_name == "entry_waits_for_the_disk"
    assert await scene.forge(("transfer", move, {})) == "posted"


async def test_draws_and_reversals_are_not_reversed(scene: Scene) -> None:
    capture = scene.shop.capture(ANA, "1.00", scene.hold, OWN)
    assert posted(await scene.shop.engine.post(capture))
    back: list[Line] = [(HELD, "-1.00", scene.hold), (OWN, "1.00", None)]
    assert await scene.forge(("reversal", back, {"reverses": capture.id})) in {
        "reversal_of_reversible_kind", "hold_adds_up", "hold_remaining_not_negative"
    }  # fmt: skip
    mirror = scene.shop.reversal(scene.shop.transfer(CASH, BETO, "1.00", key="m").id)
    assert posted(await scene.shop.engine.post(scene.shop.transfer(CASH, BETO, "1.00", key="m")))
    assert posted(await scene.shop.engine.post(mirror))
    again: list[Line] = [(CASH, "1.00", None), (BETO, "-1.00", None)]
    assert await scene.forge(("reversal", again, {"reverses": mirror.id})) == "reversal_of_reversible_kind"


async def test_another_ledgers_entry_is_not_reversed(scene: Scene) -> None:
    async with AsyncExitStack() as stack:
        stranger = await open_shop(scene.shop.database, stack, await found_ledger(scene.shop.database))
        theirs = stranger.transfer(CASH, ANA, "100.00")
        assert posted(await stranger.engine.post(theirs))
        assert await scene.forge(("reversal", UNDO, {"reverses": theirs.id})) in {
            "reversal_names_an_entry", "balance_not_below_floor"
        }  # fmt: skip


async def test_linked_entries_come_together(scene: Scene) -> None:
    move: list[Line] = [(ANA, "1", None), (BETO, "-1", None)]
    link = {"link": uuid4(), "links": 2}
    one: Forged = ("transfer", move, link)
    apart: Forged = ("transfer", move, {})
    assert await scene.forge(one) == "linked_entries_are_whole"
    assert await scene.forge(one, one, one) == "linked_entries_are_whole"
    assert await scene.forge(one, apart, one) == "linked_entries_are_whole"
    assert await scene.forge(one, ("transfer", move, {**link, "links": 3})) == "linked_entries_are_whole"
    assert await scene.forge(("transfer", move, {"links": 2})) == "entry_link_is_whole"
    assert await scene.forge(("transfer", move, {"link": uuid4(), "links": 1})) == "entry_link_is_whole"


async def test_a_closed_account_stays_closed(scene: Scene) -> None:
    into: list[Line] = [(CASH, "1", None), (GONE, "-1", None)]
    assert await scene.forge(("transfer", into, {})) == "account_is_open"
    assert await scene.attack("ledger_posting", "UPDATE balance SET closed = false") == "42501"
    for statement in (
        "DELETE FROM account_closing",
        "UPDATE account_closing SET principal = 'x'",
        "TRUNCATE account_closing",
    ):
        for role in ROLES:
            assert await scene.attack(role, statement) == "42501", (role, statement)
    async with connected(scene.shop.database, "superuser") as owner:
        for statement in (
            "DELETE FROM account_closing",
            "TRUNCATE account_closing",
            "UPDATE balance SET closed = false",
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await owner.execute(statement)


async def test_an_account_with_money_or_holds_is_not_closed(scene: Scene) -> None:
    close = "INSERT INTO account_closing (account_id, principal) SELECT id, $1 FROM account WHERE path = $2"
    assert await scene.attack("ledger_posting", close, PRINCIPAL, BETO) == "closed_account_is_empty"
    assert await scene.attack("ledger_posting", close, "nobody", OWN) == "principal_may_close_accounts"
    empty: list[Line] = [(ANA, "185", None), (BETO, "-185", None)]
    assert await scene.forge(("transfer", empty, {})) == "posted"
    assert await scene.attack("ledger_posting", close, PRINCIPAL, ANA) == "closed_account_has_no_holds"
    assert await scene.attack("ledger_posting", close, PRINCIPAL, GONE) == "account_closing_pkey"
    for role in set(ROLES) - {"ledger_posting"}:
        assert await scene.attack(role, close, PRINCIPAL, BETO) == "42501"


async def test_a_hold_expires_when_it_is_due_and_whole(scene: Scene) -> None:
    early: list[Line] = [(HELD, "10.00", scene.hold), (ANA, "-10.00", None)]
    part: list[Line] = [(HELD, "1.00", scene.overdue), (ANA, "-1.00", None)]
    assert await scene.forge(("hold.expire", early, {})) == "hold_expires_when_due"
    assert await scene.forge(("hold.expire", part, {})) == "hold_expires_when_due"
    soon = {"hold_expires_at": datetime.now(UTC)}
    move: list[Line] = [(ANA, "1", None), (BETO, "-1", None)]
    assert await scene.forge(("transfer", move, soon)) == "entry_hold_expiry_as_kind_says"
    stranger: list[Line] = [(HELD, "5.00", scene.overdue), (BETO, "-5.00", None)]
    assert await scene.forge(("hold.expire", stranger, {})) == "entry_binds_players"
    assert await scene.forge(("hold.release", stranger, {})) == "entry_binds_players"
    assert await scene.attack("ledger_posting", "UPDATE hold SET remaining = opened") == "42501"


async def test_deadlines_are_armed_by_the_journal_alone(scene: Scene) -> None:
    arm = (
        "INSERT INTO deadline (subject, kind, generation, due_at, retry_at) "
        "VALUES ('holds/1/x', 'hold.expire', 1, now(), now())"
    )
    for role in ROLES:
        assert await scene.attack(role, arm) == "42501"
        assert await scene.attack(role, "DELETE FROM deadline") == "42501"
        assert await scene.attack(role, "UPDATE deadline SET due_at = now()") == "42501"
    for role in set(ROLES) - {"ledger_posting"}:
        assert await scene.attack(role, "UPDATE deadline SET state = 'DONE', ended_at = now()") == "42501"
    assert (
        await scene.attack("ledger_posting", "UPDATE deadline SET state = 'CANCELLED', ended_at = now()")
        == "done"
    )
    revive = "UPDATE deadline SET state = 'ARMED', ended_at = NULL"
    assert await scene.attack("ledger_posting", revive) == "deadline_ends_once"


async def test_an_account_is_kept_in_its_charts_currencies(scene: Scene) -> None:
    opened = "INSERT INTO account (ledger_id, path, currency) VALUES ($1, $2, $3)"
    player = f"players/{uuid4()}/available"
    assert await scene.attack("ledger_posting", opened, 1, player, "USD") == "account_currency_is_in_chart"
    assert await scene.attack("ledger_posting", opened, 1, player, "XXX") in {
        "account_currency_is_in_chart", "23502", "account_currency_fkey"
    }  # fmt: skip


async def test_nobody_speaks_in_the_ledgers_own_name(scene: Scene) -> None:
    key = (
        "INSERT INTO api_key (id, ledger_id, principal, digest, scopes, hint) "
        "VALUES (gen_random_uuid(), $1, 'ledger', sha256('x'), '{post}', 'lk_live_x')"
    )
    assert await scene.attack("ledger_keys", key, scene.shop.ledger) == "api_key_is_not_the_ledgers_own"


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_changes_a_chart(scene: Scene, role: str) -> None:
    for statement in (
        "UPDATE kind SET reversible = true",
        "UPDATE kind SET expiring = true",
        "UPDATE account_class SET address = NULL",
        "INSERT INTO chart_currency VALUES ('el-carril', 'USD')",
        "DELETE FROM chart_currency",
        "UPDATE account_class SET floored = false",
    ):
        assert await scene.attack(role, statement) == "42501", statement


async def test_a_time_of_effect_is_sane(scene: Scene) -> None:
    move: list[Line] = [(ANA, "1", None), (BETO, "-1", None)]
    for moment in (datetime(1999, 12, 31, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1)):
        assert await scene.forge(("transfer", move, {"effective_at": moment})) == "entry_effective_is_sane"


async def test_the_chart_itself_refuses_a_dangerous_kind(scene: Scene) -> None:
    """Not even a migration can make a receipt, a settlement, a stake or a draw reversible."""
    async with connected(scene.shop.database, "superuser") as owner:
        for name in ("deposit", "bet.settle", "bet.match", "bet.release", "reversal", "withdrawal.done"):
            with pytest.raises(asyncpg.CheckViolationError) as refusal:
                await owner.execute("UPDATE kind SET reversible = true WHERE name = $1", name)
            assert refusal.value.constraint_name == "kind_reversible_is_safe"
