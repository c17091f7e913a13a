"""Money that is nobody's: to suspense, and from there to its player or back to its sender, by people's decision."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from payments.domain.accounts import available
from payments.domain.cases import Case, Decision
from payments.domain.deposits import DepositState
from payments.domain.holders import Holder, contradicts
from payments.domain.names import same_person
from payments.domain.refusals import FourEyes
from payments.service.arrivals import LOOK_BACK
from payments.service.cashier import Verdict

from services.payments.tests.card_scene import PATIENCE
from services.payments.tests.railhouse import OTHER_SENDER, SENDER
from services.payments.tests.world import World, new_player

NOBODYS = "646180157099999993"
SUSPENSE = "suspense/spei"


async def run(here: World) -> None:
    """The statement is read, and everything that follows from it."""
    for _ in range(4):
        await here.arrivals.notice()
        await here.verify_all()
        await here.book_all()
        await here.run_cards()
        while leased := await here.arrivals.lease(16):
            for arrival in leased:
                await here.arrivals.advance(arrival)
        await here.run_cards()
        here.clock.forward(PATIENCE)


async def the_case(here: World) -> Case:
    (case,) = await here.cashier.queue(None, None, 10)
    return case


async def decide(here: World, case: Case, decision: Decision, player: UUID | None = None) -> None:
    verdict = Verdict(decision, "seen the papers", player)
    await here.propose(case, verdict, "ana")
    await here.approve(case, verdict, "beto")


async def arrivals(here: World) -> list[str]:
    return [row["state"] for row in await here.owner.fetch("SELECT state FROM arrival")]


async def test_a_transfer_to_nobodys_clabe_waits_in_suspense_and_goes_back(here: World) -> None:
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    assert await arrivals(here) == ["SUSPENDED"]
    assert (here.ledger.balance("bank/spei"), here.ledger.balance(SUSPENSE)) == (Decimal(70), Decimal(70))
    case = await the_case(here)
    assert case.reason == "unknown-clabe"
    await decide(here, case, Decision.RETURN)
    await run(here)
    assert await arrivals(here) == ["RETURNED"]
    assert (here.ledger.balance("bank/spei"), here.ledger.balance(SUSPENSE)) == (Decimal(0), Decimal(0))
    clave = await here.owner.fetchval("SELECT return_clave FROM arrival")
    _, order = await here.rail.get(f"/orders/{clave}")
    assert (order["beneficiary_clabe"], order["amount"], order["status"]) == (SENDER, "70.00", "liquidado")


async def test_people_find_out_whose_it_is(here: World) -> None:
    player = new_player()
    await here.requests.own_clabe(player)
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    await decide(here, await the_case(here), Decision.ASSIGN, player)
    await run(here)
    assert await arrivals(here) == ["ASSIGNED"]
    assert (here.ledger.balance(available(player)), here.ledger.balance(SUSPENSE)) == (
        Decimal(70),
        Decimal(0),
    )
    assert here.ledger.kinds() == ["deposit.suspense", "suspense.assign"]


async def test_another_persons_money_is_not_credited(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00", name="PEDRO PÁRAMO")
    answer = await here.claim(player, transfer, "70.00")
    await run(here)
    assert (await here.deposit(player, answer)).state is DepositState.SUSPENDED
    assert here.ledger.balance(available(player)) == 0
    await decide(here, await the_case(here), Decision.RETURN)
    await run(here)
    assert (await here.deposit(player, answer)).state is DepositState.RETURNED
    assert here.ledger.balance("bank/spei") == 0


CURP, RFC = "LOAA900101MSLPRN01", "LOAA900101AB1"


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("ND", DepositState.BOOKED),
        (CURP, DepositState.BOOKED),
        (RFC, DepositState.BOOKED),
        ("LOXA900101XY9", DepositState.BOOKED),
        ("XAXX010101000", DepositState.BOOKED),
        ("LOAA900102AB1", DepositState.SUSPENDED),
        ("PEGJ800520HSLRRN09", DepositState.SUSPENDED),
        ("ABC900101AB1", DepositState.SUSPENDED),
    ],
)
async def test_what_the_cep_says_of_the_senders_papers_must_be_the_players(
    here: World, told: str, state: DepositState
) -> None:
    """Of the same name, but with another's CURP or RFC, or a company's: suspense. Many institutions say nothing."""
    player = new_player()
    await here.known(player, curp=CURP)
    transfer = await here.rail.transfer(
        await here.requests.own_clabe(player), "70.00", ordering_document=told
    )
    answer = await here.claim(player, transfer, "70.00")
    await run(here)
    found = await here.deposit(player, answer)
    assert found.state is state
    if state is DepositState.SUSPENDED:
        assert (await the_case(here)).reason == "document-differs"


def test_an_rfc_that_is_known_must_be_the_same_to_the_last_letter() -> None:
    holder = Holder("Ana López", CURP, RFC)
    assert not contradicts(holder, RFC.lower())
    assert contradicts(holder, "LOAA900101AB2")
    assert not contradicts(Holder("Ana López"), RFC), "with nothing to compare with, nothing is contradicted"


@pytest.mark.parametrize("decision", [Decision.RETURN, Decision.ASSIGN])
async def test_a_deposit_beyond_its_players_limit_goes_to_suspense_and_back(
    here: World, decision: Decision
) -> None:
    """It was attested for the player first; the word that puts it into suspense takes that one's place."""
    player = new_player()
    here.ledger.limited.add(available(player))
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00")
    answer = await here.claim(player, transfer, "70.00")
    await run(here)
    assert (await here.deposit(player, answer)).state is DepositState.SUSPENDED
    assert (here.ledger.balance(available(player)), here.ledger.balance(SUSPENSE)) == (
        Decimal(0),
        Decimal(70),
    )
    case = await the_case(here)
    assert case.reason == "limit-exceeded"
    await decide(here, case, decision, player if decision is Decision.ASSIGN else None)
    await run(here)
    state = (await here.deposit(player, answer)).state
    kept = decision is Decision.ASSIGN
    assert state is (DepositState.ASSIGNED if kept else DepositState.RETURNED)
    assert (here.ledger.balance("bank/spei"), here.ledger.balance(SUSPENSE)) == (
        Decimal(70 if kept else 0),
        Decimal(0),
    )
    assert here.ledger.kinds() == ["deposit.suspense", "suspense.assign" if kept else "suspense.return"]


async def test_sources_that_contradict_each_other_book_nothing_and_a_person_decides(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(
        await here.requests.own_clabe(player), "70.00", statement_amount="700.00"
    )
    answer = await here.claim(player, transfer, "700.00")
    await run(here)
    assert (await here.deposit(player, answer)).state is DepositState.QUARANTINED
    assert here.ledger.entries == {}
    case = await the_case(here)
    assert case.reason == "amount-differs-between-sources"
    await decide(here, case, Decision.REJECT)
    assert (await here.deposit(player, answer)).state is DepositState.REJECTED
    here.arrivals._read_to = (
        here.clock() - LOOK_BACK
    )  # as after a restart: the statement is read again from far back
    await run(here)
    assert await here.owner.fetchval("SELECT count(*) FROM deposit") == 1, "people's word is the last"
    assert await here.owner.fetchval("SELECT count(*) FROM arrival") == 0


async def test_the_central_bank_may_say_otherwise_than_the_statement(here: World) -> None:
    """Two servers, two words: nothing is booked."""
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00")
    lie = {"date": transfer.operation_date.isoformat(), "institution": transfer.institution,
           "clave": transfer.clave, "status": "devuelto"}  # fmt: skip
    await here.rail.put("/central-bank/lies", lie)
    answer = await here.claim(player, transfer, "70.00")
    await run(here)
    found = await here.deposit(player, answer)
    assert (found.state, found.reason) == (DepositState.QUARANTINED, "status-differs")
    assert here.ledger.entries == {}


async def test_a_central_bank_that_is_down_decides_nothing(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00")
    here.rail.central_bank.kill()
    answer = await here.claim(player, transfer, "70.00")
    await here.verify_all()
    assert (await here.deposit(player, answer)).state is DepositState.NOT_FOUND_YET
    here.rail.start()
    await run(here)
    assert (await here.deposit(player, answer)).state is DepositState.BOOKED


async def test_a_transfer_that_nobody_claims_is_noticed_and_a_late_claim_is_the_same_deposit(
    here: World,
) -> None:
    player = new_player()
    await here.known(player)
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00")
    await run(here)
    assert here.ledger.balance(available(player)) == Decimal(70)
    answer = await here.claim(player, transfer, "70.00")
    assert (await here.deposit(player, answer)).state is DepositState.BOOKED
    assert await here.owner.fetchval("SELECT count(*) FROM deposit") == 1


async def test_a_return_that_gets_lost_is_asked_for_and_sent_once_more(here: World) -> None:
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    case = await the_case(here)
    await here.rail.put("/behaviour", {"lose_orders": "after"})
    await decide(here, case, Decision.RETURN)
    await run(here)
    assert await arrivals(here) == ["RETURNED"]
    assert await here.owner.fetchval("SELECT sends FROM arrival") == 1
    assert here.ledger.balance("bank/spei") == 0


async def test_one_persons_word_is_not_enough(here: World) -> None:
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    case = await the_case(here)
    verdict = Verdict(Decision.RETURN, "seen", None)
    await here.propose(case, verdict, "ana")
    with pytest.raises(FourEyes):
        await here.approve(case, verdict, "ana")
    assert (await here.propose(case, Verdict(Decision.APPROVE, "no", None), "beto")).status == 409
    async with here.pool.acquire() as conn:
        with pytest.raises(Exception, match="review_case_has_four_eyes"):
            await conn.execute(
                "UPDATE review_case SET state = 'DECIDED', decided_by = 'ana', decided_at = now(), confirmed_on = 1 "
                "WHERE id = $1",
                case.id,
            )
    assert await arrivals(here) == ["SUSPENDED"]


async def test_nobody_approves_what_is_proposed_instead_of_what_they_have_seen(here: World) -> None:
    """Whoever proposed may propose something else while another one is about to approve."""
    accomplice, other = new_player(), new_player()
    for each in (accomplice, other):
        await here.requests.own_clabe(each)
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    case = await the_case(here)
    seen = Verdict(Decision.RETURN, "to the sender", None)
    await here.propose(case, seen, "ana")
    instead = Verdict(Decision.ASSIGN, "to the sender", accomplice)
    await here.propose(case, instead, "ana")
    for wrong in (seen, replace(instead, player=other)):
        assert (await here.approve(case, wrong, "beto")).status == 409
    await run(here)
    assert await arrivals(here) == ["SUSPENDED"]
    shown, history = await here.cashier.case(case.id)
    assert (shown.decision, shown.target) == (Decision.ASSIGN, accomplice)
    assert (
        f'"player": "{accomplice}"' in [line.answer or "" for line in history if line.event == "proposed"][1]
    )
    assert (await here.approve(case, instead, "beto")).status == 200


async def test_a_withdrawal_that_the_bank_sends_back_is_the_players_again(here: World) -> None:
    player = new_player()
    answer, withdrawal = await here.paid_out(player)
    status, _ = await here.rail.post(f"/orders/{withdrawal.clave}/return", {})
    assert status == 200
    await run(here)
    assert (await here.withdrawal(player, answer)).state == "RETURNED"
    assert here.ledger.balance(available(player)) == Decimal(500)
    assert here.ledger.balance("bank/spei") == Decimal(500)
    assert here.ledger.kinds().count("withdrawal.returned") == 1


async def test_a_withdrawal_sent_back_before_it_was_booked_out_is_the_players_again(here: World) -> None:
    """The ledger is away while the bank sends it back, for longer than the statement is read anew."""
    player = new_player()
    await here.deposited(player, "500.00")
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    withdrawal = await here.withdrawal(player, answer)
    assert withdrawal.state == "LIQUIDATED"
    status, _ = await here.rail.post(f"/orders/{withdrawal.clave}/return", {})
    assert status == 200
    for _ in range(3):
        await here.arrivals.notice()
        here.clock.forward(timedelta(hours=1))
    await here.deliver_commands()
    await run(here)
    assert (await here.withdrawal(player, answer)).state == "RETURNED"
    assert here.ledger.balance(available(player)) == Decimal(500)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ana López", "ANA LOPEZ", True),
        ("Ana María López Ruiz", "LOPEZ RUIZ ANA MARIA", True),
        ("Ana María López Ruiz", "ANA LOPEZ", True),
        ("María del Carmen Gómez de la Cruz", "MARIA CARMEN GOMEZ CRUZ", True),
        ("Guadalupe Hernández Villavicencio", "GUADALUPE HERNANDEZ VILLAVIC", True),
        ("Ana López", "ANA", False),
        ("Ana López", "PEDRO LOPEZ", False),
        ("Ana López", "ANA LOPEZ PEDRO", True),
        ("Ana Ruiz", "ANA LOPEZ", False),
        ("Ana López", "", False),
    ],
)
def test_names_are_compared_as_banks_write_them(one: str, other: str, same: bool) -> None:
    assert same_person(one, other) is same
    assert same_person(other, one) is same
