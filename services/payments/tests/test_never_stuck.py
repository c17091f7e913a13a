"""Nothing waits for ever: what people decide leaves a way on, and one bad line does not hold up the others."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from contracts.ledger import PostRefused, RefusalReason
from payments.domain.accounts import available, uncleared
from payments.domain.cards import Act, CardPayment, Operation, OperationState
from payments.domain.cases import Case, Decision, Subject
from payments.domain.deposits import DepositState, Transfer
from payments.domain.evidence import Cep, RailStatus, StatementLine
from payments.domain.withdrawals import WithdrawalState
from payments.psp import CardProvider
from payments.rail import Lines, Rail, RailSilent, Sources
from payments.service.arrivals import LOOK_BACK
from payments.service.cashier import Verdict

from services.payments.tests.card_scene import captured, cases, found, refund, settle_down
from services.payments.tests.railhouse import OTHER_SENDER, SENDER
from services.payments.tests.test_suspense import NOBODYS, SUSPENSE, arrivals, run, the_case
from services.payments.tests.world import World, heard, new_player


async def decided(here: World, case: Case, decision: Decision) -> int:
    """How the second of two people is answered; the first one's refusal if there is one."""
    verdict = Verdict(decision, "seen the papers", None)
    proposed = await here.propose(case, verdict, "ana")
    return (await here.approve(case, verdict, "beto")).status if proposed.status == 200 else proposed.status


async def case_of(here: World, reason: str) -> Case:
    found = [each for each in await here.cashier.queue(None, None, 50) if each.reason == reason]
    (case,) = [each for each in found if each.subject is not Subject.PLAYER]
    return case


async def test_the_last_case_of_a_withdrawal_under_review_is_not_closed_without_a_decision(
    here: World,
) -> None:
    """Closed, it would stay reserved with nobody to let it go."""
    player = new_player()
    await here.deposited(player, "60000.00")
    answer = await here.withdraw(player, "25000.00")
    await here.pay_all()
    case = await case_of(here, "deposit-without-play")
    assert case.subject is Subject.WITHDRAWAL
    assert await decided(here, case, Decision.CLOSE) == 409
    assert await decided(here, case, Decision.REJECT) == 200
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.REJECTED


async def test_money_in_suspense_is_not_left_there_by_closing_its_case(here: World) -> None:
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    assert await decided(here, await the_case(here), Decision.CLOSE) == 409
    assert await decided(here, await the_case(here), Decision.RETURN) == 200


async def test_the_case_of_a_deposit_that_was_booked_after_all_can_be_closed(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(
        await here.requests.own_clabe(player), "70.00", statement_amount="700.00"
    )
    answer = await here.claim(player, transfer, "700.00")
    await run(here)
    case = await the_case(here)
    assert await decided(here, case, Decision.CLOSE) == 409, "it still waits for people"
    await here.owner.execute(
        "SET session_replication_role = replica; UPDATE deposit SET state = 'RETURNED';"
        "SET session_replication_role = origin"
    )
    assert (await here.deposit(player, answer)).state is DepositState.RETURNED
    assert await decided(here, case, Decision.CLOSE) == 200


async def test_money_from_a_card_number_is_not_sent_back_and_stays_to_be_decided_on(here: World) -> None:
    """Many transfers come from a debit card's or a telephone's number, to which no order can go."""
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    await here.owner.execute("UPDATE arrival SET ordering_account = '4152313300000000'")
    case = await the_case(here)
    assert await decided(here, case, Decision.RETURN) == 409
    assert await arrivals(here) == ["SUSPENDED"]


async def test_a_return_that_the_rail_rejects_is_decided_on_anew(here: World) -> None:
    """The sender has closed the account: the money is in suspense still, and goes to its player or back again."""
    player = new_player()
    await here.requests.own_clabe(player)
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    await here.rail.put(f"/accounts/{OTHER_SENDER}", {"state": "closed"})
    first = await the_case(here)
    assert await decided(here, first, Decision.RETURN) == 200
    await run(here)
    assert await arrivals(here) == ["SUSPENDED"]
    clave = await here.owner.fetchval("SELECT return_clave FROM arrival")
    second = await the_case(here)
    assert (second.id != first.id, second.reason.startswith("return-rejected")) == (True, True)
    await here.rail.put(f"/accounts/{OTHER_SENDER}", {"state": "open"})
    assert await decided(here, second, Decision.RETURN) == 200
    await run(here)
    assert await arrivals(here) == ["RETURNED"]
    assert await here.owner.fetchval("SELECT return_clave FROM arrival") != clave, (
        "the rail has rejected that one"
    )
    assert (here.ledger.balance(SUSPENSE), here.ledger.balance("bank/spei")) == (Decimal(0), Decimal(0))


async def test_a_return_that_never_arrived_is_decided_on_anew(here: World) -> None:
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    await here.rail.put("/behaviour", {"lose_orders": "before"})
    assert await decided(here, await the_case(here), Decision.RETURN) == 200
    for _ in range(6):
        await run(here)
    lost = await case_of(here, "order-never-arrived")
    assert await arrivals(here) == ["RETURN_UNKNOWN"]
    assert await decided(here, lost, Decision.ASSIGN) == 409, "the rail may have it"
    assert await decided(here, lost, Decision.NEVER_PAID) == 200
    assert await arrivals(here) == ["SUSPENDED"]
    await here.rail.put("/behaviour", {})
    assert await decided(here, await the_case(here), Decision.RETURN) == 200
    await run(here)
    assert await arrivals(here) == ["RETURNED"]


async def test_people_are_told_when_a_return_comes_back(here: World) -> None:
    """After it was booked out, and then it is in suspense anew; and before, when the money is in suspense still."""
    for amount in ("70.00", "30.00"):
        await here.rail.transfer(NOBODYS, amount, sender=OTHER_SENDER)
    await run(here)
    early, late = sorted(await here.cashier.queue(None, None, 5), key=lambda case: case.amount or 0)
    assert await decided(here, late, Decision.RETURN) == 200
    await run(here)
    await here.rail.put("/behaviour", {"lose_orders": "after"})
    assert await decided(here, early, Decision.RETURN) == 200
    for arrival in await here.arrivals.lease(16):
        await here.arrivals.advance(arrival)
    for clave in await here.owner.fetch("SELECT return_clave FROM arrival"):
        assert (await here.rail.post(f"/orders/{clave['return_clave']}/return", {}))[0] == 200
    here.arrivals._returns_from = here.clock() - LOOK_BACK  # the rail has a clock of its own
    await run(here)
    told = {(case.reason, case.amount) for case in await here.cashier.queue(None, None, 5)}
    assert told == {("return-came-back", Decimal(70)), ("return-rejected: came back", Decimal(30))}
    assert sorted(await arrivals(here)) == ["RETURNED", "SUSPENDED", "SUSPENDED"]
    assert here.ledger.balance(SUSPENSE) == here.ledger.balance("bank/spei") == Decimal(100)


async def test_nobody_says_of_a_refund_that_is_only_not_answered_yet_that_it_was_never_paid(
    here: World,
) -> None:
    """There may be a case about it for another reason, and its answer a moment away."""
    payment_id = await captured(here, new_player(), "70.00")
    await refund(here, payment_id, "70.00")
    await here.psp.faults(not_found_after_success=1.0)
    for operation in await here.cards.lease(16):
        await here.cards.advance(operation)
    refunded = (await found(here, payment_id))[1][Act.REFUND]
    assert refunded.state is OperationState.UNKNOWN
    await here.owner.execute(
        """
        INSERT INTO review_case (id, subject, subject_id, reason, four_eyes)
        VALUES (gen_random_uuid(), 'card', $1, 'object-before-send', true)
        """,
        refunded.id,
    )
    assert await decided(here, await the_case(here), Decision.NEVER_PAID) == 409
    assert (await found(here, payment_id))[1][Act.REFUND].state is OperationState.UNKNOWN


async def test_a_refund_that_never_arrived_is_the_players_again_by_peoples_word(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_provider: CardProvider, _operation: Operation, _payment: CardPayment) -> None:
        raise RailSilent("no route")

    player = new_player()
    payment_id = await captured(here, player, "70.00")
    monkeypatch.setattr(CardProvider, "send", lost)
    await refund(here, payment_id, "70.00")
    for _ in range(4):
        await settle_down(here)
    case = await case_of(here, "never-arrived")
    assert here.ledger.balance(uncleared(player)) == 0
    assert await decided(here, case, Decision.NEVER_PAID) == 200
    await here.run_cards()
    assert (await found(here, payment_id))[1][Act.REFUND].state is OperationState.RELEASED
    assert here.ledger.balance(uncleared(player)) == Decimal(70)


async def test_a_central_bank_that_was_late_is_asked_again(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The participant says that a withdrawal has come back, the central bank says so an hour later."""
    player = new_player()
    answer, withdrawal = await here.paid_out(player)
    await here.rail.post(f"/orders/{withdrawal.clave}/return", {})

    async def late(_sources: Sources, _transfer: Transfer) -> Cep:
        return Cep(RailStatus.LIQUIDATED, None)

    monkeypatch.setattr(Sources, "cep", late)
    await run(here)
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.RETURNING
    case = await the_case(here)
    assert (case.subject, case.reason) == (Subject.PROOF, "status-differs")
    monkeypatch.undo()
    assert await decided(here, case, Decision.ASK_AGAIN) == 200
    await run(here)
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.RETURNED
    assert here.ledger.balance(available(player)) == Decimal(500)


async def test_a_deposit_that_went_to_suspense_too_early_is_asked_for_again(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00")
    told = {
        "date": transfer.operation_date.isoformat(),
        "institution": transfer.institution,
        "clave": transfer.clave,
    }
    await here.rail.put("/central-bank/lies", told | {"status": "devuelto"})
    answer = await here.claim(player, transfer, "70.00")
    await run(here)
    for decision in (Decision.SUSPEND, Decision.ASK_AGAIN):
        assert await decided(here, await the_case(here), decision) == 200
        await run(here)
        assert (await here.deposit(player, answer)).state is DepositState.QUARANTINED
        assert await arrivals(here) == ["QUARANTINED"]
    await here.rail.put("/central-bank/lies", told | {"status": "liquidado"})
    assert await decided(here, await the_case(here), Decision.ASK_AGAIN) == 200
    await run(here)
    assert (await here.deposit(player, answer)).state is DepositState.SUSPENDED
    assert here.ledger.balance(SUSPENSE) == Decimal(70)


async def test_a_transfer_that_went_to_suspense_is_told_to_people_when_a_player_claims_it(
    here: World,
) -> None:
    """Its CLABE was nobody's when it came, and was given out since."""
    transfer = await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    player = new_player()
    await here.owner.execute("INSERT INTO player_clabe (player, clabe) VALUES ($1, $2)", player, NOBODYS)
    answer = await here.claim(player, transfer, "70.00")
    await here.verify_all()
    claimed = await here.deposit(player, answer)
    assert (claimed.state, claimed.reason) == (DepositState.QUARANTINED, "tracking-key-attested-before")


Abonos = Lines[tuple[StatementLine, str]]


async def test_a_line_that_cannot_be_noted_holds_up_no_other(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement shows a transfer of nothing, and one under a clave that is none."""
    player = new_player()
    await here.known(player)
    await here.rail.transfer(await here.requests.own_clabe(player), "70.00")
    honest = Rail.abonos

    async def with_rubbish(rail: Rail, since: datetime, until: datetime) -> Abonos:
        lines = (await honest(rail, since, until)).read
        if not lines:
            return Lines(())
        line, name = lines[0]
        bad = replace(line, transfer=replace(line.transfer, clave="NO-CLAVE"))
        nothing = replace(
            line, amount=line.amount - line.amount, transfer=replace(line.transfer, clave="ZERO")
        )
        return Lines(((bad, name), (nothing, name), *lines))

    monkeypatch.setattr(Rail, "abonos", with_rubbish)
    await run(here)
    assert here.ledger.balance(available(player)) == Decimal(70)
    assert [case for case in await cases(here) if case[0] == "arrival"] == [
        ("arrival", "cannot-be-noted")
    ] * 2


async def test_a_transfer_whose_claim_ends_late_is_noticed_then(here: World) -> None:
    """Somebody claims what is not theirs, and the central bank takes half an hour: by then the statement was read."""
    stranger = new_player()
    await here.requests.own_clabe(stranger)
    transfer = await here.rail.transfer(NOBODYS, "70.00", sender=SENDER)
    here.rail.central_bank.kill()
    answer = await here.claim(stranger, transfer, "70.00")
    for _ in range(4):
        await here.arrivals.notice()
        await here.verify_all()
        here.clock.forward(timedelta(minutes=20))
    here.rail.start()
    await run(here)
    assert (await here.deposit(stranger, answer)).state is DepositState.REJECTED
    assert await arrivals(here) == ["SUSPENDED"]


async def test_a_file_that_cannot_be_read_holds_up_no_other(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await captured(here, new_player(), "70.00")
    await here.psp.ask("POST", "/control/payout")
    names, text = CardProvider.payouts, CardProvider.payout
    huge, wide = "H,PO-0,MXN,1e40\nT,1e40\n", f"H,{'x' * 200_000},MXN,0\nT,0\n"
    rubbish = {"PO-0": huge, "PO-00": wide}

    async def with_rubbish(provider: CardProvider) -> tuple[str, ...]:
        return (*rubbish, *await names(provider))

    async def file_of(provider: CardProvider, name: str) -> str | None:
        return rubbish.get(name) or await text(provider, name)

    monkeypatch.setattr(CardProvider, "payouts", with_rubbish)
    monkeypatch.setattr(CardProvider, "payout", file_of)
    assert await here.settlements.import_new() == 3
    await here.run_cards()
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.CLEARED
    assert await cases(here) == [("payout_line", "file-does-not-add-up")] * 2


async def test_the_desk_shows_the_latest_of_a_long_history(here: World) -> None:
    """What nobody answers for is asked about every half minute, for days."""
    player = new_player()
    deposit = await here.deposited(player, "70.00")
    await here.owner.execute(
        "INSERT INTO history (subject, subject_id, state, event) "
        "SELECT 'deposit', $1, 'BOOKED', 'look ' || n FROM generate_series(1, 600) AS n",
        deposit.id,
    )
    shown = await here.cashier.history(deposit.id)
    assert [line.event for line in shown][-2:] == ["look 599", "look 600"]


async def test_people_are_told_when_the_ledger_does_not_release_what_came_back(here: World) -> None:
    player = new_player()
    _, withdrawal = await here.paid_out(player)
    await here.rail.post(f"/orders/{withdrawal.clave}/return", {})
    await here.arrivals.notice()
    for proof in await here.witness.lease(16):
        await here.witness.attest(proof)
    for proof in await here.proofs.lease(16):
        await here.proofs.book(proof)
    (release,) = [each for each in await here.commands() if each.idempotency_key.startswith("returned:")]
    refused = PostRefused(
        principal="payments",
        idempotency_key=release.idempotency_key,
        kind=release.kind,
        reference=release.reference,
        problem=RefusalReason(slug="template-violation", detail="x"),
    )
    await here.ear.handle(heard(refused, withdrawal.id))
    assert await cases(here) == [("withdrawal", "refused-by-ledger")]
    assert (await here.cashier.queue(Subject.WITHDRAWAL, None, 5))[0].subject_id == withdrawal.id
