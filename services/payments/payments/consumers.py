"""What the ledger tells: entries booked and commands refused."""

import logging
from typing import Final
from uuid import UUID

from common import pg
from common.amqp import Delivery, Poison
from common.inbox import first_sight
from contracts.envelope import Envelope
from contracts.ledger import EntryCommitted, PostRefused
from contracts.topology import PAYMENTS_LEDGER_EVENTS

from payments.domain.withdrawals import WithdrawalId, WithdrawalState
from payments.entries import CLEAR, DISPUTE, DONE, FAIL, RELEASE
from payments.service.booking import Booking
from payments.service.dispute_books import DisputeBooks
from payments.service.payouts import Payouts
from payments.service.proof_booking import ProofBooking

QUEUE: Final = PAYMENTS_LEDGER_EVENTS
PRINCIPAL: Final = "payments"

log = logging.getLogger(__name__)


class LedgerEar:
    """Hears the ledger's answers, each once, in the transaction of its effect."""

    def __init__(
        self, pool: pg.Pool, booking: Booking, payouts: Payouts, proofs: ProofBooking, disputes: DisputeBooks
    ) -> None:
        self._disputes = disputes
        self._pool = pool
        self._booking = booking
        self._payouts = payouts
        self._proofs = proofs

    async def handle(self, delivery: Delivery) -> None:
        """Apply one event. Raises `Poison` for a message that is none of ours to understand."""
        match delivery.envelope.type:
            case EntryCommitted.type:
                committed = EntryCommitted.model_validate(delivery.envelope.data)
                await self._committed(delivery.envelope.id, committed)
            case PostRefused.type:
                refused = PostRefused.model_validate(delivery.envelope.data)
                await self._refused(delivery.envelope.id, refused)
            case unknown:
                raise Poison(f"an event of type {unknown} was not asked for")

    async def _committed(self, event_id: UUID, entry: EntryCommitted) -> None:
        if entry.principal != PRINCIPAL:
            return
        async with pg.transaction(self._pool) as conn:
            if not await first_sight(conn, QUEUE, event_id):
                return
            match entry.idempotency_key.split(":"):
                case ["deposit", receipt]:
                    await self._booking.hear_booked(conn, UUID(receipt), entry.id)
                case ["proof", receipt]:
                    await self._proofs.hear_booked(conn, UUID(receipt), entry.id)
                case ["refund", operation, step] if step in (DONE, FAIL):
                    await self._proofs.hear_refund(conn, UUID(operation), done=step == DONE)
                case ["card", operation, step] if step == CLEAR:
                    await self._proofs.hear_cleared(conn, UUID(operation))
                case [what, step] if what == DISPUTE:
                    await self._disputes.hear_booked(conn, UUID(step))
                case ["withdrawal", withdrawal, step] if step == DONE:
                    await self._payouts.hear_booked(
                        conn, WithdrawalId(UUID(withdrawal)), WithdrawalState.BOOKED
                    )
                case ["withdrawal", withdrawal, step] if step == RELEASE:
                    await self._payouts.hear_booked(
                        conn, WithdrawalId(UUID(withdrawal)), WithdrawalState.RELEASED
                    )
                case _:
                    log.debug("an entry that somebody waited for", extra={"entry_id": str(entry.id)})

    async def _refused(self, event_id: UUID, refused: PostRefused) -> None:
        """Only facts matter here: who asked over HTTP and waited has had the refusal as the answer."""
        if refused.principal != PRINCIPAL:
            return
        async with pg.transaction(self._pool) as conn:
            if not await first_sight(conn, QUEUE, event_id):
                return
            match refused.idempotency_key.split(":"):
                case ["withdrawal", withdrawal, step] if step in (DONE, RELEASE):
                    problem = {"slug": refused.problem.slug, "detail": refused.problem.detail}
                    await self._payouts.hear_refused(conn, WithdrawalId(UUID(withdrawal)), problem)
                case ["returned", withdrawal, step] if step == RELEASE:
                    problem = {"slug": refused.problem.slug, "detail": refused.problem.detail}
                    await self._payouts.hear_refused(conn, WithdrawalId(UUID(withdrawal)), problem)
                case ["refund" | "card" as what, operation, step] if step in (DONE, FAIL, CLEAR):
                    told = {"slug": refused.problem.slug, "detail": refused.problem.detail, "what": what}
                    await self._proofs.hear_refused(conn, UUID(operation), told)
                case [what, step] if what == DISPUTE:
                    told = {"slug": refused.problem.slug, "detail": refused.problem.detail}
                    await self._disputes.hear_refused(conn, UUID(step), told)
                case _:
                    log.debug("a refusal that somebody waited for", extra={"key": refused.idempotency_key})


def parse(raw: bytes) -> Envelope:
    return Envelope.model_validate_json(raw)
