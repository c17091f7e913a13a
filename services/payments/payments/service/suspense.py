"""Suspense: where money that is nobody's waits, and what takes it there and out again: people's word, and the ledger's."""

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from common import pg

from payments.domain.accounts import PlayerId, available, is_clabe
from payments.domain.arrivals import Arrival, ArrivalState
from payments.domain.cases import Subject
from payments.domain.deposits import REVIEW_REJECTED, DepositState
from payments.domain.proofs import SPEI, Proof, Purpose, ask, receipt_id
from payments.domain.refusals import DecisionImpossible
from payments.events import tell_deposit
from payments.service.cases import open_case
from payments.service.pace import Clock
from payments.store.arrivals import ArrivalStore
from payments.store.deposits import DepositStore
from payments.store.errors import LeaseLost
from payments.store.history import Answer, remember
from payments.store.proofs import ProofStore


def proof_about(arrival: Arrival, purpose: Purpose, account: str, clock: Clock) -> Proof:
    """What is to be attested about an arrival. What takes it out of suspense stems from what put it there."""
    key = arrival.tracking_key
    return ask(
        purpose,
        rail=SPEI,
        tracking_key=key,
        subject_id=arrival.id,
        account=account,
        amount=arrival.amount,
        reference=arrival.reference,
        now=clock(),
        origin=None if purpose is Purpose.SUSPENSE else receipt_id(Purpose.SUSPENSE, SPEI, key),
    )


async def assign(conn: pg.Connection, arrival: Arrival, player: PlayerId, clock: Clock, person: str) -> None:
    """People have decided whose it is. Raises `LeaseLost`, `IllegalStep`."""
    assigning = replace(arrival.to(ArrivalState.ASSIGNING), player=player)
    await ArrivalStore(conn).save(arrival, assigning, None)
    await remember(conn, "arrival", arrival.id, assigning.state, "assigned", person=person)
    await ProofStore(conn).ask(proof_about(assigning, Purpose.SUSPENSE_ASSIGN, available(player), clock))


async def give_back(conn: pg.Connection, arrival: Arrival, clock: Clock, person: str) -> None:
    """People have decided to return it. Raises `DecisionImpossible`, `LeaseLost`, `IllegalStep`."""
    if not is_clabe(arrival.ordering_account):
        raise DecisionImpossible("it came from no CLABE: no order can go there", field="decision")
    returning = arrival.returning()
    await ArrivalStore(conn).save(arrival, returning, clock())
    await remember(conn, "arrival", arrival.id, returning.state, "to-be-returned", person=person)


async def never_left(conn: pg.Connection, arrival: Arrival, now: datetime, person: str) -> None:
    """People have decided that the order which nobody answers for was never carried out.

    Raises `DecisionImpossible`, `LeaseLost`, `IllegalStep`.
    """
    if arrival.attention is None:
        raise DecisionImpossible("the rail has answered, or is still being asked")
    await back_to_suspense(conn, arrival, "return-never-left", now, None, person)


async def back_to_suspense(
    conn: pg.Connection,
    arrival: Arrival,
    reason: str,
    now: datetime,
    answer: Answer | None,
    person: str | None = None,
) -> None:
    """The return was not carried out: the money is where it was, and people decide anew. Raises `LeaseLost`."""
    after = arrival.to(ArrivalState.SUSPENDED)
    await ArrivalStore(conn).save(arrival, after, None)
    await remember(conn, "arrival", arrival.id, after.state, reason, answer, person=person)
    await open_case(conn, Subject.ARRIVAL, arrival.id, reason, now, amount=arrival.amount.amount)


async def booked(conn: pg.Connection, proof: Proof, now: datetime) -> None:
    """The ledger has booked a proof about an arrival."""
    arrival = await ArrivalStore(conn).for_update(proof.subject_id)
    if arrival is None:
        return
    after = arrival.to(_BOOKED[proof.purpose])
    await ArrivalStore(conn).save(arrival, after, None)
    await remember(conn, "arrival", arrival.id, after.state, "booked")
    if arrival.deposit_id is not None:
        await DepositStore(conn).follow_arrival(arrival.deposit_id, _DEPOSITS[after.state])
        await remember(conn, "deposit", arrival.deposit_id, _DEPOSITS[after.state], "suspense")
    if after.state is ArrivalState.SUSPENDED:
        await open_case(
            conn, Subject.ARRIVAL, arrival.id, arrival.reason, now, amount=arrival.amount.amount,
            evidence={"sender": arrival.ordering_name, "clabe": arrival.beneficiary_clabe,
                      "tracking_key": arrival.tracking_key},
        )  # fmt: skip


async def contradicted(conn: pg.Connection, proof: Proof, reason: str) -> None:
    """The two sources do not agree on an arrival: nothing is booked."""
    arrival = await ArrivalStore(conn).for_update(proof.subject_id)
    if arrival is not None and arrival.state is ArrivalState.NOTED:
        after = arrival.to(ArrivalState.QUARANTINED)
        await ArrivalStore(conn).save(arrival, after, None)
        await remember(conn, "arrival", arrival.id, after.state, reason)


async def rejected(conn: pg.Connection, arrival_id: UUID, now: datetime, person: str) -> None:
    """People have found that it is no money of ours: it ends, and the deposit it was taken from with it.

    Raises `LeaseLost`, `IllegalStep`.
    """
    arrival = await ArrivalStore(conn).for_update(arrival_id)
    if arrival is None:
        raise LeaseLost("no such arrival")
    after = arrival.to(ArrivalState.REJECTED)
    await ArrivalStore(conn).save(arrival, after, None)
    await remember(conn, "arrival", arrival.id, after.state, "decided:close", person=person)
    if arrival.deposit_id is None:
        return
    store = DepositStore(conn)
    deposit = await store.for_update(arrival.deposit_id)
    if deposit is not None and deposit.state is DepositState.QUARANTINED:
        ended = deposit.to(DepositState.REJECTED, reason=REVIEW_REJECTED)
        await store.decide(deposit, ended, None)
        await remember(conn, "deposit", deposit.id, ended.state, "decided:close", person=person)
        await tell_deposit(conn, ended, now)


async def not_moved(conn: pg.Connection, proof: Proof, now: datetime, person: str) -> None:
    """People have found that it did not leave suspense: they decide anew. Raises `LeaseLost`, `IllegalStep`."""
    arrival = await ArrivalStore(conn).for_update(proof.subject_id)
    if arrival is None:
        raise LeaseLost("no such arrival")
    await back_to_suspense(conn, arrival, f"given-up: {proof.purpose}", now, None, person)


async def noted_again(conn: pg.Connection, arrival_id: UUID, person: str) -> None:
    """People have the two sources looked at again. Raises `LeaseLost`, `IllegalStep`."""
    arrival = await ArrivalStore(conn).for_update(arrival_id)
    if arrival is None:
        raise LeaseLost("no such arrival")
    after = arrival.to(ArrivalState.NOTED)
    await ArrivalStore(conn).save(arrival, after, None)
    await remember(conn, "arrival", arrival.id, after.state, "decided:ask-again", person=person)


_BOOKED: Final = {
    Purpose.SUSPENSE: ArrivalState.SUSPENDED,
    Purpose.SUSPENSE_ASSIGN: ArrivalState.ASSIGNED,
    Purpose.SUSPENSE_RETURN: ArrivalState.RETURNED,
}
_DEPOSITS: Final = {
    ArrivalState.SUSPENDED: DepositState.SUSPENDED,
    ArrivalState.ASSIGNED: DepositState.ASSIGNED,
    ArrivalState.RETURNED: DepositState.RETURNED,
}
