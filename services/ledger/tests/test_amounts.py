"""Every text that names an amount writes it as the rest of the ledger does: with its currency and all its decimals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

import pytest
from common.errors import DomainError
from hypothesis import given
from hypothesis import strategies as st
from ledger.domain.amounts import written
from ledger.domain.books import Account, Books, Hold, Receipt, Settlement, Stake
from ledger.domain.chart import AccountClass, Chart, Kind, Side
from ledger.domain.commands import Command, Leg, SettlementPart
from ledger.domain.decide import decide
from ledger.domain.standings import Cap, Standing

ANA, HELD, OWED = "players/ana/available", "players/ana/held", "players/ana/debt"
BANK, ESCROW = "bank/spei", "markets/m/escrow"
MARKET = UUID(int=7)
REFERENCE = f"markets/{MARKET}"
HOLD, RECEIPT = UUID(int=1), UUID(int=2)


def _class(name: str, side: Side, owner: str | None, *, hold: bool = False) -> AccountClass:
    return AccountClass(name, re.compile(""), side, True, owner, hold)  # type: ignore[arg-type] # one of the three


CLASSES: Mapping[str, tuple[AccountClass, str | None]] = {
    BANK: (_class("bank", Side.DEBIT, None), None),
    ANA: (_class("player.available", Side.CREDIT, "player"), "ana"),
    HELD: (_class("player.held", Side.CREDIT, "player", hold=True), "ana"),
    OWED: (_class("player.debt", Side.DEBIT, "player"), "ana"),
    ESCROW: (_class("market.escrow", Side.CREDIT, "market"), str(MARKET)),
}
ALL = frozenset((side, known.name) for side in Side for known, _ in CLASSES.values())
KINDS = (
    Kind("transfer", False, None, None, False, None, ALL),
    Kind("deposit", True, None, None, False, None, ALL, ("bank/{rail}",)),
    Kind("stake", False, None, None, False, None, ALL, counts="stake", capped="refuse"),
    Kind("draw", False, None, "draw", False, None, ALL),
    Kind("settle", False, None, None, False, "settle", ALL),
    Kind("void", False, None, None, False, "void", ALL),
    Kind("recover", False, None, None, False, "recover", ALL),
)
CHART = Chart("test", (), {kind.name: kind for kind in KINDS}, {"MXN": 2, "JPY": 0, "KWD": 3})
FIRST = Settlement(1, Decimal(90), Decimal(0), 2, 3, frozenset())
SECOND = Settlement(2, Decimal(90), Decimal(0), 3, 3, frozenset({1}), Decimal(40))


def _books(currency: str, **more: object) -> Books:
    """Ana has 40, and 10 more that are held; the escrow has 90; amounts are as plain as they can be."""
    books = Books(CHART, {"me": frozenset(CHART.kinds)})
    balances = {BANK: 140, ANA: -40, HELD: -10, ESCROW: -90, OWED: 0}
    for number, (path, balance) in enumerate(balances.items()):
        known, owner = CLASSES[path]
        limited = "standings" in more
        books.accounts[path, currency] = Account(
            number, path, currency, known, owner, Decimal(balance), 1, limited=limited and path == ANA
        )
    books.holds[HOLD] = Hold(2, REFERENCE, Decimal(10))
    books.escrowed[REFERENCE] = Decimal(90)
    books.stakes[REFERENCE, "ana"] = Stake(Decimal(30), Decimal(0))
    for name, value in more.items():
        setattr(books, name, value)
    return books


def _command(kind: str, *legs: tuple[str, int], currency: str, **more: object) -> Command:
    hold = HOLD if kind == "draw" else None
    made = tuple(
        Leg(path, currency, Decimal(amount), hold if path == HELD else None) for path, amount in legs
    )
    return Command(1, "me", "k", kind, made, REFERENCE, **more)  # type: ignore[arg-type] # as `Command` has them


def _part(version: int, total: int, chunk: int = 2, chunks: int = 2) -> dict[str, object]:
    return {"settlement": SettlementPart(MARKET, version, Decimal(total), chunk, chunks)}


SETTLING: Mapping[str, object] = {"settlements": {REFERENCE: FIRST}}
AGAIN: Mapping[str, object] = {
    "settlements": {REFERENCE: SECOND},
    "shares": {(REFERENCE, "ana"): Decimal(20)},
}
Legs = tuple[tuple[str, int], ...]
REFUSED: tuple[tuple[str, Legs, Mapping[str, object], Mapping[str, object], int], ...] = (
    ("transfer", ((ANA, 50), (BANK, -50)), {}, {}, 1),
    ("transfer", ((ANA, 10), (BANK, -5)), {}, {}, 1),
    ("transfer", ((ANA, 5), (BANK, -10)), {}, {}, 1),
    ("draw", ((HELD, 11), (ANA, -11)), {}, {}, 1),
    ("deposit", ((BANK, 5), (ANA, -5)), {"receipt": RECEIPT}, {}, 1),
    ("stake", ((ANA, 30), (BANK, -30)), {}, {"standings": True}, 1),
    ("settle", ((ESCROW, 100), (ANA, -100)), _part(1, 90), SETTLING, 2),
    ("settle", ((ESCROW, 80), (ANA, -80)), _part(1, 90, 1, 1), {}, 2),
    ("settle", ((ESCROW, 90), (ANA, -90)), _part(1, 100), {}, 2),
    ("settle", ((ESCROW, 80), (ANA, -80)), _part(1, 80), {}, 2),
    ("settle", ((ESCROW, 90), (ANA, -90)), _part(2, 90, 3, 3), AGAIN, 2),
    ("recover", ((ANA, 60), (ESCROW, -60)), _part(2, 90, 2, 3), AGAIN, 2),
    ("recover", ((ANA, 30), (ESCROW, -30)), _part(2, 90, 2, 3), AGAIN, 1),
    ("void", ((ESCROW, 40), (ANA, -40)), _part(1, 90), SETTLING, 1),
)


@pytest.mark.parametrize("currency", CHART.exponents)
@pytest.mark.parametrize(("kind", "legs", "command", "state", "amounts"), REFUSED)
def test_a_refusal_writes_amounts_as_their_currency_does(
    currency: str,
    kind: str,
    legs: Legs,
    command: Mapping[str, object],
    state: Mapping[str, object],
    amounts: int,
) -> None:
    if "standings" in state:
        standing = Standing(False, (Cap("stake", "day", currency, Decimal(20)),), {})
        state = {"standings": {"ana": standing}}
    books = _books(currency, **state)
    books.receipts[RECEIPT] = Receipt("deposit", ANA, Decimal(10), currency, "spei", False)
    with pytest.raises(DomainError) as no:
        decide(_command(kind, *legs, currency=currency, **command), books)
    _all_are_written(no.value.detail, CHART, amounts)


def test_what_is_finer_than_its_currency_is_not_rounded() -> None:
    """A settlement's total and a receipt may say anything; that the escrow holds 90.00 and not 90.00 explains nothing."""
    assert CHART.money(Decimal("90.001"), "MXN") == "90.001 MXN"
    assert CHART.money(Decimal("4E+2"), "MXN") == "400.00 MXN"
    assert CHART.money(Decimal("5.50"), "ZZZ") == "5.50 ZZZ"


def _all_are_written(text: str, chart: Chart, amounts: int) -> None:
    """As many amounts as that, and no number of money without its currency and decimals."""
    text = text.replace(str(HOLD), "").replace(str(MARKET), "")
    found = re.findall(r"(?<![\w./-])([0-9.]+)(?: ([A-Z]{3}))?", text)
    assert len(found) == amounts, text
    for amount, currency in found:
        assert amount == written(Decimal(amount), chart.exponents[currency]), text


@given(
    st.decimals(-(10**17), 10**17, allow_nan=False, allow_infinity=False, places=2),
    st.sampled_from([2, 3, 6]),
)
def test_written_has_exactly_the_currencys_decimals(amount: Decimal, exponent: int) -> None:
    for same in (amount, amount.normalize(), +amount):
        text = written(same, exponent)
        assert Decimal(text) == amount
        assert len(text.rpartition(".")[2]) == exponent
    assert written(Decimal("-0"), 2) == "0.00"
    assert written(Decimal("4E+2"), 0) == "400"
