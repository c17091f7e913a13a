"""Money that was returned from suspense, or paid out, and is sent back by the receiving bank: it is at our bank, so it is
in the ledger."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from payments.domain.accounts import available
from payments.domain.cases import Case, Decision, Subject
from payments.domain.orders import RailOrder
from payments.rail import Lines, Rail, Sources
from payments.service.arrivals import LOOK_BACK

from services.payments.tests.railhouse import OTHER_SENDER
from services.payments.tests.test_bank_account import reconciled
from services.payments.tests.test_forged_rows import refusal
from services.payments.tests.test_suspense import NOBODYS, SUSPENSE, arrivals, decide, run, the_case
from services.payments.tests.world import World, new_player


async def bounced(here: World) -> Case:
    """Money in suspense was returned, that was booked, and then the receiving bank sends it back; the case about it."""
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    await decide(here, await the_case(here), Decision.RETURN)
    await run(here)
    assert here.ledger.balance("bank/spei") == 0
    await sent_back(here)
    return await the_case(here)


async def sent_back(here: World) -> None:
    """The receiving bank sends back the last order."""
    clave = await here.owner.fetchval(
        "SELECT return_clave FROM arrival WHERE state = 'RETURNED' ORDER BY sent_at DESC LIMIT 1"
    )
    assert (await here.rail.post(f"/orders/{clave}/return", {}))[0] == 200
    for _ in range(2):  # the second look finds it again
        here.arrivals._returns_from = here.clock() - LOOK_BACK
        await run(here)


async def agrees(here: World, amount: str) -> None:
    """The bank account in the ledger is what the statement says, line by line."""
    told = await reconciled(here)
    assert list(told.report.found) == []
    assert told.report.ours == told.report.theirs == here.ledger.balance("bank/spei") == Decimal(amount)


async def test_what_comes_back_after_its_return_was_booked_is_in_suspense_again(here: World) -> None:
    case = await bounced(here)
    assert (case.reason, case.amount) == ("return-came-back", Decimal(70))
    assert sorted(await arrivals(here)) == ["RETURNED", "SUSPENDED"]
    assert here.ledger.balance(SUSPENSE) == Decimal(70)
    assert here.ledger.kinds() == ["deposit.suspense", "suspense.return", "deposit.suspense"]
    await agrees(here, "70.00")


async def test_what_came_back_is_assigned_by_people(here: World) -> None:
    player = new_player()
    await here.requests.own_clabe(player)
    await decide(here, await bounced(here), Decision.ASSIGN, player)
    await run(here)
    assert (here.ledger.balance(available(player)), here.ledger.balance(SUSPENSE)) == (
        Decimal(70),
        Decimal(0),
    )
    await agrees(here, "70.00")


async def test_what_came_back_is_returned_once_more_and_may_come_back_again(here: World) -> None:
    """Each order has a clave of its own, and each that comes back is an arrival of its own."""
    await decide(here, await bounced(here), Decision.RETURN)
    await run(here)
    assert await arrivals(here) == ["RETURNED", "RETURNED"]
    await agrees(here, "0.00")
    await sent_back(here)
    assert sorted(await arrivals(here)) == ["RETURNED", "RETURNED", "SUSPENDED"]
    await agrees(here, "70.00")


async def test_what_comes_back_needs_both_sources(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The participant says that it came back; asked by the attestor, it says that it did not."""
    honest = Sources.order_status

    async def carried_out(sources: Sources, clave: str) -> RailOrder | None:
        told = await honest(sources, clave)
        return told and replace(told, status=type(told.status)("liquidado"))

    monkeypatch.setattr(Sources, "order_status", carried_out)
    case = await bounced(here)
    assert (case.subject, case.reason) == ("proof", "status-differs")
    assert sorted(await arrivals(here)) == ["QUARANTINED", "RETURNED"]
    assert here.ledger.balance(SUSPENSE) == 0


@pytest.mark.parametrize(("came", "kept"), [("150.00", "150.00"), ("250.00", "0.00")])
async def test_a_withdrawal_of_which_a_part_comes_back_is_in_suspense_by_that_part(
    here: World, monkeypatch: pytest.MonkeyPatch, came: str, kept: str
) -> None:
    """The receiving bank has kept a fee of it; and more than was sent is no return at all."""
    player = new_player()
    answer, withdrawal = await here.paid_out(player)
    await here.rail.post(f"/orders/{withdrawal.clave}/return", {})
    all_of_them, one_of_them = Rail.came_back, Sources.order_status
    part = replace(withdrawal.amount, amount=Decimal(came))

    async def some(rail: Rail, since: datetime) -> Lines[RailOrder]:
        lines = await all_of_them(rail, since)
        return Lines(tuple(replace(each, amount=part) for each in lines.read))

    async def one(sources: Sources, clave: str) -> RailOrder | None:
        told = await one_of_them(sources, clave)
        return told and replace(told, amount=part)

    monkeypatch.setattr(Rail, "came_back", some)
    monkeypatch.setattr(Sources, "order_status", one)
    await run(here)
    assert (await here.withdrawal(player, answer)).state == "BOOKED"
    assert here.ledger.balance(SUSPENSE) == Decimal(kept)
    assert here.ledger.balance("bank/spei") == Decimal(300) + Decimal(kept)
    (case,) = await here.cashier.queue(Subject.WITHDRAWAL, None, 10)
    await decide(here, case, Decision.CLOSE)
    here.arrivals._returns_from = here.clock() - LOOK_BACK
    await run(here)
    assert not await here.cashier.queue(Subject.WITHDRAWAL, None, 10), "decided on, and read again: told once"
    monkeypatch.undo()
    here.arrivals._returns_from = here.clock() - LOOK_BACK
    await run(here)
    assert here.ledger.balance("bank/spei") == Decimal(300) + (Decimal(kept) or Decimal(200)), (
        "one receipt an order"
    )


ARRIVE = """
    INSERT INTO arrival (id, tracking_key, clave, operation_date, institution, beneficiary_clabe, ordering_account, ordering_name,
                         amount, currency, reason)
    SELECT gen_random_uuid(), {key}, {clave}, a.operation_date, '90646', '', a.ordering_account, 'x', {amount}, 'MXN', 'x'
      FROM arrival a
"""
HONEST = {"key": "'RETURNED:' || upper(a.return_clave)", "clave": "a.return_clave", "amount": "a.amount"}


async def test_in_the_database_too_nothing_comes_back_that_did_not_go_out(here: World) -> None:
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    case = await the_case(here)
    assert (
        await refusal(here, ARRIVE.format(**HONEST | {"key": "'RETURNED:X'", "clave": "'X'"}))
        == "arrival_went_out_before"
    )
    await decide(here, case, Decision.RETURN)
    assert await refusal(here, ARRIVE.format(**HONEST)) == "arrival_went_out_before", "not yet"
    await run(here)
    assert await refusal(here, ARRIVE.format(**HONEST)) is None
    for lie, rule in (
        ({"amount": "a.amount + 1"}, "arrival_went_out_before"),
        ({"key": "'RETURNED:X'"}, "arrival_tracking_key_is_canonical"),
        ({"key": "a.tracking_key || 'X'"}, "arrival_tracking_key_is_canonical"),
    ):
        assert await refusal(here, ARRIVE.format(**HONEST | lie)) == rule, lie
