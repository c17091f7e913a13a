"""What must be true whatever has happened: looked for in betting's tables, the ledger's books and the events told."""

from collections.abc import Sequence
from decimal import Decimal

import asyncpg
from contracts.envelope import Envelope

from services.betting.tests.books import Books


async def money_agrees(owner: "asyncpg.Pool[asyncpg.Record]", books: Books) -> None:
    """Every live offer has its hold, every market its escrow, and stakes and escrows are the sums of their bets."""
    for row in await owner.fetch("SELECT id, status, remaining FROM offer WHERE status <> 'PENDING'"):
        assert books.holds.get(row["id"], Decimal(0)) == row["remaining"], tuple(row)
    for row in await owner.fetch("SELECT id, status, escrow FROM market"):
        left = Decimal(0) if row["status"] in ("SETTLED", "VOID", "SETTLING") else row["escrow"]
        assert books.balances[f"markets/{row['id']}/escrow"] == left, tuple(row)
    assert not await owner.fetch(
        """
        SELECT o.id FROM offer o LEFT JOIN fill f ON o.id IN (f.maker_offer, f.taker_offer)
        GROUP BY o.id
        HAVING o.matched <> coalesce(sum(CASE o.id WHEN f.maker_offer THEN f.maker_stake ELSE f.taker_stake END), 0)
        """
    )
    assert not await owner.fetch(
        """
        SELECT m.id FROM market m LEFT JOIN fill f ON f.market_id = m.id
        GROUP BY m.id HAVING m.escrow <> coalesce(sum(f.pot), 0)
        """
    )


def told_without_gaps(heard: Sequence[Envelope]) -> None:
    """Each aggregate's events are versioned without a gap, in the order they were told."""
    versions: dict[str, list[int]] = {}
    for message in heard:
        if message.type.startswith("betting."):
            versions.setdefault(message.partitionkey, []).append(message.sequence)
    for aggregate, seen in versions.items():
        assert seen == list(range(1, len(seen) + 1)), aggregate
