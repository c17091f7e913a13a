"""Booking: carries what the attestor signed to the ledger, and hears from the ledger what was booked."""

import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from common import pg
from common.client import RemoteProblem, Unreachable

from payments.domain.deposits import Deposit, DepositState
from payments.domain.play import forbids, period_start
from payments.events import tell_deposit
from payments.ledger import Ledger
from payments.people import People
from payments.service.cases import watch_deposits
from payments.service.pace import Clock, Pace
from payments.store.cards import CardStore
from payments.store.deposits import DepositStore
from payments.store.history import Answer, remember

log = logging.getLogger(__name__)

LASTING: Final = frozenset(
    {
        "receipt-duplicate-tracking-key",
        "receipt-duplicate-document",
        "receipt-exists",
        "receipt-mismatch",
        "receipt-spent",
        "template-violation",
        "unbalanced-entry",
        "wrong-currency",
        "idempotency-key-reused",
        # Beyond what the player allows themselves: the money is theirs to be sent back, by way of suspense.
        "limit-exceeded",
        "player-blocked",
    }
)
"""Refusals that no repetition changes. Any other (an attestor's key the ledger does not know yet, a key
without the right) may be somebody's to repair, and the deposit waits for it."""


class Booking:
    """Takes attested deposits that are due and books them one by one."""

    def __init__(self, pool: pg.Pool, ledger: Ledger, people: People, *, pace: Pace, clock: Clock) -> None:
        self._pool = pool
        self._ledger = ledger
        self._people = people
        self._pace = pace
        self._clock = clock

    async def lease(self, limit: int) -> Sequence[Deposit]:
        """Attested deposits that are due, ours until the lease ends."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            return await DepositStore(conn).lease_attested(now, self._pace.lease_end(now), limit)

    async def book(self, deposit: Deposit) -> None:
        """File the receipt and spend it. Both may be repeated, so a crash in between costs nothing.

        Raises `LeaseLost` if the ledger's event was faster.
        """
        if deposit.receipt_id is None:
            raise LookupError(f"deposit {deposit.id} is attested without a receipt")
        async with pg.transaction(self._pool, readonly=True) as conn:
            attestation = await DepositStore(conn).attestation(deposit.receipt_id)
        try:
            await self._ledger.file_receipt(attestation)
            if (forbidden := await self._on_top_of_cards(deposit)) is not None:
                await self._quarantine(deposit, forbidden, {"slug": forbidden})
                return
            entry_id = await self._ledger.book_deposit(deposit, deposit.receipt_id)
        except RemoteProblem as problem:
            answer: Answer = {"status": problem.status, "slug": problem.slug, "detail": problem.detail}
            if problem.slug in LASTING:
                await self._quarantine(deposit, problem.slug, answer)
            else:
                await self._try_again(deposit, problem.slug, answer)
        except Unreachable as silence:
            await self._try_again(deposit, silence.slug, {"error": silence.detail})
        else:
            async with pg.transaction(self._pool) as conn:
                await self._booked(conn, deposit, entry_id)

    async def _on_top_of_cards(self, deposit: Deposit) -> str | None:
        """Why the player's limits leave no room beside a card that is on its way; None if they do, or none is.

        The ledger counts what it has booked and decides on all else. A card that is looked at just now is waited for,
        and one that is looked at later counts this transfer. Raises `RemoteProblem`, `Unreachable`.
        """
        async with pg.transaction(self._pool) as conn:
            cards = CardStore(conn)
            await cards.one_at_a_time(deposit.player)
            if not await cards.under_way(deposit.player):
                return None
        allowance, now = await self._people.allowance(deposit.player), self._clock()
        async with pg.transaction(self._pool, readonly=True) as conn:
            deposited = {
                period: await CardStore(conn).deposited(deposit.player, period_start(period, now))
                for period in allowance.deposits
            }
        return forbids(allowance, deposit.amount.amount, deposited, now)

    async def hear_booked(self, conn: pg.Connection, receipt_id: UUID, entry_id: UUID) -> None:
        """The ledger says that the receipt has been spent. In the transaction of the inbox."""
        deposit = await DepositStore(conn).by_receipt_for_update(receipt_id)
        if deposit is None:
            log.error("the ledger booked a receipt we do not know", extra={"receipt_id": str(receipt_id)})
        elif deposit.state is not DepositState.BOOKED:
            await self._booked(conn, deposit, entry_id)

    async def _booked(self, conn: pg.Connection, deposit: Deposit, entry_id: UUID) -> None:
        now = self._clock()
        booked = deposit.to(DepositState.BOOKED, entry_id=entry_id)
        await DepositStore(conn).book(deposit, booked, now)
        await remember(conn, "deposit", deposit.id, booked.state, "booked", {"entry": str(entry_id)})
        await watch_deposits(conn, deposit.player, now)
        await tell_deposit(conn, booked, now)

    async def _try_again(self, deposit: Deposit, event: str, answer: Answer) -> None:
        log.warning("deposit not booked yet", extra={"deposit_id": str(deposit.id), "reason": event})
        due_at = self._pace.next_try(self._clock(), deposit.tries)
        async with pg.transaction(self._pool) as conn:
            await DepositStore(conn).decide(deposit, deposit, due_at)
            await remember(conn, "deposit", deposit.id, deposit.state, event, answer)

    async def _quarantine(self, deposit: Deposit, reason: str, answer: Answer) -> None:
        log.error("attested, refused by the ledger", extra={"deposit_id": str(deposit.id), "reason": reason})
        aside = deposit.to(DepositState.QUARANTINED, reason=reason)
        async with pg.transaction(self._pool) as conn:
            await DepositStore(conn).decide(deposit, aside, None)
            await remember(conn, "deposit", deposit.id, aside.state, reason, answer)
