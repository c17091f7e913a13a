"""Settlement files whose refunds exceed their captures: nothing is paid out, and the next file is that much less."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payments.domain.accounts import available
from payments.domain.cards import Act, OperationState
from payments.domain.payout_files import parse_payout, settled
from payments.psp import CardProvider

from services.payments.tests.card_scene import RECEIVABLE, captured, cases, found, refund
from services.payments.tests.test_forged_rows import refusal
from services.payments.tests.world import World, new_player
from tools.chaos_psp.book import ZERO, Book

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BATCHES = st.lists(
    st.lists(st.tuples(st.booleans(), st.integers(1, 90_000)), min_size=1, max_size=4), min_size=1, max_size=8
)
"""Between two files: captures (True) and refunds of an earlier capture, in centavos."""


@given(BATCHES)
@settings(max_examples=100, deadline=None)
def test_what_is_left_of_the_receivable_is_what_the_next_file_opens_with(
    batches: list[list[tuple[bool, int]]],
) -> None:
    """Whatever is captured and refunded between two files: what was paid out and kept is off the provider's account,
    and what is left there is never in our favour, the same that the provider's own account of us says."""
    book, captures, bank = Book(), list[tuple[str, Decimal]](), ZERO
    for number, batch in enumerate(batches):
        for at, (is_capture, cents) in enumerate(batch):
            key, amount = f"{number}.{at}", Decimal(cents) / 100
            if is_capture or not captures:
                token = f"tok_{key}"
                (card,) = book.create(
                    key=f"a{key}", act="authorize", amount=amount, token=token, parent=None, now=NOON
                )
                book.create(key=key, act="capture", amount=amount, token=None, parent=card.id, now=NOON)
                captures.append((card.id, amount))
            else:
                parent, most = captures.pop(0)
                book.create(
                    key=key, act="refund", amount=min(amount, most), token=None, parent=parent, now=NOON
                )
        name = book.pay_out(NOON)
        assert name is not None
        file = parse_payout(book.files[name])
        gross, fees = (
            sum((line.amount for line in file.lines), ZERO),
            sum((line.fee for line in file.lines), ZERO),
        )
        amount = settled(file.opening, gross, fees)
        assert amount >= fees >= 0
        assert amount - fees == max(file.closing, ZERO), "the bank gets what is paid out"
        bank += amount
        left = sum((move.amount for move in book.moves), ZERO) - bank
        assert left == min(file.closing, ZERO), "what is owed stays on the provider's account"
        assert left == Decimal(book.statement().rstrip().rpartition("T,")[2])


async def paid_out(here: World) -> int:
    """A settlement file, and everything that follows from it; how many were taken."""
    await here.psp.ask("POST", "/control/payout")
    taken = await here.settlements.import_new()
    await here.run_cards()
    return taken


async def owing(here: World, amount: str = "30.00") -> None:
    """Paid out a hundred, forty of it refunded, and a capture of `amount` since: that file ends below zero."""
    first = await captured(here, new_player(), "100.00")
    assert await paid_out(here) == 1
    assert (await refund(here, first, "40.00")).status == 202
    await here.run_cards()
    await captured(here, new_player(), amount)


async def capture_states(here: World) -> list[str]:
    rows = await here.owner.fetch(
        "SELECT state FROM card_operation WHERE act = 'capture' ORDER BY requested_at"
    )
    return [row["state"] for row in rows]


async def test_a_file_below_zero_is_booked_and_set_off_by_the_next(here: World) -> None:
    await owing(here)
    assert here.ledger.balance("bank/spei") == Decimal("96.40")
    assert await paid_out(here) == 1
    assert await capture_states(here) == ["CLEARED", "CLEARED"], "it was paid: with what we owed"
    assert here.ledger.balance("bank/spei") == Decimal("96.40"), "nothing came"
    assert here.ledger.balance("fees/chaos") == Decimal("4.68")
    assert here.ledger.balance(RECEIVABLE) == Decimal("-11.08"), "we owe it"
    assert await cases(here) == [("payout_line", "owed-to-the-provider")]
    player = new_player()
    await captured(here, player, "100.00")
    assert await paid_out(here) == 1
    assert here.ledger.balance("bank/spei") == Decimal("181.72")
    assert here.ledger.balance("fees/chaos") == Decimal("8.28")
    assert here.ledger.balance(RECEIVABLE) == 0
    assert here.ledger.balance(available(player)) == Decimal("100.00")
    assert await cases(here) == [("payout_line", "owed-to-the-provider")], "it was set off"


async def test_what_is_set_off_to_the_last_centavo_needs_no_entry_and_is_spendable(here: World) -> None:
    """No fee is kept of ten centavos: there is nothing for the ledger to book, and the capture is settled all the same."""
    await owing(here, "0.10")
    kinds = here.ledger.kinds().count("card.settle")
    assert await paid_out(here) == 1
    assert await capture_states(here) == ["CLEARED", "CLEARED"]
    assert here.ledger.kinds().count("card.settle") == kinds
    assert here.ledger.balance(RECEIVABLE) == Decimal("-39.90")


async def test_a_file_that_opens_with_what_no_file_left_waits_for_that_one(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await owing(here)
    await here.psp.ask("POST", "/control/payout")
    payment_id = await captured(here, new_player(), "100.00")
    await here.psp.ask("POST", "/control/payout")
    honest = CardProvider.payouts

    async def late(provider: CardProvider) -> tuple[str, ...]:
        return tuple(name for name in await honest(provider) if name != "PO-0002")

    monkeypatch.setattr(CardProvider, "payouts", late)
    assert await here.settlements.import_new() == 0
    assert await cases(here) == [], "it may be on its way"
    for _ in range(2):
        here.clock.forward(timedelta(minutes=5))
        assert await here.settlements.import_new() == 0
    assert await cases(here) == [("payout_line", "opens-with-what-no-file-left")]
    monkeypatch.undo()
    assert await here.settlements.import_new() == 2
    await here.run_cards()
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.CLEARED
    assert here.ledger.balance(RECEIVABLE) == 0


async def test_people_are_told_when_what_we_owe_is_not_set_off(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider has taken it some other way, or forgotten it."""
    await owing(here)
    assert await paid_out(here) == 1
    await captured(here, new_player(), "100.00")
    honest = CardProvider.payout

    async def forgotten(provider: CardProvider, name: str) -> str | None:
        text = await honest(provider, name)
        return text and text.replace("MXN,-11.08", "MXN,0.00").replace("T,85.32", "T,96.40")

    monkeypatch.setattr(CardProvider, "payout", forgotten)
    assert await paid_out(here) == 1
    assert sorted(await cases(here)) == [
        ("payout_line", "not-set-off"),
        ("payout_line", "owed-to-the-provider"),
    ]
    assert here.ledger.balance(RECEIVABLE) == Decimal("-11.08")


FILE = """
    INSERT INTO payout_file (id, psp, name, sha256, raw, opening, closing, gross, fees, carried_from, state)
    SELECT gen_random_uuid(), {psp}, 'forged', sha256('forged'), 'forged', {opening}, 0, 0, 0, {left_by}, 'MATCHED'
      FROM payout_file f WHERE f.name = 'PO-0002'
"""
HONEST = {"psp": "'chaos'", "opening": "-11.08", "left_by": "f.id"}


async def test_in_the_database_too_a_file_opens_with_what_one_file_has_left(here: World) -> None:
    await owing(here)
    assert await paid_out(here) == 1
    assert await refusal(here, FILE.format(**HONEST)) is None
    for lie, rule in (
        ({"opening": "-11.07"}, "payout_file_opens_with_what_one_left"),
        ({"psp": "'other'"}, "payout_file_opens_with_what_one_left"),
        ({"left_by": "NULL"}, "payout_file_opens_with_nothing_else"),
        ({"opening": "11.08", "left_by": "NULL"}, "payout_file_opens_with_nothing_else"),
    ):
        assert await refusal(here, FILE.format(**HONEST | lie)) == rule, lie
    await captured(here, new_player(), "100.00")
    assert await paid_out(here) == 1
    assert await refusal(here, FILE.format(**HONEST)) == "payout_file_is_set_off_once"


async def test_in_the_database_too_a_capture_is_settled_by_a_file_alone(here: World) -> None:
    """Settled, its money is cleared next and can be withdrawn: not before the file that pays it is booked."""
    await captured(here, new_player(), "100.00")
    by_itself = "UPDATE card_operation SET state = 'SETTLED' WHERE act = 'capture'"
    assert await refusal(here, by_itself) == "card_operation_is_settled_by_its_file"
    await here.psp.ask("POST", "/control/payout")
    assert await here.settlements.import_new() == 1
    assert await refusal(here, by_itself) == "card_operation_is_settled_by_its_file", "it is not booked"
