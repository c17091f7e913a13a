"""Settling a market again: recovered from who had too much, owed for what is missing, paid once all of it is back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from ledger.domain.commands import Command, Leg, SettlementPart
from ledger.domain.refusals import AccountNotEmpty
from ledger.service import AccountKeeping

from services.ledger.tests.vocabulary import (
    PRINCIPAL,
    Bank,
    a_key,
    connected,
    deposit,
    hold,
    match,
    posted,
    refused,
    settle,
)

STAKE = Decimal(100)
COMMISSION = Decimal(3)


@dataclass(frozen=True)
class Settled:
    """A market of two stakes of 100 that paid the first player, less 3 for the house."""

    market: str
    winner: str
    loser: str


def available(player: str) -> str:
    return f"players/{player}/available"


def recover(
    settled: Settled,
    takes: dict[str, Decimal],
    *,
    total: Decimal,
    chunk: int = 1,
    chunks: int = 2,
    version: int = 2,
) -> Command:
    legs = (
        *(Leg(path, "MXN", amount) for path, amount in takes.items()),
        Leg(f"markets/{settled.market}/escrow", "MXN", -sum(takes.values(), Decimal(0))),
    )
    part = SettlementPart(UUID(settled.market), version, total, chunk, chunks)
    return Command(1, PRINCIPAL, a_key(), "bet.resettle", legs, f"markets/{settled.market}", settlement=part)


@pytest.fixture
async def settled(bank: Bank) -> Settled:
    winner, loser = await bank.fund(), await bank.fund()
    market, offers = str(uuid4()), (uuid4(), uuid4())
    for player, offer in ((winner, offers[0]), (loser, offers[1])):
        assert posted(await bank.engine.post(hold(player, STAKE, market, offer)))
    await bank.engine.post(match(market, (winner, offers[0], STAKE), (loser, offers[1], STAKE)))
    paid = {available(winner): 2 * STAKE - COMMISSION, "house/commission": COMMISSION}
    assert posted(await bank.engine.post(settle(market, paid)))
    return Settled(market, winner, loser)


async def test_what_is_missing_becomes_a_debt(bank: Bank, settled: Settled) -> None:
    """The winner of the wrong result has 77 left of 197; the right one is paid all the same."""
    market, total = str(uuid4()), 2 * STAKE
    await bank.engine.post(hold(settled.winner, Decimal(120), market, uuid4()))
    takes = {available(settled.winner): total - COMMISSION, "house/commission": COMMISSION}
    pays = {available(settled.loser): total - COMMISSION, "house/commission": COMMISSION}
    early = settle(settled.market, pays, total=total, chunk=2, chunks=2, version=2)
    assert refused(await bank.engine.post(early)) == "escrow-not-ready"
    assert posted(await bank.engine.post(recover(settled, takes, total=total)))
    assert posted(await bank.engine.post(early))
    balances = await bank.balances()
    assert balances[available(settled.winner)] == 0
    assert balances[f"players/{settled.winner}/debt"] == 120
    assert balances[available(settled.loser)] == -(total - COMMISSION)
    assert balances["house/commission"] == -COMMISSION
    assert balances[f"markets/{settled.market}/escrow"] == 0
    await bank.check()


async def test_a_later_version_keeps_the_rules_of_the_first(bank: Bank, settled: Settled) -> None:
    total, stranger = 2 * STAKE, await bank.fund()
    take = {available(settled.winner): Decimal(197)}
    for wrong, slug in (
        (recover(settled, take, total=total, version=1), "settlement-mismatch"),
        (recover(settled, take, total=total, version=3), "settlement-mismatch"),
        (recover(settled, {available(stranger): STAKE}, total=total), "settlement-mismatch"),
        (recover(settled, take, total=Decimal(100)), "settlement-mismatch"),
        (recover(settled, take, total=total, chunks=1), "settlement-mismatch"),
        (settle(settled.market, take, total=total, chunk=2, chunks=2, version=2), "escrow-not-ready"),
    ):
        assert refused(await bank.engine.post(wrong)) == slug
    assert posted(await bank.engine.post(recover(settled, take, total=total, chunks=3)))
    half = settle(
        settled.market, {available(settled.loser): STAKE}, total=total, chunk=2, chunks=3, version=2
    )
    assert refused(await bank.engine.post(half)) == "escrow-not-ready"  # three pesos are still with the house
    await bank.check()


async def test_the_database_keeps_them_too(bank: Bank, settled: Settled) -> None:
    """What the rules of the journal refuse when the domain is not asked: forged in one statement."""
    async with connected(bank.database, "superuser") as connection:
        debt = f"players/{settled.winner}/debt"
        assert await forged(connection, settled, debt, 197) == "debt_only_for_what_is_missing"
        assert (
            await forged(connection, settled, available(settled.winner), 197, version=3)
            == "settlement_matches_header"
        )
        assert (
            await forged(connection, settled, available(settled.winner), 197, total=100)
            == "settlement_recovers_its_total"
        )
        again = await forged(connection, settled, available(settled.winner), 197, version=1)
        assert again == "entry_settlement_chunk_is_unique"


async def enriched(bank: Bank, player: str) -> None:
    """Money of theirs that no market has to do with."""
    receipt = await bank.receipt(player, Decimal(500))
    assert posted(await bank.engine.post(deposit(player, Decimal(500), receipt)))


async def test_a_market_takes_back_no_more_than_it_brought(bank: Bank, settled: Settled) -> None:
    """Not from the money a player has besides, not as a debt, not from other markets' commission, not in pieces."""
    winner, loser, house = available(settled.winner), available(settled.loser), "house/commission"
    await enriched(bank, settled.winner)
    too_much = {winner: 2 * STAKE - COMMISSION + Decimal("0.01")}
    for takes in (too_much, {winner: Decimal(10_000_000)}, {loser: Decimal("0.01")}, {house: COMMISSION + 1}):
        wrong = recover(settled, takes, total=Decimal(10_000_000))
        assert refused(await bank.engine.post(wrong)) == "settlement-mismatch", takes
    total = 2 * STAKE
    first = recover(settled, {winner: STAKE}, total=total, chunks=4)
    assert posted(await bank.engine.post(first))
    second = recover(settled, {winner: STAKE - COMMISSION + 1}, total=total, chunk=2, chunks=4)
    assert refused(await bank.engine.post(second)) == "settlement-mismatch"
    rest = recover(settled, {winner: STAKE - COMMISSION, house: COMMISSION}, total=total, chunk=3, chunks=4)
    assert posted(await bank.engine.post(rest))
    await bank.check()


async def test_what_a_later_version_paid_is_taken_back_by_the_next(bank: Bank, settled: Settled) -> None:
    """Thrice wrong: each version takes back all that the one before it has paid, from whoever got it."""
    total, payee = 2 * STAKE, (settled.winner, settled.loser)
    for version in (2, 3, 4):
        had, gets = payee[version % 2], payee[(version + 1) % 2]
        back = recover(
            settled, {available(had): total - COMMISSION}, total=total - COMMISSION, version=version
        )
        assert posted(await bank.engine.post(back)), version
        pays = {available(gets): total - COMMISSION}
        paid = settle(settled.market, pays, chunk=2, chunks=2, version=version)
        assert posted(await bank.engine.post(paid)), version
    await bank.check()


async def test_the_database_takes_back_no_more_either(bank: Bank, settled: Settled) -> None:
    await enriched(bank, settled.winner)
    async with connected(bank.database, "superuser") as connection:
        for path, amount, rule in (
            (available(settled.winner), 198, "settlement_recovers_what_it_paid"),
            (f"players/{settled.loser}/debt", 1, "settlement_recovers_what_it_paid"),
            (available(settled.winner), 197, "posted"),
            ("house/commission", 3, "posted"),
        ):
            assert await forged(connection, settled, path, amount, total=1_000) == rule, path


async def test_an_account_is_not_closed_under_a_stake(bank: Bank, settled: Settled) -> None:
    """Nothing is on it and nothing is held of it, but what becomes of the stake could never be paid."""
    accounts, market = AccountKeeping(bank.pool), str(uuid4())
    players, offers = (await bank.fund(), await bank.fund()), (uuid4(), uuid4())
    for player, offer in zip(players, offers, strict=True):
        assert posted(await bank.engine.post(hold(player, STAKE, market, offer)))
    pair = match(market, (players[0], offers[0], STAKE), (players[1], offers[1], STAKE))
    assert posted(await bank.engine.post(pair))
    with pytest.raises(AccountNotEmpty):
        await accounts.close(1, PRINCIPAL, available(players[1]), "MXN")
    assert await closed_in_sql(bank, available(players[1])) == "closed_account_has_no_stakes"
    assert posted(await bank.engine.post(settle(market, {available(players[0]): 2 * STAKE})))
    assert (await accounts.close(1, PRINCIPAL, available(players[1]), "MXN")).closed_at is not None

    assert posted(await bank.engine.post(recover(settled, {available(settled.winner): STAKE}, total=STAKE)))
    with pytest.raises(AccountNotEmpty):  # it is about to be paid after all
        await accounts.close(1, PRINCIPAL, available(settled.loser), "MXN")
    assert await closed_in_sql(bank, available(settled.loser)) == "closed_account_has_no_stakes"


async def closed_in_sql(bank: Bank, path: str) -> str:
    async with connected(bank.database, "ledger_posting") as connection:
        try:
            return await connection.execute(
                "INSERT INTO account_closing (account_id, principal) SELECT id, $1 FROM account WHERE path = $2",
                PRINCIPAL,
                path,
            )
        except asyncpg.CheckViolationError as refusal:
            return str(refusal.constraint_name)


async def forged(
    connection: asyncpg.Connection,
    settled: Settled,
    path: str,
    amount: int,
    *,
    version: int = 2,
    total: int = 200,
) -> str:
    """The rule that refuses a recovery written straight into the journal."""
    escrow = await connection.fetchval(
        "SELECT id FROM account WHERE path = $1", f"markets/{settled.market}/escrow"
    )
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            "INSERT INTO account (ledger_id, path, currency) VALUES (1, $1, 'MXN') ON CONFLICT DO NOTHING",
            path,
        )
        await connection.execute(
            FORGERY, path, escrow, Decimal(amount), f"markets/{settled.market}", version, total, PRINCIPAL
        )
    except asyncpg.IntegrityConstraintViolationError as refusal:
        return str(refusal.constraint_name)
    finally:
        await transaction.rollback()
    return "posted"


FORGERY = """
    WITH head AS (SELECT sequence + 1 AS sequence FROM head WHERE ledger_id = 1),
    added AS (
        INSERT INTO entry (ledger_id, sequence, id, principal, idempotency_key, fingerprint, kind, legs, reference,
            settlement_version, settlement_total, settlement_chunk, settlement_chunks)
        SELECT 1, sequence, gen_random_uuid(), $7, gen_random_uuid()::text, sha256('x'), 'bet.resettle', 2, $4, $5, $6, 1, 2
          FROM head)
    INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance)
    SELECT 1, head.sequence, leg, a.id, b.sequence + 1, moved, b.amount + moved
      FROM head, (VALUES (1, (SELECT id FROM account WHERE path = $1), $3::numeric), (2, $2::bigint, -$3::numeric))
           AS l (leg, account, moved)
      JOIN account a ON a.id = l.account JOIN balance b ON b.account_id = a.id
"""
