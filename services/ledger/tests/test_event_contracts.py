"""Every event that the database writes is what its contract says, in its place, with balances and versions."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from contracts.catalogue import MESSAGES
from contracts.envelope import Envelope
from contracts.ledger import DayClosed, EntryCommitted, PostRefused, SealMade

from services.ledger.tests.history import age
from services.ledger.tests.sealed import sealed_bank
from services.ledger.tests.test_closes import closing
from services.ledger.tests.vocabulary import Bank, connected, hold, refused


async def test_all_that_leaves_fits_its_contract(bank: Bank, tmp_path: Path) -> None:
    async with sealed_bank(bank, tmp_path) as sealed:
        await sealed.history(races=2)
        poor = await bank.fund("1.00")
        assert (
            refused(await bank.engine.post(hold(poor, Decimal(10), str(uuid4()), uuid4())))
            == "insufficient-funds"
        )
        await age(bank.database, timedelta(days=2))
        async with closing(bank.database) as closer:
            _ = [each async for each in closer.close_due(1)]
        await sealed.sealer.seal_due()
    async with connected(bank.database, "ledger_relay") as connection:
        rows = await connection.fetch(
            "SELECT shard, id, routing_key, aggregate, version, body FROM outbox ORDER BY shard, id"
        )
    seen = defaultdict(list)
    for row in rows:
        told = Envelope.model_validate_json(row["body"])
        seen[told.type].append(told)
        told.read(MESSAGES[told.type])
        assert row["routing_key"].startswith(told.type)
        assert (told.partitionkey, told.sequence) == (row["aggregate"], row["version"])
    assert set(seen) >= {EntryCommitted.type, PostRefused.type, SealMade.type, DayClosed.type}
    check_versions(seen)
    check_balances(seen[EntryCommitted.type])


def check_versions(seen: dict[str, list[Envelope]]) -> None:
    """Of one aggregate each type's versions only grow, in the order in which a shard is carried."""
    for told in seen.values():
        by_aggregate: dict[str, list[int]] = defaultdict(list)
        for each in told:
            by_aggregate[each.partitionkey].append(each.sequence)
        for versions in by_aggregate.values():
            assert versions == sorted(versions)


def check_balances(told: list[Envelope]) -> None:
    """From the events alone every account can be followed: numbered without a gap, each balance from the one before."""
    lines = sorted(
        (leg for each in told for leg in each.read(EntryCommitted).postings),
        key=lambda leg: (leg.account, leg.account_sequence),
    )
    before: dict[str, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for leg in lines:
        number, balance = before[leg.account]
        assert leg.account_sequence == number + 1
        assert abs(Decimal(leg.balance) - balance) == Decimal(leg.amount)
        before[leg.account] = (leg.account_sequence, Decimal(leg.balance))
    assert len(before) > 5
