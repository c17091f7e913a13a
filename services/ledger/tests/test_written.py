"""What is put together as text for speed is, letter by letter, what the slow and obvious way writes."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st
from ledger.domain.amounts import written
from ledger.domain.chart import Chart
from ledger.domain.commands import ENTRY_IDS, Command, Leg, SettlementPart, canonical, entry_id
from ledger.domain.seals import SealedPosting
from ledger.domain.seals import canonical as sealed
from ledger.store.outcomes import PostedEntry, PostedLeg
from ledger.wire import entry_json, entry_view

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
UUIDS = st.uuids(version=4)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
EXPONENTS = {"MXN": 2, "JPY": 0, "XXX": 6}
AMOUNTS = st.decimals(Decimal("-1e18"), Decimal("1e18"), places=6) | st.sampled_from(
    [Decimal(text) for text in ("0.00", "-0.00", "0E-6", "0E+3", "1E+3", "1E-6", "-1.50", "100", "0.1000000")]
)
LEGS = st.builds(
    PostedLeg,
    TEXT, st.sampled_from(sorted(EXPONENTS)), st.sampled_from([1, -1]), AMOUNTS, AMOUNTS, st.integers(1), st.none() | UUIDS,
)  # fmt: skip
ENTRIES = st.builds(
    PostedEntry,
    UUIDS, st.integers(1), TEXT, TEXT, TEXT, st.binary(), TEXT, st.dictionaries(TEXT, TEXT, max_size=2), st.none() | UUIDS,
    MOMENTS, MOMENTS, st.lists(LEGS, min_size=1, max_size=3).map(tuple), st.none() | UUIDS, st.none() | UUIDS,
)  # fmt: skip
COMMANDS = st.builds(
    Command,
    st.integers(1, 9), TEXT, TEXT, TEXT, st.lists(st.builds(Leg, TEXT, TEXT, AMOUNTS, st.none() | UUIDS)).map(tuple), TEXT,
    st.dictionaries(TEXT, TEXT, max_size=2), st.none() | UUIDS,
    st.none() | st.builds(SettlementPart, UUIDS, st.integers(1), AMOUNTS, st.integers(1), st.integers(1)),
    st.none() | MOMENTS, st.none(), st.none() | UUIDS, st.none() | UUIDS, st.none() | MOMENTS, st.none() | UUIDS,
)  # fmt: skip


@given(ENTRIES)
def test_an_answer_is_its_view(entry: PostedEntry) -> None:
    chart = Chart("any", (), {}, EXPONENTS)
    assert entry_json(entry, chart) == entry_view(entry, chart).model_dump_json().encode()


@given(AMOUNTS, st.sampled_from([0, 2, 6]))
def test_amounts(amount: Decimal, exponent: int) -> None:
    assert written(amount, exponent) == f"{amount or abs(amount):.{exponent}f}"
    plain = f"{amount:f}"
    assert canonical(amount) == (plain.rstrip("0").rstrip(".") if "." in plain else plain)


@given(COMMANDS)
def test_a_fingerprint_is_the_digest_of_compact_json(command: Command) -> None:
    part = command.settlement
    parts: list[object] = [
        command.kind,
        command.reference,
        str(command.receipt or ""),
        command.effective_at.isoformat() if command.effective_at else "",
        [[leg.account, leg.currency, canonical(leg.amount), str(leg.hold or "")] for leg in command.legs],
        sorted(command.metadata.items()),
        part and [str(part.market), part.version, canonical(part.total), part.chunk, part.chunks],
    ]
    if not command.plain:
        ends = command.expires_at.isoformat() if command.expires_at else ""
        parts.append([str(command.reverses or ""), str(command.drains or ""), ends, str(command.link or "")])
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    assert command.fingerprint == hashlib.sha256(text.encode()).digest()


@given(st.integers(), TEXT, TEXT)
def test_an_entrys_id_is_a_uuid_of_version_5(ledger: int, principal: str, key: str) -> None:
    id: UUID = entry_id(ledger, principal, key)
    assert id == uuid5(ENTRY_IDS, f"{ledger}\x1f{principal}\x1f{key}")


@given(
    st.builds(
        SealedPosting,
        TEXT, TEXT, TEXT, st.sampled_from([1, -1]), st.booleans(), TEXT, TEXT, st.integers(0), st.none() | TEXT,
    )
)  # fmt: skip
def test_a_postings_digest_is_of_canonical_json(posting: SealedPosting) -> None:
    assert posting.digest() == hashlib.sha256(b"\x03" + sealed(posting.written())).hexdigest()
