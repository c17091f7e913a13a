"""Disputes, by the provider's own id. What they hold of their payment the database works out."""

from datetime import datetime

from common.money import Money
from common.pg import Connection

from payments.domain.cards import OperationId
from payments.domain.disputes import Dispute, DisputeState


class DisputeStore:
    """Disputes on one connection. Whoever changes one has locked its payment."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def state(self, psp_id: str) -> DisputeState | None:
        """How far a dispute is; None: it is not known."""
        state = await self._conn.fetchval("SELECT state FROM card_dispute WHERE psp_id = $1", psp_id)
        return None if state is None else DisputeState(state)

    async def by_id(self, psp_id: str) -> Dispute | None:
        row = await self._conn.fetchrow(
            "SELECT psp_id, amount, state FROM card_dispute WHERE psp_id = $1", psp_id
        )
        return None if row is None else Dispute(row["psp_id"], row["amount"], DisputeState(row["state"]))

    async def open(self, psp_id: str, operation_id: OperationId, amount: Money, now: datetime) -> None:
        """So much of a payment is disputed, as far as it is not being refunded or disputed already."""
        await self._conn.execute(
            "INSERT INTO card_dispute (psp_id, operation_id, amount, opened_at) VALUES ($1, $2, $3, $4)",
            psp_id,
            operation_id,
            amount.amount,
            now,
        )

    async def end(self, psp_id: str, state: DisputeState, now: datetime) -> None:
        """It has ended."""
        await self._conn.execute(
            "UPDATE card_dispute SET state = $2, ended_at = $3 WHERE psp_id = $1", psp_id, state, now
        )
