"""Disputes in the provider's settlement files: what they take, with a fee, and give back, each counted once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payments.domain.disputes import Dispute, DisputeState
from payments.domain.payout_files import (
    OF_DISPUTES,
    BreakClass,
    PayoutLine,
    match_dispute,
    parse_payout,
    settled,
)
from payments.psp import CardProvider

from services.payments.tests.card_scene import CONTESTED, RECEIVABLE, books, captured, cases, hear
from services.payments.tests.test_crashes import Work, at_every_await
from services.payments.tests.test_disputes import held
from services.payments.tests.test_disputes_listed import contested, end, state
from services.payments.tests.test_forged_rows import refusal
from services.payments.tests.test_set_off import paid_out
from services.payments.tests.world import World, new_player
from tools.chaos_psp.book import DISPUTE_FEE, ZERO, Book
from tools.chaos_psp.faults import Faults

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
STEPS = st.lists(st.sampled_from(["pay", "dispute", "win", "lose", "file"]), min_size=1, max_size=30)


@given(STEPS, st.lists(st.integers(1, 90_000), min_size=30, max_size=30))
@settings(max_examples=150, deadline=None)
def test_what_disputes_took_and_gave_back_is_in_the_files_once_and_only_that_is_left(
    steps: list[str], cents: list[int]
) -> None:
    """Whatever happens between two files: they add up, each line about a dispute comes once, and the provider's account
    of us is what the files took off it."""
    book, bank, lines = Book(), ZERO, list[tuple[str, str]]()
    for number, (step, amount) in enumerate(zip((*steps, "file"), (*cents, 1), strict=False)):
        _act(book, step, number, Decimal(amount) / 100)
        if step != "file" or (name := book.pay_out(NOON)) is None:
            continue
        file = parse_payout(book.files[name])
        gross = sum((line.amount for line in file.lines), ZERO)
        fees = sum((line.fee for line in file.lines), ZERO)
        amount_settled = settled(file.opening, gross, fees)
        assert amount_settled - fees == max(file.closing, ZERO), "the bank gets what is paid out"
        bank += amount_settled
        lines += [(line.psp_id, line.kind) for line in file.lines if line.kind in OF_DISPUTES]
        assert sum((move.amount for move in book.moves), ZERO) - bank == min(file.closing, ZERO)
    wanted = [(each.thing, each.act) for each in book.moves if book.things[each.thing].act == "dispute"]
    assert sorted(lines) == sorted(wanted)


def _act(book: Book, step: str, number: int, amount: Decimal) -> None:
    if step == "pay":
        make = {"token": f"tok_{number}", "parent": None}
        (card,) = book.create(key=f"a{number}", act="authorize", amount=amount, now=NOON, **make)
        for act in ("capture", "refund"):
            book.create(key=f"{act}{number}", act=act, amount=amount, token=None, parent=card.id, now=NOON)
    elif step == "dispute":
        book.faults = Faults(0, {"dispute_during_refund": 1.0})
        book.come_late(NOON)
    elif step in ("win", "lose"):
        open_ones = [
            each for each in book.things.values() if each.act == "dispute" and each.status == "processing"
        ]
        for each in open_ones[:1]:
            book.end_dispute(each.id, NOON, won=step == "win")


def _line(kind: str, amount: str, fee: str = "0.00") -> PayoutLine:
    return PayoutLine(1, "op_d", kind, Decimal(amount), Decimal(fee))


OPEN, WON = (Dispute("op_d", Decimal(40), each) for each in (DisputeState.OPEN, DisputeState.WON))
TAKEN = {"chargeback": Decimal(-30)}


@pytest.mark.parametrize(
    ("line", "dispute", "counted", "broken"),
    [
        (_line("chargeback", "-40.00", "15.00"), OPEN, {}, None),
        (_line("chargeback", "-0.01", "15.00"), WON, {}, None),
        (_line("chargeback", "-40.00"), None, {}, BreakClass.MISSING_INTERNAL),
        (_line("chargeback", "-40.01"), OPEN, {}, BreakClass.AMOUNT_MISMATCH),
        (_line("chargeback", "40.00"), OPEN, {}, BreakClass.AMOUNT_MISMATCH),
        (_line("chargeback", "-40.00", "-0.01"), OPEN, {}, BreakClass.AMOUNT_MISMATCH),
        (_line("chargeback", "-40.00", "2000.01"), OPEN, {}, BreakClass.AMOUNT_MISMATCH),
        (_line("chargeback", "-40.00"), OPEN, TAKEN, BreakClass.DUPLICATE),
        (_line("chargeback_reversal", "30.00"), WON, TAKEN, None),
        (_line("chargeback_reversal", "30.01"), WON, TAKEN, BreakClass.AMOUNT_MISMATCH),
        (_line("chargeback_reversal", "-30.00"), WON, TAKEN, BreakClass.AMOUNT_MISMATCH),
        (_line("chargeback_reversal", "30.00"), WON, {}, BreakClass.TIMING_OR_STATE),
        (_line("chargeback_reversal", "30.00"), OPEN, TAKEN, BreakClass.TIMING_OR_STATE),
    ],
)  # fmt: skip
def test_a_line_fits_its_dispute_or_is_a_break(
    line: PayoutLine, dispute: Dispute | None, counted: dict[str, Decimal], broken: BreakClass | None
) -> None:
    assert match_dispute(line, dispute, counted) is broken


def paid(here: World) -> Decimal:
    """What the provider's files have paid out, by the books."""
    return here.ledger.balance("bank/spei")


async def by_webhook(here: World, dispute: str) -> None:
    await hear(here, dispute)


async def by_list(here: World, _: str) -> None:
    await here.disputes.look()


async def by_nobody(_: World, __: str) -> None:
    """The file alone tells of it."""


@pytest.mark.parametrize("told", [by_webhook, by_list, by_nobody])
@pytest.mark.parametrize("first", ["the file", "whoever tells"])
async def test_what_is_disputed_is_taken_and_given_back_once_whoever_tells(
    here: World, told: Callable[[World, str], Awaitable[None]], first: str
) -> None:
    ((payment_id, dispute),) = await contested(
        here
    )  # captured 100.00, refunded 40.00, and these are disputed

    async def happens() -> None:
        if first == "the file":
            await paid_out(here)
        await told(here, dispute)
        if first != "the file":
            await paid_out(here)

    await happens()
    assert (await state(here, dispute), await held(here, payment_id)) == ("OPEN", 40)
    assert paid(here) == Decimal("100.00") - 40 - 40 - Decimal("3.60") - DISPUTE_FEE
    assert here.ledger.balance("fees/chaos") == Decimal("3.60") + DISPUTE_FEE
    assert books(here) == (0, 40, 0)
    await end(here, dispute, won=True)
    await captured(here, new_player(), "50.00")
    before = paid(here)
    await happens()
    assert (await state(here, dispute), await held(here, payment_id)) == ("WON", 0)
    assert paid(here) - before == Decimal("50.00") - Decimal("1.80") + 40
    assert here.ledger.balance(RECEIVABLE) == 0
    assert await cases(here) == [("card", f"dispute:{dispute}")]


async def test_taken_and_given_back_by_one_file_it_leaves_its_fee_alone(here: World) -> None:
    ((_, dispute),) = await contested(here)
    await end(here, dispute, won=True)
    await paid_out(here)
    assert books(here) == (0, 0, 0)
    assert here.ledger.balance("fees/chaos") == Decimal("3.60") + DISPUTE_FEE


async def test_a_line_about_no_dispute_of_ours_is_a_break_and_the_rest_is_booked(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_, dispute),) = await contested(here)
    honest = CardProvider.payout

    async def stranger(provider: CardProvider, name: str) -> str | None:
        text = await honest(provider, name)
        return text and text.replace(f"L,{dispute},chargeback", "L,op_nobodys,chargeback")

    monkeypatch.setattr(CardProvider, "payout", stranger)
    await paid_out(here)
    assert ("payout_line", "MISSING_INTERNAL") in await cases(here)
    assert here.ledger.balance("fees/chaos") == Decimal("3.60")
    assert await state(here, dispute) is None


async def test_a_file_with_a_dispute_survives_a_crash_at_every_await(here: World) -> None:
    found: list[str] = []

    async def begin() -> Work:
        ((_, dispute),) = await contested(here)
        found.append(dispute)
        await here.psp.ask("POST", "/control/payout")
        return _imported(here)

    async def carry_on(number: int) -> None:
        await here.settlements.import_new()
        await here.run_cards()
        rows = await here.owner.fetch("SELECT kind FROM payout_line WHERE dispute_id = $1", found[-1])
        assert [row["kind"] for row in rows] == ["chargeback"], number
        assert here.ledger.balance(CONTESTED) == 40 * len(found), number
        assert here.ledger.balance(RECEIVABLE) == 0, number

    assert await at_every_await(begin, carry_on) > 5


async def _imported(here: World) -> None:
    await here.settlements.import_new()


async def test_of_several_who_import_a_file_at_once_one_counts_it(here: World) -> None:
    ((_, dispute),) = await contested(here)
    await here.psp.ask("POST", "/control/payout")
    await asyncio.gather(hear(here, dispute), *(here.settlements.import_new() for _ in range(4)))
    await here.run_cards()
    assert here.ledger.balance(CONTESTED) == 40
    assert await here.owner.fetchval("SELECT count(*) FROM payout_line WHERE dispute_id IS NOT NULL") == 1


LINE = """
    INSERT INTO payout_line (file_id, line, psp_id, kind, amount, fee, dispute_id)
    SELECT file_id, line + 100, psp_id, {kind}, {amount}, 0, dispute_id FROM payout_line WHERE dispute_id IS NOT NULL
"""


async def test_in_the_database_too_no_more_is_given_back_than_was_taken(here: World) -> None:
    ((_, dispute),) = await contested(here)
    await paid_out(here)
    again = LINE.format(kind="'chargeback'", amount="amount")
    assert await refusal(here, again) == "payout_line_takes_once"
    back = LINE.format(kind="'chargeback_reversal'", amount="-amount")
    assert await refusal(here, back) == "payout_line_is_of_its_dispute", "it is not won"
    await end(here, dispute, won=True)
    await hear(here, dispute)
    assert await refusal(here, back) is None
    for kind, amount in (
        ("'chargeback_reversal'", "-amount + 1"),
        ("'chargeback'", "amount - 1"),
        ("'capture'", "1"),
    ):
        assert (
            await refusal(here, LINE.format(kind=kind, amount=amount)) == "payout_line_is_of_its_dispute"
        ), kind
