"""Deposits from the claim to the books, on the real database and the real rail."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from common import pg
from payments.domain.accounts import Clabe, PlayerId, available, is_clabe
from payments.domain.deposits import DepositState
from payments.store.errors import LeaseLost

from services.payments.tests.railhouse import OTHER_SENDER, SENDER
from services.payments.tests.world import DEPOSIT_WINDOW, PACE, World, new_player


async def test_a_transfer_becomes_money_once(here: World) -> None:
    player = new_player()
    deposit = await here.deposited(player, "500.00")
    assert deposit.state is DepositState.BOOKED
    assert here.ledger.balance(available(player)) == Decimal("500.00")
    assert here.ledger.kinds() == ["deposit"]
    assert list(here.ledger.entries) == [f"deposit:{deposit.receipt_id}"]
    assert await here.events(f"deposits/{deposit.id}") == [
        ("payments.deposit.claimed.v1", 1),
        ("payments.deposit.attested.v1", 2),
        ("payments.deposit.booked.v1", 3),
    ]
    steps = await here.owner.fetch("SELECT actor, event FROM history ORDER BY id")
    assert [tuple(step) for step in steps] == [
        ("payments_app", "claimed"),
        ("payments_attestor", "attested"),
        ("payments_app", "booked"),
    ]


async def test_every_player_has_one_clabe_of_their_own(here: World) -> None:
    players = [new_player() for _ in range(10)]
    given = await asyncio.gather(*(here.requests.own_clabe(player) for player in players * 4))
    assert len(set(given)) == 10
    assert all(is_clabe(clabe) for clabe in given)
    assert given[:10] == given[10:20] == given[20:30] == given[30:]


async def test_the_same_claim_again_is_the_same_answer(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    first = await here.claim(player, transfer, "500.00", key="one")
    again = await here.claim(player, transfer, "500.00", key="one")
    assert again.replayed
    assert again.body == first.body
    other = await here.claim(player, transfer, "500.00", key="two")
    assert other.status == 409
    assert json.loads(other.body)["type"] == "/problems/transfer-claimed"


async def test_without_a_clabe_there_is_nothing_to_claim(here: World) -> None:
    transfer = await here.rail.transfer("646180157000000004", "500.00")
    answer = await here.claim(new_player(), transfer, "500.00")
    assert json.loads(answer.body)["type"] == "/problems/no-clabe-yet"


async def test_a_wrong_amount_is_rejected_and_can_be_claimed_right(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    greedy = await here.claim(player, transfer, "5000.00")
    await here.verify_all()
    rejected = await here.deposit(player, greedy)
    assert (rejected.state, rejected.reason) == (DepositState.REJECTED, "amount-differs")
    honest = await here.claim(player, transfer, "500.00")
    await here.verify_all()
    await here.book_all()
    assert (await here.deposit(player, honest)).state is DepositState.BOOKED
    assert here.ledger.balance(available(player)) == Decimal("500.00")


async def test_nobody_can_block_or_take_anothers_transfer(here: World) -> None:
    thief, owner = new_player(), new_player()
    await here.requests.own_clabe(thief)
    transfer = await here.rail.transfer(await here.requests.own_clabe(owner), "500.00")
    stolen = await here.claim(thief, transfer, "500.00")
    rightful = await here.claim(owner, transfer, "500.00")
    await here.verify_all()
    await here.book_all()
    rejected = await here.deposit(thief, stolen)
    assert (rejected.state, rejected.reason) == (DepositState.REJECTED, "not-your-clabe")
    assert (await here.deposit(owner, rightful)).state is DepositState.BOOKED
    assert here.ledger.balance(available(thief)) == 0


async def test_money_that_comes_late_is_found(here: World) -> None:
    player = new_player()
    clabe = await here.requests.own_clabe(player)
    transfer = await here.rail.transfer(clabe, "500.00", delay_seconds=2)
    answer = await here.claim(player, transfer, "500.00")
    await here.verify_all()
    waiting = await here.deposit(player, answer)
    assert (waiting.state, waiting.reason) == (DepositState.NOT_FOUND_YET, "in-process")
    await asyncio.sleep(2)
    here.clock.forward(timedelta(minutes=1))
    await here.verify_all()
    assert (await here.deposit(player, answer)).state is DepositState.ATTESTED


async def test_money_that_never_comes_is_given_up_after_the_window(here: World) -> None:
    player = new_player()
    clabe = await here.requests.own_clabe(player)
    real = await here.rail.transfer(clabe, "1.00")
    invented = type(real)(f"X{uuid4().hex[:20]}", real.operation_date, real.institution)
    answer = await here.claim(player, invented, "500.00")
    await here.verify_all()
    assert (await here.deposit(player, answer)).state is DepositState.NOT_FOUND_YET
    assert await here.attestor.lease(16) == [], "it waits before it looks again"
    here.clock.forward(DEPOSIT_WINDOW)
    await here.verify_all()
    ended = await here.deposit(player, answer)
    assert (ended.state, ended.reason) == (DepositState.REJECTED, "not-found")


async def test_a_silent_rail_is_no_proof_of_absence(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    answer = await here.claim(player, transfer, "500.00")
    here.rail.kill()
    here.clock.forward(DEPOSIT_WINDOW * 2)
    await here.verify_all()
    waiting = await here.deposit(player, answer)
    assert (waiting.state, waiting.reason) == (DepositState.NOT_FOUND_YET, "rail-silent")
    here.rail.start()
    here.clock.forward(timedelta(minutes=1))
    await here.verify_all()
    assert (await here.deposit(player, answer)).state is DepositState.ATTESTED


@pytest.mark.parametrize("outcome", ["rechazado", "cancelado", "devuelto"])
async def test_a_failed_transfer_is_no_money(here: World, outcome: str) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00", outcome=outcome)
    answer = await here.claim(player, transfer, "500.00")
    await here.verify_all()
    assert (await here.deposit(player, answer)).state is DepositState.REJECTED


async def test_sources_that_disagree_are_for_a_person(here: World) -> None:
    player = new_player()
    clabe = await here.requests.own_clabe(player)
    transfer = await here.rail.transfer(clabe, "500.00", statement_amount="5000.00")
    for claimed in ("500.00", "5000.00"):
        answer = await here.claim(player, transfer, claimed)
        if answer.status == 202:
            await here.verify_all()
            held = await here.deposit(player, answer)
            assert held.state is DepositState.QUARANTINED
    await here.book_all()
    assert here.ledger.entries == {}


async def test_sixteen_players_race_for_one_transfer_and_its_owner_wins(here: World) -> None:
    players = [new_player() for _ in range(16)]
    clabes = await asyncio.gather(*(here.requests.own_clabe(player) for player in players))
    transfer = await here.rail.transfer(clabes[7], "500.00")
    answers = await asyncio.gather(*(here.claim(player, transfer, "500.00") for player in players))
    assert {answer.status for answer in answers} == {202}
    leased = await here.attestor.lease(16)
    await asyncio.gather(*(here.attestor.verify(deposit) for deposit in leased))
    await here.book_all()
    states = [(await here.deposit(*each)).state for each in zip(players, answers, strict=True)]
    assert states.count(DepositState.BOOKED) == 1
    assert states[7] is DepositState.BOOKED
    assert here.ledger.kinds() == ["deposit"]


async def test_sixteen_claims_of_one_player_make_one_deposit(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    swapped = type(transfer)(transfer.clave.lower(), transfer.operation_date, transfer.institution)
    answers = await asyncio.gather(
        *(here.claim(player, wish, "500.00") for wish in (transfer, swapped) for _ in range(8))
    )
    assert sorted(answer.status for answer in answers) == [202] + [409] * 15
    await here.verify_all()
    await here.book_all()
    assert here.ledger.balance(available(player)) == Decimal("500.00")


async def test_sixteen_attestors_and_bookers_at_once_do_it_once(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    answer = await here.claim(player, transfer, "500.00")
    (deposit,) = await here.attestor.lease(16)
    found = await asyncio.gather(*(here.attestor.verify(deposit) for _ in range(16)), return_exceptions=True)
    assert found.count(None) == 1
    assert sum(isinstance(each, LeaseLost) for each in found) + found.count(None) == 16
    (attested,) = await here.booking.lease(16)
    booked = await asyncio.gather(*(here.booking.book(attested) for _ in range(16)), return_exceptions=True)
    assert booked.count(None) == 1
    assert here.ledger.kinds() == ["deposit"]
    assert (await here.deposit(player, answer)).state is DepositState.BOOKED


async def test_an_attestor_that_lost_its_lease_changes_nothing(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    await here.claim(player, transfer, "500.00")
    (slow,) = await here.attestor.lease(1)
    here.clock.forward(timedelta(seconds=PACE.lease_seconds))
    (quick,) = await here.attestor.lease(1)
    assert quick.id == slow.id
    with pytest.raises(LeaseLost):
        await here.attestor.verify(slow)
    await here.attestor.verify(quick)
    assert await here.owner.fetchval("SELECT count(*) FROM attestation") == 1


async def test_what_was_signed_is_what_the_ledger_gets(here: World) -> None:
    deposit = await here.deposited(new_player(), "500.00")
    (attestation,) = here.ledger.receipts.values()
    here.signer.key.public_key().verify(attestation.raw_signature(), attestation.signing_bytes())
    assert attestation.receipt_id == deposit.receipt_id == deposit.transfer.receipt_id
    assert attestation.tracking_key == deposit.transfer.tracking_key


@pytest.mark.parametrize("loss", ["before", "after"])
async def test_a_lost_answer_of_the_ledger_costs_nothing(here: World, loss: str) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    answer = await here.claim(player, transfer, "500.00")
    await here.verify_all()
    here.ledger.lose = "before" if loss == "before" else "after"
    await here.book_all()
    assert (await here.deposit(player, answer)).state is DepositState.ATTESTED
    here.ledger.lose = None
    here.clock.forward(timedelta(minutes=1))
    await here.book_all()
    assert (await here.deposit(player, answer)).state is DepositState.BOOKED
    assert here.ledger.balance(available(player)) == Decimal("500.00")


async def test_the_ledgers_event_books_what_a_worker_left(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    answer = await here.claim(player, transfer, "500.00")
    await here.verify_all()
    here.ledger.lose = "after"
    (leased,) = await here.booking.lease(16)
    await here.booking.book(leased)  # both calls had their effect or will, and no answer came
    here.ledger.lose = None
    receipt = transfer.receipt_id
    entry = UUID("00000000-0000-4000-8000-00000000000e")
    for _ in range(2):
        async with pg.transaction(here.pool) as conn:
            await here.booking.hear_booked(conn, receipt, entry)
    booked = await here.deposit(player, answer)
    assert (booked.state, booked.entry_id) == (DepositState.BOOKED, entry)


async def test_a_key_the_ledger_does_not_trust_yet_is_waited_for(here: World) -> None:
    player = new_player()
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "500.00")
    answer = await here.claim(player, transfer, "500.00")
    await here.verify_all()
    known = here.ledger.trusted.copy()
    here.ledger.trusted.clear()
    await here.book_all()
    assert (await here.deposit(player, answer)).state is DepositState.ATTESTED
    here.ledger.trusted.update(known)
    here.clock.forward(timedelta(minutes=1))
    await here.book_all()
    assert (await here.deposit(player, answer)).state is DepositState.BOOKED


async def test_the_sender_of_a_booked_deposit_may_be_paid_to(here: World) -> None:
    player = new_player()
    await here.deposited(player, "500.00", sender=SENDER)
    await here.deposited(player, "100.00", sender=OTHER_SENDER)
    await here.deposited(player, "100.00", sender=OTHER_SENDER)
    rows = await here.owner.fetch("SELECT player, clabe FROM payout_clabe ORDER BY clabe")
    assert [(PlayerId(row["player"]), Clabe(row["clabe"])) for row in rows] == [
        (player, SENDER),
        (player, OTHER_SENDER),
    ]


async def test_workers_that_look_at_once_take_different_work(here: World) -> None:
    player = new_player()
    clabe = await here.requests.own_clabe(player)
    for _ in range(12):
        await here.claim(player, await here.rail.transfer(clabe, "1.00"), "1.00")
    for lease in (here.attestor.lease, here.booking.lease):
        taken = await asyncio.gather(*(lease(3) for _ in range(6)))
        ids = [deposit.id for some in taken for deposit in some]
        assert len(ids) == len(set(ids)) == 12
        here.clock.forward(timedelta(seconds=PACE.lease_seconds))
        await here.verify_all()


async def test_a_lease_waits_for_nobody(here: World) -> None:
    """A row that somebody holds is passed over, not waited for."""
    player = new_player()
    clabe = await here.requests.own_clabe(player)
    for _ in range(2):
        await here.claim(player, await here.rail.transfer(clabe, "1.00"), "1.00")
    async with here.owner.transaction(), asyncio.timeout(2):
        held = await here.owner.fetchval("SELECT id FROM deposit ORDER BY due_at LIMIT 1 FOR UPDATE")
        (other,) = await here.attestor.lease(2)
        assert other.id != held
