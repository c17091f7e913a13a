"""Deciding groups, mirrors and drains: pure, no server. A refused group leaves the books as they were."""

from __future__ import annotations

import re
from copy import deepcopy
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from common.errors import DomainError
from hypothesis import given
from hypothesis import strategies as st
from ledger.domain.books import Account, Books, Hold, Original
from ledger.domain.chart import AccountClass, Chart, Kind, Side
from ledger.domain.commands import Command, Leg, linked
from ledger.domain.decide import decide
from ledger.domain.groups import LinkRefused, decide_group

ANA, CASH, HELD = "liabilities/ana", "assets/cash", "held/liabilities/ana"
HOLD, ENTRY = UUID(int=1), UUID(int=2)
NAMES = {"asset": Side.DEBIT, "liability": Side.CREDIT, "liability.held": Side.CREDIT}


def kind(name: str, *legs: tuple[Side, str], **more: object) -> Kind:
    return Kind(name, False, None, more.pop("hold", None), False, None, frozenset(legs), **more)  # type: ignore[arg-type] # as the chart's row has it


def chart() -> Chart:
    both = [(side, name) for side in Side for name in ("asset", "liability")]
    classes = tuple(
        AccountClass(name, re.compile(name), side, True, None, name == "liability.held")
        for name, side in NAMES.items()
    )
    kinds = (
        kind("transfer", *both, reversible=True),
        kind("reversal", mirror=True),
        kind(
            "hold.open",
            (Side.DEBIT, "liability"),
            (Side.CREDIT, "liability.held"),
            hold="open",
            reversible=True,
        ),
        kind(
            "hold.capture",
            (Side.DEBIT, "liability.held"),
            (Side.CREDIT, "asset"),
            hold="draw",
            draws="capture",
        ),
        kind(
            "hold.release",
            (Side.DEBIT, "liability.held"),
            (Side.CREDIT, "liability"),
            hold="draw",
            draws="release",
        ),
    )
    return Chart("generic", classes, {each.name: each for each in kinds}, {"USD": 2})


def books(ana: int = 50) -> Books:
    """Ana has so much, 10 more are held; one transfer of 10 stands in the journal."""
    made = Books(chart(), {"me": frozenset(chart().kinds)})
    balances = {(CASH, "asset"): ana + 10, (ANA, "liability"): -ana, (HELD, "liability.held"): -10}
    classes = {each.name: each for each in made.chart.classes}
    for number, ((path, name), balance) in enumerate(balances.items()):
        made.accounts[path, "USD"] = Account(number, path, "USD", classes[name], None, Decimal(balance), 1)
    made.holds[HOLD] = Hold(2, "o/1", Decimal(10), None, HELD, ANA, "USD")
    legs = (Leg(CASH, "USD", Decimal(10)), Leg(ANA, "USD", Decimal(-10)))
    made.originals[ENTRY] = Original("transfer", "o/1", legs, False)
    return made


def transfer(debit: str, credit: str, amount: int) -> Command:
    legs = (Leg(debit, "USD", Decimal(amount)), Leg(credit, "USD", Decimal(-amount)))
    return Command(1, "me", str(uuid4()), "transfer", legs, "o/1")


def reversal() -> Command:
    return Command(1, "me", str(uuid4()), "reversal", (), "o/1", reverses=ENTRY)


def release() -> Command:
    return Command(1, "me", str(uuid4()), "hold.release", (), "o/1", drains=HOLD)


def capture(amount: int) -> Command:
    legs = (Leg(HELD, "USD", Decimal(amount), HOLD), Leg(CASH, "USD", Decimal(-amount)))
    return Command(1, "me", str(uuid4()), "hold.capture", legs, "o/1")


def hold(amount: int, id: UUID) -> Command:
    legs = (Leg(ANA, "USD", Decimal(amount)), Leg(HELD, "USD", Decimal(-amount), id))
    return Command(1, "me", str(uuid4()), "hold.open", legs, "o/1")


commands = st.one_of(
    st.builds(transfer, st.sampled_from((ANA, CASH)), st.sampled_from((ANA, CASH)), st.integers(1, 40)),
    st.builds(reversal),
    st.builds(release),
    st.builds(capture, st.integers(1, 12)),
    st.builds(hold, st.integers(1, 30), st.sampled_from((HOLD, UUID(int=3)))),
)


def seen(of: Books) -> tuple[object, ...]:
    """All that deciding can move, as plain values."""
    return dict(of.accounts), dict(of.holds), dict(of.originals)


@given(st.lists(commands, min_size=2, max_size=6))
def test_a_group_comes_to_what_its_commands_come_to_or_to_nothing(wanted: list[Command]) -> None:
    one_by_one, together = books(), books()
    before = deepcopy(seen(together))
    group = linked(wanted)
    why = None
    for command in group:
        try:
            decide(command, one_by_one)
        except DomainError as refused:
            why = refused.slug
            break
    if why is None:
        decide_group(group, together)
        assert seen(together) == seen(one_by_one)
    else:
        with pytest.raises(LinkRefused) as no:
            decide_group(group, together)
        assert no.value.why.slug == why
        assert seen(together) == before
        verdicts = [no.value.verdict(command).slug for command in group]
        assert verdicts.count("linked-refused") == len(group) - 1


@given(st.lists(commands, max_size=12))
def test_money_is_kept_and_a_hold_only_falls(wanted: list[Command]) -> None:
    of = books()
    for command in wanted:
        remaining = of.holds[HOLD].remaining
        try:
            decide(command, of)
        except DomainError:
            continue
        assert sum(account.balance for account in of.accounts.values()) == 0
        assert of.accounts[HELD, "USD"].balance == -sum(hold.remaining for hold in of.holds.values())
        assert 0 <= of.holds[HOLD].remaining <= remaining
        assert all(account.balance * account.cls.side >= 0 for account in of.accounts.values())


def test_an_entry_is_reversed_once_and_a_hold_drained_once() -> None:
    of = books()
    for command, again in ((reversal(), "already-reversed"), (release(), "hold-exhausted")):
        decide(command, of)
        with pytest.raises(DomainError) as refused:
            decide(reversal() if command.reverses else release(), of)
        assert refused.value.slug == again


def test_a_closed_account_takes_nothing() -> None:
    of = books()
    closed = of.accounts[CASH, "USD"]
    of.accounts[CASH, "USD"] = Account(
        closed.id, closed.path, "USD", closed.cls, None, closed.balance, closed.sequence, True
    )
    for command in (transfer(CASH, ANA, 1), reversal(), capture(1)):
        with pytest.raises(DomainError) as refused:
            decide(command, of)
        assert refused.value.slug == "account-closed"
