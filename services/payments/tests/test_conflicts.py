"""What was asked to be attested and never will be: people close its case, and what it is about has an end."""

from dataclasses import replace
from decimal import Decimal

import pytest
from payments.domain.accounts import available
from payments.domain.cards import Act, OperationState
from payments.domain.cases import Case, Decision, Subject
from payments.domain.deposits import DepositState, Transfer
from payments.domain.evidence import Cep, RailStatus
from payments.domain.orders import RailOrder
from payments.domain.withdrawals import WithdrawalState
from payments.psp import CardProvider
from payments.rail import Sources
from payments.service.arrivals import LOOK_BACK

from services.payments.tests.card_scene import RECEIVABLE, captured, found
from services.payments.tests.railhouse import OTHER_SENDER
from services.payments.tests.test_disputes_listed import contested, end
from services.payments.tests.test_forged_rows import DECIDED_ABOUT_PROOFS, refusal
from services.payments.tests.test_never_stuck import decided
from services.payments.tests.test_suspense import NOBODYS, SUSPENSE, arrivals, decide, run, the_case
from services.payments.tests.world import World, new_player


async def central_bank_says(here: World, transfer: Transfer, status: RailStatus) -> None:
    told = {
        "date": transfer.operation_date.isoformat(),
        "institution": transfer.institution,
        "clave": transfer.clave,
    }
    await here.rail.put("/central-bank/lies", told | {"status": str(status)})


async def the_conflict(here: World) -> Case:
    (case,) = await here.cashier.queue(Subject.PROOF, None, 5)
    return case


async def test_a_transfer_on_which_the_sources_never_agree_is_rejected(here: World) -> None:
    """And the deposit that it was taken from with it. What people have rejected stays so."""
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00")
    await central_bank_says(here, transfer, RailStatus.RETURNED)
    answer = await here.claim(player, transfer, "70.00")
    await run(here)
    await decide(here, await the_case(here), Decision.SUSPEND)
    await run(here)
    await decide(here, await the_conflict(here), Decision.CLOSE)
    assert await arrivals(here) == ["REJECTED"]
    assert (await here.deposit(player, answer)).state is DepositState.REJECTED
    here.arrivals._read_to = here.clock() - LOOK_BACK
    await run(here)
    assert await arrivals(here) == ["REJECTED"]
    assert await here.owner.fetchval("SELECT count(*) FROM deposit") == 1
    assert here.ledger.entries == {}
    assert list(await here.cashier.queue(None, None, 5)) == []


async def assigning(here: World) -> Transfer:
    """Money in suspense that was assigned, and the central bank says by now that the transfer was sent back."""
    player = new_player()
    await here.requests.own_clabe(player)
    transfer = await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    case = await the_case(here)
    await central_bank_says(here, transfer, RailStatus.RETURNED)
    await decide(here, case, Decision.ASSIGN, player)
    await run(here)
    assert await arrivals(here) == ["ASSIGNING"]
    return transfer


@pytest.mark.parametrize("decision", [Decision.ASSIGN, Decision.RETURN])
async def test_what_cannot_be_assigned_is_decided_on_anew(here: World, decision: Decision) -> None:
    transfer = await assigning(here)
    await decide(here, await the_conflict(here), Decision.CLOSE)
    assert await arrivals(here) == ["SUSPENDED"]
    await central_bank_says(here, transfer, RailStatus.LIQUIDATED)
    case = await the_case(here)
    assert (case.subject, case.reason) == ("arrival", "given-up: suspense.assign")
    other = new_player()
    await here.requests.own_clabe(other)
    await decide(here, case, decision, other if decision is Decision.ASSIGN else None)
    await run(here)
    assert await arrivals(here) == ["ASSIGNED" if decision is Decision.ASSIGN else "RETURNED"]
    assert here.ledger.balance(SUSPENSE) == 0
    assert here.ledger.balance(available(other)) == Decimal(70 if decision is Decision.ASSIGN else 0)


async def test_a_return_that_nobody_attests_is_decided_on_anew(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    await decide(here, await the_case(here), Decision.RETURN)
    honest = Sources.order_status

    async def elsewhere(sources: Sources, clave: str) -> RailOrder | None:
        told = await honest(sources, clave)
        return told and replace(told, beneficiary_clabe="646180157000000004")

    monkeypatch.setattr(Sources, "order_status", elsewhere)
    await run(here)
    assert await arrivals(here) == ["RETURNING"]
    monkeypatch.undo()
    clave = await here.owner.fetchval("SELECT return_clave FROM arrival")
    await decide(here, await the_conflict(here), Decision.CLOSE)
    assert await arrivals(here) == ["SUSPENDED"]
    await decide(here, await the_case(here), Decision.RETURN)
    await run(here)
    assert await arrivals(here) == ["RETURNED"]
    assert await here.owner.fetchval("SELECT return_clave FROM arrival") != clave
    assert here.ledger.kinds() == ["deposit.suspense", "suspense.return"]


async def test_a_withdrawal_that_did_not_come_back_is_paid_out(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The participant says that it was sent back, the central bank that it was not; and people have asked the receiving bank."""
    player = new_player()
    answer, withdrawal = await here.paid_out(player)
    told = await here.events(withdrawal.reference)
    await here.rail.post(f"/orders/{withdrawal.clave}/return", {})

    async def carried_out(_sources: Sources, _transfer: Transfer) -> Cep:
        return Cep(RailStatus.LIQUIDATED, None)

    monkeypatch.setattr(Sources, "cep", carried_out)
    await run(here)
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.RETURNING
    await decide(here, await the_conflict(here), Decision.CLOSE)
    for _ in range(2):
        assert (await here.withdrawal(player, answer)).state is WithdrawalState.BOOKED
        here.arrivals._returns_from = here.clock() - LOOK_BACK
        await run(here)
    assert await here.events(withdrawal.reference) == told, "nothing new has become of it"
    assert here.ledger.balance("bank/spei") == Decimal(300)
    assert list(await here.cashier.queue(None, None, 5)) == []


async def test_a_settlement_file_that_nobody_attests_makes_room_for_another(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider has replaced it by another one, with the same lines in it."""
    payment_id = await captured(here, new_player(), "70.00")
    await here.psp.ask("POST", "/control/payout")
    assert await here.settlements.import_new() == 1
    honest = CardProvider.payout

    async def replaced(provider: CardProvider, name: str) -> str | None:
        return (await honest(provider, "PO-0001") or "").replace("H,PO-0001,", f"H,{name}-again,")

    async def names(_provider: CardProvider) -> tuple[str, ...]:
        return ("PO-0001", "PO-0001-A")

    monkeypatch.setattr(CardProvider, "payout", replaced)
    await here.run_cards()
    case = await the_conflict(here)
    assert case.reason == "file-differs"
    await decide(here, case, Decision.CLOSE)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.BOOKED
    monkeypatch.setattr(CardProvider, "payouts", names)
    assert await here.settlements.import_new() == 1
    await here.run_cards()
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.CLEARED
    states = [
        row["state"] for row in await here.owner.fetch("SELECT state FROM payout_file ORDER BY imported_at")
    ]
    assert states == ["REJECTED", "MATCHED"]
    assert here.ledger.kinds().count("card.settle") == 1


async def test_a_file_that_took_what_a_later_one_gave_back_is_not_given_up(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the later one would give back what nobody had taken."""
    ((_, dispute),) = await contested(here)
    honest = CardProvider.payout

    async def changed(provider: CardProvider, name: str) -> str | None:
        text = await honest(provider, name)
        return text and (f"{text}\n" if name == "PO-0001" else text)

    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    monkeypatch.setattr(CardProvider, "payout", changed)
    await here.run_cards()
    case = next(each for each in await here.cashier.queue(None, None, 10) if each.subject is Subject.PROOF)
    await end(here, dispute, won=True)
    await captured(here, new_player(), "50.00")
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    assert await decided(here, case, Decision.CLOSE) == 409
    monkeypatch.undo()
    assert await decided(here, case, Decision.ASK_AGAIN) == 200
    await here.run_cards()
    assert [each for each in here.ledger.kinds() if "dispute" in each] == ["dispute.open", "dispute.won"]
    assert here.ledger.balance(RECEIVABLE) == 0


async def test_what_the_attestor_has_given_its_word_for_is_not_given_up(here: World) -> None:
    """The ledger has refused it, for a defect of ours, and may book it once that is repaired."""
    player = new_player()
    await here.requests.own_clabe(player)
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    await decide(here, await the_case(here), Decision.ASSIGN, player)
    receipt = await here.owner.fetchval("SELECT receipt_id FROM proof WHERE purpose = 'suspense.assign'")
    (defect,) = here.ledger.entries.values()
    here.ledger.entries[f"proof:{receipt}"] = defect
    await run(here)
    case = await the_conflict(here)
    assert case.reason == "idempotency-key-reused"
    assert await decided(here, case, Decision.CLOSE) == 409
    assert await arrivals(here) == ["ASSIGNING"]
    del here.ledger.entries[f"proof:{receipt}"]
    assert await decided(here, case, Decision.ASK_AGAIN) == 200
    await run(here)
    assert here.ledger.balance(available(player)) == Decimal(70)


async def test_nothing_goes_back_that_nobody_has_given_up(here: World) -> None:
    """Whoever holds payments' own role gives up what people have not, or has something back that they have not given up."""
    await assigning(here)
    conflicted = "UPDATE proof SET state = 'GIVEN_UP' WHERE state = 'CONFLICTED'"
    assert await refusal(here, conflicted) == "proof_is_asked_again_by_people"
    assert await refusal(here, "UPDATE arrival SET state = 'SUSPENDED'") == "arrival_follows_its_proof"
    await captured(here, new_player(), "70.00")
    await here.psp.ask("POST", "/control/payout")
    assert await here.settlements.import_new() == 1
    assert await refusal(here, "UPDATE payout_file SET state = 'REJECTED'") == "payout_file_is_given_up"
    player = new_player()
    _, withdrawal = await here.paid_out(player)
    await here.rail.post(f"/orders/{withdrawal.clave}/return", {})
    here.arrivals._returns_from = here.clock() - LOOK_BACK
    await here.arrivals.notice()
    assert await refusal(here, "UPDATE withdrawal SET state = 'BOOKED'") == "withdrawal_follows_its_proof"


async def test_in_the_database_too_a_word_that_was_given_stands(here: World) -> None:
    player = new_player()
    await here.requests.own_clabe(player)
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    await decide(here, await the_case(here), Decision.ASSIGN, player)
    receipt = await here.owner.fetchval("SELECT receipt_id FROM proof WHERE purpose = 'suspense.assign'")
    (defect,) = here.ledger.entries.values()
    here.ledger.entries[f"proof:{receipt}"] = defect
    await run(here)
    given_up = (
        DECIDED_ABOUT_PROOFS.format("close")
        + "UPDATE proof SET state = 'GIVEN_UP' WHERE state = 'CONFLICTED'"
    )
    assert await refusal(here, given_up) == "proof_with_a_word_is_not_given_up"
