"""Before people's word decides what became of an order or an operation that nobody answers for, its rail is asked once more.

Workers ask seldom while people look, and what turned up since would be paid out and given back as well.
"""

from collections.abc import Mapping
from uuid import UUID

from common import pg

from payments.domain.cards import OperationId
from payments.domain.cases import Case, Decision, Subject
from payments.domain.orders import Order, Settled, read_order
from payments.domain.refusals import DecisionImpossible
from payments.domain.withdrawals import PayoutRail, WithdrawalId
from payments.psp import CardProvider
from payments.rail import Rail, RailSilent
from payments.store.arrivals import ArrivalStore
from payments.store.cards import CardStore
from payments.store.withdrawals import WithdrawalStore

OUTCOMES = frozenset({Decision.PAID, Decision.NEVER_PAID})
"""What people say only of what nobody answers for."""


class LastLook:
    """Asks outside of any transaction."""

    def __init__(self, pool: pg.Pool, rails: Mapping[PayoutRail, Rail], provider: CardProvider) -> None:
        self._pool = pool
        self._rails = rails
        self._provider = provider

    async def at(self, case: Case | None, decision: Decision) -> None:
        """Raises `DecisionImpossible` when the rail has an answer by now, or cannot be asked."""
        if case is None or decision not in OUTCOMES:
            return
        try:
            answered = await self._answered(case.subject, case.subject_id)
        except RailSilent as silence:
            raise DecisionImpossible("its rail cannot be asked now", retry_after=5) from silence
        if answered:
            raise DecisionImpossible("the rail has an answer by now: it decides", field="decision")

    async def _answered(self, subject: Subject, subject_id: UUID) -> bool:
        async with pg.transaction(self._pool, readonly=True) as conn:
            withdrawal = arrival = operation = None
            if subject is Subject.WITHDRAWAL:
                withdrawal = await WithdrawalStore(conn).by_id(WithdrawalId(subject_id))
            elif subject is Subject.ARRIVAL:
                arrival = await ArrivalStore(conn).by_id(subject_id)
            elif subject is Subject.CARD:
                operation = await CardStore(conn).operation(OperationId(subject_id))
        if withdrawal is not None and withdrawal.clave is not None:
            return await self._has(withdrawal.rail, withdrawal.order)
        if arrival is not None and arrival.return_clave is not None:
            return await self._has(PayoutRail.SPEI, arrival.order)
        return operation is not None and await self._provider.find(operation) is not None

    async def _has(self, rail: PayoutRail, order: Order) -> bool:
        """An order that is not as we sent it is no answer: that is what people decide about."""
        told = await self._rails[rail].find(order)
        return told is not None and isinstance(read_order(order, told), Settled)
