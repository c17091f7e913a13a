"""Our bank account in the ledger against the rail's statement of it: what either side has and the other has not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from contracts.ledger import EntryRequest, Posting, Side
from hypothesis import given
from hypothesis import strategies as st
from payments.domain.bank_account import Difference, Movement, compare
from payments.rail import RailSilent
from payments.service.bank_account import Reconciled

from services.payments.tests.test_suspense import NOBODYS, run
from services.payments.tests.world import World, new_player

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def movements(at: int) -> st.SearchStrategy[list[Movement]]:
    amounts = st.integers(-99_999, 99_999).map(lambda cents: Decimal(cents) / 100)
    keys = st.sampled_from([f"in:{number}" for number in range(6)])
    return st.lists(
        st.builds(Movement, keys, amounts, st.just(NOON + timedelta(seconds=at)), st.just("x")), max_size=8
    )


@given(movements(0), movements(1), st.randoms())
def test_the_differences_explain_everything_in_whatever_order_the_lines_come(
    ours: list[Movement], theirs: list[Movement], dice: Random
) -> None:
    report = compare(ours, theirs)
    assert report.residual == 0
    assert report.ours - report.theirs == sum((each.ours - each.theirs for each in report.found), Decimal(0))
    assert len({each.key for each in report.found}) == len(report.found)
    dice.shuffle(ours)
    dice.shuffle(theirs)
    assert compare(ours, theirs) == report


async def reconciled(here: World) -> Reconciled:
    now = datetime.now(UTC)
    return await here.bank_account.reconcile(now - timedelta(hours=1), now)


async def a_day(here: World) -> None:
    """Money in, out, out and back again, and to suspense."""
    player = new_player()
    await here.deposited(player, "500.00")
    answers = [await here.withdraw(player, amount) for amount in ("100.00", "50.00")]
    await here.pay_all()
    await here.deliver_commands()
    returned = await here.withdrawal(player, answers[1])
    assert (await here.rail.post(f"/orders/{returned.clave}/return", {}))[0] == 200
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)


async def test_a_sound_day_has_no_differences(here: World) -> None:
    await a_day(here)
    told = await reconciled(here)
    assert list(told.report.found) == []
    assert told.report.residual == 0
    assert told.report.matched == 5
    assert told.report.ours == told.report.theirs == Decimal("470.00") == here.ledger.balance("bank/spei")


async def test_what_the_rail_has_and_we_have_not_is_missing_with_us(here: World) -> None:
    """A deposit whose sources contradict each other is booked nowhere, and its money is at the bank."""
    await a_day(here)
    player = new_player()
    transfer = await here.rail.transfer(
        await here.requests.own_clabe(player), "30.00", statement_amount="33.00"
    )
    await here.claim(player, transfer, "30.00")
    await run(here)
    (found,) = (await reconciled(here)).report.found
    assert (found.difference, found.ours, found.theirs) == (
        Difference.MISSING_INTERNAL,
        Decimal(0),
        Decimal("33.00"),
    )
    assert transfer.clave.upper() in found.key


def entry(kind: str, reference: str, amount: str) -> EntryRequest:
    def leg(account: str, side: Side) -> Posting:
        return Posting(account=account, side=side, amount=amount, currency="MXN")

    legs = (leg("bank/spei", Side.DEBIT), leg("house/reserve", Side.CREDIT))
    return EntryRequest(kind=kind, postings=legs, reference=reference)


async def test_what_we_have_and_the_rail_has_not_is_missing_there(here: World) -> None:
    await a_day(here)
    for key, forged in (
        ("a", entry("deposit", "deposits/nobody", "9.00")),
        ("b", entry("house.fund", "funds/1", "5.00")),
    ):
        here.ledger.entries[key], here.ledger.posted_at[key] = forged, datetime.now(UTC)
    told = await reconciled(here)
    (found,) = told.report.found
    assert (found.difference, found.ours, found.theirs) == (
        Difference.MISSING_EXTERNAL,
        Decimal("9.00"),
        Decimal(0),
    )
    assert told.other_means == {"house.fund": Decimal("5.00")}


async def test_an_amount_that_differs_and_an_entry_twice_are_found(here: World) -> None:
    await a_day(here)
    keys = {entry.kind: key for key, entry in here.ledger.entries.items()}
    for kind, change in (("deposit", "501.00"), ("withdrawal.done", None)):
        booked = here.ledger.entries[keys[kind]]
        if change is None:
            here.ledger.entries["again"], here.ledger.posted_at["again"] = booked, datetime.now(UTC)
            continue
        legs = tuple(leg.model_copy(update={"amount": change}) for leg in booked.postings)
        here.ledger.entries[keys[kind]] = booked.model_copy(update={"postings": legs})
    found = {each.difference for each in (await reconciled(here)).report.found}
    assert found == {Difference.AMOUNT_MISMATCH, Difference.DUPLICATE}


async def test_without_the_rails_statement_nothing_is_said(here: World) -> None:
    here.rail.kill()
    with pytest.raises(RailSilent):
        await reconciled(here)
