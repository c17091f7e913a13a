"""Sealing: every entry once, in order, by the key of the day; beside the posting and not in its way."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from common.errors import Invalid, Unavailable
from common.pg import transaction
from contracts.envelope import Envelope
from contracts.ledger import SealMade
from hypothesis import given
from hypothesis import strategies as st
from ledger.app import sealer_app
from ledger.domain.seals import Statement, inclusion_path, merkle_root, moment
from ledger.sealing import SealingKeys, check_seals, make_key, rotate_key
from ledger.sealing.keys import NoSealYet
from ledger.sealing.sealer import JournalIncomplete, Sealer
from ledger.settings import SealerSettings
from ledger.store import seals as store
from pydantic import SecretStr

from services.ledger.tests.sealed import SealedBank, runs, sealed_bank
from services.ledger.tests.vocabulary import Bank, connected
from tools import verify_journal


@pytest.fixture
async def sealed(bank: Bank, tmp_path: Path) -> AsyncIterator[SealedBank]:
    async with sealed_bank(bank, tmp_path) as made:
        yield made


# --- the tree ---------------------------------------------------------------------------------------------

LEAVES = [hashlib.sha256(b"\0" + bytes.fromhex(data)).digest() for data in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""The test vectors of Certificate Transparency, which every implementation of RFC 6962 is held to."""


def test_the_tree_is_that_of_rfc_6962() -> None:
    for size, root in enumerate(ROOTS, 1):
        assert merkle_root(LEAVES[:size]).hex() == root
        assert verify_journal.tree_root(LEAVES[:size]).hex() == root


@given(st.integers(1, 70), st.data())
def test_every_leaf_has_a_path_to_the_root_and_no_other_leaf_has(size: int, data: st.DataObject) -> None:
    leaves = [hashlib.sha256(bytes([n])).digest() for n in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = list(inclusion_path(leaves, index))
    root = merkle_root(leaves)
    assert verify_journal.tree_root(leaves) == root
    assert verify_journal.root_by_path(leaves[index], index, size, path) == root
    assert verify_journal.root_by_path(bytes(32), index, size, path) != root
    elsewhere = data.draw(st.integers(0, size - 1))
    if elsewhere != index:
        with suppress(verify_journal.Wrong):
            assert verify_journal.root_by_path(leaves[index], elsewhere, size, path) != root


# --- sealing ----------------------------------------------------------------------------------------------


async def test_every_entry_is_sealed_once_in_runs_that_join(sealed: SealedBank) -> None:
    await sealed.history(races=2)
    assert runs(tuple(await sealed.sealer.seal_due())) == [(1, 1, 5), (2, 6, 10), (3, 11, 12)]
    assert await sealed.sealer.seal_due() == []
    await sealed.bank.fund()
    assert runs(tuple(await sealed.sealer.seal_due())) == [(4, 13, 13)]
    assert [finding.wrong async for finding in check_seals(sealed.reading, 1, "el-carril")] == [""] * 4


async def test_sealers_that_race_make_one_chain(sealed: SealedBank) -> None:
    await sealed.history(races=3)
    others = [Sealer(sealed.sealer._pool, sealed.keys, max_run=run) for run in (1, 2, 3)]
    made = [
        each
        for round in await asyncio.gather(*(each.seal_due() for each in (*others, sealed.sealer)))
        for each in round
    ]
    made += await sealed.sealer.seal_due()
    chain = sorted(runs(made))
    assert [number for number, _, _ in chain] == list(range(1, len(chain) + 1))
    assert [first for _, first, _ in chain] == [1, *(last + 1 for _, _, last in chain[:-1])]
    assert chain[-1][2] == 18
    assert not [finding async for finding in check_seals(sealed.reading, 1, "el-carril") if finding.wrong]


async def test_sealing_takes_no_lock_that_posting_takes(sealed: SealedBank) -> None:
    """While a batch holds the ledger's head, sealing goes on; while a seal is being made, posting goes on."""
    await sealed.history(races=1)
    async with connected(sealed.bank.database, "ledger_posting") as posting, posting.transaction():
        await posting.execute("SELECT sequence FROM head WHERE ledger_id = 1 FOR UPDATE")
        assert len(await sealed.sealer.seal_due()) == 2
    async with (
        connected(sealed.bank.database, "ledger_sealer") as sealing,
        sealing.transaction(isolation="repeatable_read"),
    ):
        for table in ("head", "entry", "posting", "account", "seal", "seal_key"):
            await sealing.fetch(f"SELECT * FROM {table}")
        player = await sealed.bank.fund()
    assert player in str(await sealed.bank.balances())


async def test_sealing_beside_a_storm_of_posts_misses_nothing(sealed: SealedBank) -> None:
    async def storm() -> None:
        await asyncio.gather(*(sealed.bank.fund() for _ in range(60)))

    async def seal() -> list[Statement]:
        made: list[Statement] = []
        while not storming.done():
            made += await sealed.sealer.seal_due()
            await asyncio.sleep(0)
        return made + list(await sealed.sealer.seal_due())

    storming = asyncio.create_task(storm())
    made = await seal()
    await storming
    assert [first for _, first, _ in runs(made)] == [1, *(last + 1 for _, _, last in runs(made)[:-1])]
    assert made[-1].last == 60
    assert not [finding async for finding in check_seals(sealed.reading, 1, "el-carril") if finding.wrong]


async def test_a_batch_in_flight_is_waited_for_not_skipped(sealed: SealedBank) -> None:
    """A transaction that has taken its sequence numbers and not committed is not there, and nor is anything after it."""
    await sealed.bank.fund()
    slow = asyncio.Event()

    async def hold_the_head() -> None:
        async with connected(sealed.bank.database, "ledger_posting") as posting, posting.transaction():
            await posting.execute("SELECT sequence FROM head WHERE ledger_id = 1 FOR UPDATE")
            await slow.wait()

    holding = asyncio.create_task(hold_the_head())
    await asyncio.sleep(0.1)
    behind = asyncio.create_task(sealed.bank.fund())
    await asyncio.sleep(0.1)
    assert runs(tuple(await sealed.sealer.seal_due())) == [(1, 1, 1)]
    slow.set()
    await holding
    await behind
    assert runs(tuple(await sealed.sealer.seal_due())) == [(2, 2, 2)]


async def test_nothing_is_sealed_over_a_hole(sealed: SealedBank) -> None:
    """Somebody with the superuser's powers deleted an entry: the service refuses, and so does the database."""
    await sealed.history(races=1)
    async with connected(sealed.bank.database, "superuser") as connection:
        await connection.execute(
            "SET session_replication_role = replica; DELETE FROM entry WHERE sequence = 3"
        )
    with pytest.raises(JournalIncomplete):
        await sealed.sealer.seal_due()
    async with connected(sealed.bank.database, "ledger_sealer") as connection:
        await enter_key(connection, sealed)
        assert await insert(connection, a_statement(1, 5)) == "seal_covers_every_entry"


def a_statement(first: int, last: int, number: int = 1, **changes: object) -> dict[str, object]:
    """The columns of a seal that hangs together."""
    columns: dict[str, object] = {
        "number": number, "first": first, "last": last, "root": bytes(32), "previous": bytes(32), "key_id": "seal-1",
        "sealed_at": datetime.now(UTC),
    }  # fmt: skip
    columns |= changes
    return columns


async def insert(connection: asyncpg.Connection, columns: dict[str, object], **said: object) -> str:
    """Insert a seal whose statement says what its columns say, but for `said`; returns the rule that refused it."""
    sealed_at = columns["sealed_at"]
    root, previous = columns["root"], columns["previous"]
    assert isinstance(sealed_at, datetime)
    assert isinstance(root, bytes)
    assert isinstance(previous, bytes)
    statement = {
        "v": 1, "type": "seal", "ledger": "el-carril", "number": columns["number"], "first": columns["first"],
        "last": columns["last"], "entries": int(str(columns["last"])) - int(str(columns["first"])) + 1, "root": root.hex(),
        "previous": previous.hex(), "key": columns["key_id"], "sealed_at": moment(sealed_at), **said,
    }  # fmt: skip
    whole = columns | {"ledger_id": 1, "statement": json.dumps(statement).encode(), "signature": bytes(64)}
    marks = ", ".join(f"${n}" for n in range(1, len(whole) + 1))
    try:
        async with connection.transaction():
            await connection.execute(
                f"INSERT INTO seal ({', '.join(whole)}) VALUES ({marks})", *whole.values()
            )
    except asyncpg.PostgresError as refused:
        return str(refused.constraint_name or refused.sqlstate)
    return "sealed"


async def enter_key(connection: asyncpg.Connection, sealed: SealedBank) -> None:
    keys = SealingKeys.load(sealed.key_file)
    await connection.execute(
        "INSERT INTO seal_key (ledger_id, id, public_key, from_seal) VALUES (1, 'seal-1', $1, 1)",
        keys.public_key("seal-1"),
    )


async def test_the_database_holds_the_chain_whatever_the_sealer_does(sealed: SealedBank) -> None:
    await sealed.history(races=2)
    async with connected(sealed.bank.database, "ledger_sealer") as connection:
        await enter_key(connection, sealed)
        assert await insert(connection, a_statement(2, 5)) == "seal_first_has_nothing_before"
        assert await insert(connection, a_statement(1, 99)) == "seal_covers_every_entry"
        assert (
            await insert(connection, a_statement(1, 5, previous=b"x" * 32)) == "seal_first_has_nothing_before"
        )
        assert await insert(connection, a_statement(1, 5, key_id="seal-9")) in {
            "seal_key_is_known",
            "seal_key_is_current",
        }
        for said in (
            {"last": 4},
            {"entries": 4},
            {"ledger": "another"},
            {"root": "00"},
            {"more": 1},
            {"type": "x"},
        ):
            assert await insert(connection, a_statement(1, 5), **said) == "seal_says_what_it_is", said
        assert await insert(connection, a_statement(1, 5)) == "sealed"
        hash = await connection.fetchval("SELECT hash FROM seal WHERE number = 1")
        for columns in (
            a_statement(7, 10, 2, previous=hash),  # a gap
            a_statement(5, 10, 2, previous=hash),  # an overlap
            a_statement(6, 10, 3, previous=hash),  # a number left out
            a_statement(6, 10, 2),  # another seal before it
        ):
            assert await insert(connection, columns) == "seal_continues"
        assert await insert(connection, a_statement(6, 10, 2, previous=hash)) == "sealed"
        assert await insert(connection, a_statement(6, 8, 2, previous=hash)) == "seal_pkey"


async def test_seals_are_for_ever_and_the_sealer_can_do_nothing_else(sealed: SealedBank) -> None:
    await sealed.history(races=1)
    await sealed.sealer.seal_due()
    for role in ("ledger_sealer", "ledger_posting", "ledger_reader", "ledger_keys", "ledger_relay"):
        async with connected(sealed.bank.database, role) as connection:
            for table in ("seal", "seal_key"):
                for attack in (
                    f"UPDATE {table} SET signature = NULL",
                    f"DELETE FROM {table}",
                    f"TRUNCATE {table} CASCADE",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(attack)
            if role != "ledger_sealer":
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute("INSERT INTO seal (ledger_id, number) VALUES (1, 9)")
    async with connected(sealed.bank.database, "ledger_sealer") as connection:
        for table in ("entry", "posting", "balance", "head", "account", "outbox", "receipt", "api_key"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"INSERT INTO {table} DEFAULT VALUES")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT * FROM head FOR UPDATE")
    async with connected(sealed.bank.database, "superuser") as connection:
        for attack in ("UPDATE seal SET root = previous", "DELETE FROM seal_key"):
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                await connection.execute(attack)
            assert refused.value.constraint_name == "history_is_append_only"


async def test_an_event_tells_of_each_seal(sealed: SealedBank) -> None:
    await sealed.history(races=1)
    made = await sealed.sealer.seal_due()
    async with connected(sealed.bank.database, "ledger_relay") as connection:
        rows = await connection.fetch(
            "SELECT * FROM outbox WHERE routing_key = $1 ORDER BY version", SealMade.type
        )
    told = [Envelope.model_validate_json(row["body"]) for row in rows]
    assert [(each.subject, each.sequence, row["version"]) for each, row in zip(told, rows, strict=True)] == [
        ("seals/el-carril", 1, 1),
        ("seals/el-carril", 2, 2),
    ]
    for each, statement in zip(told, made, strict=True):
        event = each.read(SealMade)
        assert event.statement.encode() == statement.signing_bytes()
        assert (event.number, event.first, event.last) == (statement.number, statement.first, statement.last)
        assert event.hash == hashlib.sha256(b"\x02" + statement.signing_bytes()).hexdigest()


# --- keys -------------------------------------------------------------------------------------------------


async def test_a_key_endorses_its_successor(sealed: SealedBank) -> None:
    make_key(sealed.key_file, "seal-2")
    keys, pool = SealingKeys.load(sealed.key_file), sealed.sealer._pool
    with pytest.raises(NoSealYet):
        await rotate_key(pool, keys, 1, "el-carril", "seal-2")
    only_first = sealed.folder / "first.json"
    only_first.write_text(json.dumps(dict([*json.loads(sealed.key_file.read_text()).items()][:1])))
    await sealed.bank.fund()
    assert [
        each.key for each in await Sealer(pool, lambda: SealingKeys.load(only_first), max_run=5).seal_due()
    ] == ["seal-1"]
    endorsement = await rotate_key(pool, keys, 1, "el-carril", "seal-2")
    assert (endorsement.from_seal, endorsement.endorsed_by) == (2, "seal-1")
    await sealed.bank.fund()
    with pytest.raises(Unavailable, match="seal-2"):
        await Sealer(pool, lambda: SealingKeys.load(only_first), max_run=5).seal_due()
    assert [each.key for each in await sealed.sealer.seal_due()] == ["seal-2"]
    async with connected(sealed.bank.database, "ledger_sealer") as connection:
        hash = await connection.fetchval("SELECT hash FROM seal WHERE number = 2")
        await sealed.bank.fund()
        assert await insert(connection, a_statement(3, 3, 3, previous=hash)) == "seal_key_is_current"
        await sealed.sealer.seal_due()
        for columns, rule in (
            (
                "'late', sha256('x'), 3, 'seal-1', 'x'::bytea, decode(repeat('00', 64), 'hex')",
                "seal_key_begins_at_the_end",
            ),
            ("'own', sha256('x'), 4, NULL, NULL, NULL", "seal_key_is_endorsed"),
            (
                "'orphan', sha256('x'), 4, 'nobody', 'x'::bytea, decode(repeat('00', 64), 'hex')",
                "seal_key_endorsed_by_fkey",
            ),
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
                await connection.execute(
                    "INSERT INTO seal_key (ledger_id, id, public_key, from_seal, endorsed_by, endorsement, signature) "
                    f"VALUES (1, {columns})"
                )
            assert refused.value.constraint_name == rule


async def test_a_key_file_gains_keys_and_loses_none(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    make_key(file, "a")
    before = json.loads(file.read_text())
    make_key(file, "b")
    assert (file.stat().st_mode & 0o777) == 0o600
    assert json.loads(file.read_text())["a"] == before["a"]
    with pytest.raises(Invalid):
        make_key(file, "a")


# --- what is sealed ---------------------------------------------------------------------------------------

SEALED = {
    "entry": {
        "ledger_id", "sequence", "id", "kind", "principal", "idempotency_key", "fingerprint", "reference", "metadata",
        "receipt", "settlement_version", "settlement_total", "settlement_chunk", "settlement_chunks", "effective_at",
        "posted_at", "reverses", "link", "links", "hold_expires_at",
    },
    "posting": {"ledger_id", "sequence", "account_id", "account_sequence", "amount", "balance", "hold"},
}  # fmt: skip
NOT_SEALED = {
    "entry": {"legs", "traceparent"},  # the number of postings shows; a trace is no fact
    "posting": {"leg"},  # the order of the postings shows it
}


@pytest.mark.parametrize("table", SEALED)
async def test_every_column_of_the_journal_is_sealed_or_is_not_for_a_reason(
    sealed: SealedBank, table: str
) -> None:
    async with connected(sealed.bank.database, "superuser") as connection:
        rows = await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table
        )
    assert {row[0] for row in rows} == SEALED[table] | NOT_SEALED[table], (
        "decide in store/seals.py and say it here"
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entry SET reference = reference || 'x' WHERE sequence = 4",
        'UPDATE entry SET metadata = \'{"a": "b"}\' WHERE sequence = 4',
        "UPDATE entry SET principal = 'payments' WHERE sequence = 4",
        "UPDATE entry SET idempotency_key = 'x' WHERE sequence = 4",
        "UPDATE entry SET fingerprint = sha256('x') WHERE sequence = 4",
        "UPDATE entry SET effective_at = effective_at - interval '1 microsecond' WHERE sequence = 4",
        "UPDATE entry SET posted_at = posted_at - interval '1 microsecond' WHERE sequence = 4",
        "UPDATE entry SET kind = 'bet.release' WHERE sequence = 4",
        "UPDATE entry SET id = gen_random_uuid() WHERE sequence = 4",
        "UPDATE entry SET receipt = NULL WHERE sequence = 1",
        "UPDATE entry SET reverses = gen_random_uuid() WHERE sequence = 4",
        "UPDATE entry SET link = gen_random_uuid(), links = 2 WHERE sequence = 4",
        "UPDATE entry SET hold_expires_at = now() WHERE sequence = 4",
        "UPDATE entry SET settlement_total = settlement_total + 1 WHERE sequence = 6",
        "UPDATE posting SET amount = amount * 2 WHERE sequence = 4",
        "UPDATE posting SET balance = balance + 1 WHERE sequence = 4 AND leg = 1",
        "UPDATE posting SET hold = gen_random_uuid() WHERE sequence = 4 AND hold IS NOT NULL",
        "UPDATE posting SET account_sequence = account_sequence + 9 WHERE sequence = 4 AND leg = 1",
        "UPDATE posting SET account_id = (SELECT max(id) FROM account), account_sequence = 9 WHERE sequence = 4 AND leg = 1",
        "DELETE FROM posting WHERE sequence = 4 AND leg = 1",
        "DELETE FROM entry WHERE sequence = 4",
        "UPDATE account SET path = 'bank/other' WHERE path = 'bank/spei'",
    ],
)
async def test_no_sealed_column_can_be_changed_unseen(sealed: SealedBank, change: str) -> None:
    """Whoever has the superuser's powers can write; the seals tell that they did."""
    await sealed.history(races=1)
    await sealed.sealer.seal_due()
    assert not [finding async for finding in check_seals(sealed.reading, 1, "el-carril") if finding.wrong]
    async with connected(sealed.bank.database, "superuser") as connection:
        await connection.execute("SET session_replication_role = replica")
        assert await connection.execute(change) != "UPDATE 0"
    assert [finding async for finding in check_seals(sealed.reading, 1, "el-carril") if finding.wrong]


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        ("UPDATE seal SET root = '{root}' WHERE number = 1", "not what was signed"),
        ("DELETE FROM seal WHERE number = 1", "seals before it are missing"),
    ],
)
async def test_a_changed_journal_does_not_fit_for_its_seals_having_been_changed_as_well(
    sealed: SealedBank, change: str, telling: str
) -> None:
    """Whoever has the superuser's powers and not the sealing key makes an amount larger, and the seal's columns fit."""
    await sealed.history(races=1)
    await sealed.sealer.seal_due()
    async with connected(sealed.bank.database, "superuser") as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("UPDATE posting SET amount = amount * 2 WHERE sequence = 1")
    async with transaction(sealed.reading, readonly=True) as connection:
        entries = await store.journal(connection, 1, 1, 5)
    root = merkle_root([entry.leaf() for entry in entries]).hex()
    async with connected(sealed.bank.database, "superuser") as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(change.format(root=f"\\x{root}"))
    found = [finding.wrong async for finding in check_seals(sealed.reading, 1, "el-carril")]
    assert telling in found[0], found


@pytest.mark.parametrize("text", ["", "[]", '{"seal-1": 7}', '{"seal-1": "c2hvcnQ="}', '["seal-1"]'])
def test_a_sealer_does_not_begin_without_keys_that_are_any_good(tmp_path: Path, text: str) -> None:
    """It began, and failed once a second where nobody looked."""
    file = tmp_path / "keys.json"
    settings = SealerSettings(
        service="ledger-sealer",
        port=1,
        database_dsn=SecretStr("postgresql://nobody@127.0.0.1:1/none"),
        seal_keys=file,
    )
    with pytest.raises(FileNotFoundError):
        sealer_app(settings)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError):  # noqa: PT011 - each parser has words of its own
        sealer_app(settings)
