"""Proofs that end in conflict: asked for again by people, or given up by them, with what they are about."""

from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from common import pg

from payments.domain.proofs import Proof, ProofState, Purpose, ReceiptId
from payments.domain.refusals import DecisionImpossible
from payments.domain.withdrawals import WithdrawalId
from payments.service import suspense
from payments.store.errors import LeaseLost
from payments.store.history import remember
from payments.store.payout_files import PayoutFileStore
from payments.store.proofs import ProofStore
from payments.store.withdrawals import WithdrawalStore

OF_OPERATIONS: Final = frozenset({Purpose.CARD_CAPTURE, Purpose.REFUND_RETURNED})
"""What a card's operation is part of has ended in conflict with it."""
KNOWN_OTHERWISE: Final = frozenset(
    {"receipt-spent", "receipt-duplicate-tracking-key", "receipt-duplicate-document"}
)
"""The ledger has the transfer by another receipt."""


async def ask_again(conn: pg.Connection, receipt_id: ReceiptId, now: datetime, person: str) -> None:
    """People have had it cleared up: the attestor looks anew, or the ledger is asked anew for what was attested.

    Raises `DecisionImpossible`, `LeaseLost`, `IllegalStep`.
    """
    store = ProofStore(conn)
    proof = await store.by_id_for_update(receipt_id)
    if proof is None or proof.state is not ProofState.CONFLICTED or proof.purpose in OF_OPERATIONS:
        raise DecisionImpossible("it is not asked for again", field="decision")
    if proof.purpose is Purpose.SUSPENSE:
        await suspense.noted_again(conn, proof.subject_id, person)
    state = ProofState.ATTESTED if await store.has_word(receipt_id) else ProofState.ASKED
    await store.save(proof, state, now)
    await remember(conn, "proof", receipt_id, state, "decided:ask-again", person=person)


async def give_up(conn: pg.Connection, receipt_id: ReceiptId, now: datetime, person: str) -> None:
    """People have found that it is not so: nobody waits for it any more, and what it is about ends, or is where it was
    before that was asked.

    What the attestor has given its word for may be booked at any moment: that is asked for again. Raises
    `DecisionImpossible`, `LeaseLost`, `IllegalStep`.
    """
    store = ProofStore(conn)
    proof = await store.by_id_for_update(receipt_id)
    if proof is None or proof.state is not ProofState.CONFLICTED or proof.purpose in OF_OPERATIONS:
        return
    known = proof.purpose is Purpose.SUSPENSE and proof.reason in KNOWN_OTHERWISE
    if await store.has_word(receipt_id) and not known:
        raise DecisionImpossible("the attestor has given its word: it is asked for again", field="decision")
    await store.save(proof, ProofState.GIVEN_UP, None, reason=proof.reason)
    await remember(conn, "proof", receipt_id, ProofState.GIVEN_UP, "decided:close", person=person)
    await _end(conn, proof, now, person)


async def _end(conn: pg.Connection, proof: Proof, now: datetime, person: str) -> None:
    match proof.purpose:
        case Purpose.SUSPENSE:
            await suspense.rejected(conn, proof.subject_id, now, person)
        case Purpose.SUSPENSE_ASSIGN | Purpose.SUSPENSE_RETURN:
            await suspense.not_moved(conn, proof, now, person)
        case Purpose.WITHDRAWAL_RETURNED:
            await _not_come_back(conn, proof.subject_id, now, person)
        case Purpose.CARD_SETTLE:
            await PayoutFileStore(conn).give_up(proof.subject_id)
        case Purpose.CARD_CAPTURE | Purpose.REFUND_RETURNED:
            return
        case _:
            assert_never(proof.purpose)


async def _not_come_back(conn: pg.Connection, withdrawal_id: UUID, now: datetime, person: str) -> None:
    """The withdrawal is paid out, as the ledger has it."""
    store = WithdrawalStore(conn)
    withdrawal = await store.for_update(WithdrawalId(withdrawal_id))
    if withdrawal is None:
        raise LeaseLost("no such withdrawal")
    kept = withdrawal.kept()
    await store.save(withdrawal, kept, None, now)
    await remember(conn, "withdrawal", kept.id, kept.state, "decided:close", person=person)
