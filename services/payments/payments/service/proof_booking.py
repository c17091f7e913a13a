"""Booking of proofs: carries the attestor's words to the ledger and draws the consequences of both."""

import logging
from collections.abc import Sequence
from typing import Final, assert_never
from uuid import UUID

from common import pg
from common.client import RemoteProblem, Unreachable

from payments.domain.cards import OperationState
from payments.domain.cases import Subject
from payments.domain.proofs import Proof, ProofState, Purpose
from payments.domain.withdrawals import WithdrawalId, WithdrawalState
from payments.entries import returned_release_command
from payments.events import command_ledger, tell_operation
from payments.ledger import Ledger
from payments.service import card_effects, suspense
from payments.service.booking import LASTING
from payments.service.cases import open_case
from payments.service.conflicts import OF_OPERATIONS
from payments.service.pace import Clock, Pace
from payments.service.payouts import write_withdrawal
from payments.store.cards import CardStore
from payments.store.history import Answer, remember
from payments.store.proofs import ProofStore
from payments.store.withdrawals import WithdrawalStore

log = logging.getLogger(__name__)


class ProofBooking:
    """Takes proofs that the attestor has decided and books them, or leaves them to people."""

    def __init__(self, pool: pg.Pool, ledger: Ledger, *, pace: Pace, clock: Clock) -> None:
        self._pool = pool
        self._ledger = ledger
        self._pace = pace
        self._clock = clock

    async def lease(self, limit: int) -> Sequence[Proof]:
        """Proofs that were decided and are due, ours until the lease ends."""
        now = self._clock()
        until = self._pace.lease_end(now)
        async with pg.transaction(self._pool) as conn:
            store = ProofStore(conn)
            decided = list(await store.lease(ProofState.ATTESTED, now, until, limit))
            left = limit - len(decided)
            return [*decided, *(await store.lease(ProofState.CONFLICTED, now, until, left) if left else ())]

    async def book(self, proof: Proof) -> None:
        """File the receipt and spend it. Both may be repeated, so a crash in between costs nothing.

        Raises `LeaseLost` if the ledger's event was faster.
        """
        if proof.state is ProofState.CONFLICTED:
            async with pg.transaction(self._pool) as conn:
                await self._conflicted(conn, proof, proof.reason or "conflicted")
            return
        async with pg.transaction(self._pool, readonly=True) as conn:
            attestation = await ProofStore(conn).word(proof.receipt_id)
        try:
            await self._ledger.file_receipt(attestation)
            entry_id = await self._ledger.book_proof(proof)
        except RemoteProblem as problem:
            answer: Answer = {"status": problem.status, "slug": problem.slug, "detail": problem.detail}
            if problem.slug in LASTING:
                async with pg.transaction(self._pool) as conn:
                    await self._conflicted(conn, proof, problem.slug)
            else:
                await self._try_again(proof, problem.slug, answer)
        except Unreachable as silence:
            await self._try_again(proof, silence.slug, {"error": silence.detail})
        else:
            async with pg.transaction(self._pool) as conn:
                await self._booked(conn, proof, entry_id)

    async def hear_booked(self, conn: pg.Connection, receipt_id: UUID, entry_id: UUID) -> None:
        """The ledger says that the receipt has been spent. In the transaction of the inbox."""
        proof = await ProofStore(conn).by_id_for_update(receipt_id)
        if proof is None:
            log.error("the ledger booked a proof we do not know", extra={"receipt_id": str(receipt_id)})
        elif proof.state is not ProofState.BOOKED:
            await self._booked(conn, proof, entry_id)

    async def hear_refund(self, conn: pg.Connection, operation_id: UUID, *, done: bool) -> None:
        """The ledger has booked what became of a refund. In the transaction of the inbox."""
        state = OperationState.BOOKED if done else OperationState.RELEASED
        await card_effects.step(conn, operation_id, state, "booked", self._clock())

    async def hear_cleared(self, conn: pg.Connection, operation_id: UUID) -> None:
        """The ledger has made a payment's settled captures spendable. In the transaction of the inbox."""
        operation = await card_effects.locked(conn, operation_id)
        if operation is not None:
            payment = await CardStore(conn).payment(operation.payment_id)
            if payment is not None:
                await card_effects.cleared(conn, payment, self._clock())

    async def hear_refused(self, conn: pg.Connection, operation_id: UUID, problem: Answer) -> None:
        """The ledger refused to book a fact: a defect, for a person."""
        log.error("the ledger refused a fact", extra={"operation_id": str(operation_id), **problem})
        await remember(conn, "card", operation_id, "REFUSED", "refused-by-ledger", problem)
        await open_case(
            conn, Subject.CARD, operation_id, "refused-by-ledger", self._clock(), evidence=problem
        )

    async def _booked(self, conn: pg.Connection, proof: Proof, entry_id: UUID) -> None:
        await ProofStore(conn).save(proof, ProofState.BOOKED, None, entry_id=entry_id)
        await remember(conn, "proof", proof.receipt_id, ProofState.BOOKED, "booked", {"entry": str(entry_id)})
        match proof.purpose:
            case Purpose.CARD_CAPTURE:
                await card_effects.step(
                    conn, proof.subject_id, OperationState.BOOKED, "booked", self._clock()
                )
            case Purpose.REFUND_RETURNED:
                after = OperationState.REVERSED
                await card_effects.step(conn, proof.subject_id, after, "booked-back", self._clock())
            case Purpose.CARD_SETTLE:
                await card_effects.settle(conn, proof.subject_id, self._clock())
            case Purpose.SUSPENSE | Purpose.SUSPENSE_ASSIGN | Purpose.SUSPENSE_RETURN:
                await suspense.booked(conn, proof, self._clock())
            case Purpose.WITHDRAWAL_RETURNED:
                await self._returned(conn, proof)
            case _:
                assert_never(proof.purpose)

    async def _returned(self, conn: pg.Connection, proof: Proof) -> None:
        """A withdrawal that came back is on hold again; its release is the ledger's to book."""
        withdrawal = await WithdrawalStore(conn).for_update(WithdrawalId(proof.subject_id))
        if withdrawal is None or withdrawal.state is not WithdrawalState.RETURNING:
            return
        now = self._clock()
        returned = withdrawal.to(WithdrawalState.RETURNED)
        await write_withdrawal(conn, withdrawal, returned, "returned", None, now, None)
        await command_ledger(conn, returned_release_command(returned), returned.version, now)

    async def _conflicted(self, conn: pg.Connection, proof: Proof, reason: str) -> None:
        """Nothing is booked; a person looks into it."""
        now = self._clock()
        log.error("a proof is contradicted", extra={"receipt_id": str(proof.receipt_id), "reason": reason})
        await ProofStore(conn).save(proof, ProofState.CONFLICTED, None, reason=reason)
        await remember(conn, "proof", proof.receipt_id, ProofState.CONFLICTED, reason)
        await open_case(
            conn, Subject.PROOF, proof.receipt_id, reason, now, amount=proof.amount.amount,
            evidence={"purpose": proof.purpose, "tracking_key": proof.tracking_key, "account": proof.account},
        )  # fmt: skip
        if proof.purpose in OF_OPERATIONS:
            operation = await card_effects.locked(conn, proof.subject_id)
            if operation is not None and operation.state in _OPEN:
                after = operation.to(OperationState.CONFLICTED, reason=reason)
                await CardStore(conn).save_operation(operation, after, None)
                await remember(conn, "card", operation.id, after.state, reason)
                payment = await CardStore(conn).payment(operation.payment_id)
                if payment is not None:
                    await tell_operation(conn, payment, after, now)
        elif proof.purpose is Purpose.SUSPENSE:
            await suspense.contradicted(conn, proof, reason)

    async def _try_again(self, proof: Proof, event: str, answer: Answer) -> None:
        due_at = self._pace.next_try(self._clock(), proof.tries)
        async with pg.transaction(self._pool) as conn:
            await ProofStore(conn).save(proof, proof.state, due_at, reason=event)
            await remember(conn, "proof", proof.receipt_id, proof.state, event, answer)


_OPEN: Final = frozenset({OperationState.CONFIRMED, OperationState.REVERSING})
