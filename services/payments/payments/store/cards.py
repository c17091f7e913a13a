"""Card payments and their operations."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record
from common.money import Money
from common.pg import Connection, translate

from payments.domain.accounts import PlayerId
from payments.domain.cards import (
    Act,
    CardPayment,
    CardPaymentId,
    Operation,
    OperationId,
    OperationState,
    PaymentState,
)
from payments.domain.refusals import CaptureImpossible, RefundImpossible, VoidImpossible
from payments.store.errors import LeaseLost
from payments.store.pages import Place


class CardStore:
    """Card payments on one connection. Whoever changes an operation locks its payment first."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def add_payment(self, payment: CardPayment) -> None:
        """A new wish to pay by card."""
        await self._conn.execute(
            """
            INSERT INTO card_payment (id, player, psp, card_token, amount, currency, capture_at_once, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            payment.id,
            payment.player,
            payment.psp,
            payment.card_token,
            payment.amount.amount,
            payment.amount.currency,
            payment.capture_at_once,
            payment.created_at,
        )

    async def add_operation(self, operation: Operation, due_at: datetime) -> None:
        """A new operation, due then. Raises `CaptureImpossible`, `RefundImpossible`, `VoidImpossible`."""
        with translate(
            {
                "card_payment_captures_no_more_than_authorized": lambda: CaptureImpossible(
                    "the captures would exceed the authorization", field="amount"
                ),
                "card_payment_refunds_no_more_than_captured": lambda: RefundImpossible(
                    "the refunds would exceed what was captured and is not disputed", field="amount"
                ),
                "card_operation_voids_one_at_a_time": lambda: VoidImpossible("a void is under way"),
            }
        ):
            await self._conn.execute(
                """
                INSERT INTO card_operation (id, payment_id, act, amount, currency, stands_in, requested_at, due_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                operation.id,
                operation.payment_id,
                operation.act,
                operation.amount.amount,
                operation.amount.currency,
                operation.stands_in,
                operation.requested_at,
                due_at,
            )

    async def payment(self, payment_id: CardPaymentId) -> CardPayment | None:
        row = await self._conn.fetchrow("SELECT * FROM card_payment WHERE id = $1", payment_id)
        return None if row is None else _payment(row)

    async def payment_for_update(self, payment_id: CardPaymentId) -> CardPayment | None:
        """A payment, locked, and with it the right to change its operations."""
        row = await self._conn.fetchrow("SELECT * FROM card_payment WHERE id = $1 FOR UPDATE", payment_id)
        return None if row is None else _payment(row)

    async def of_player(self, player: PlayerId, payment_id: CardPaymentId) -> CardPayment | None:
        """A payment, if it is this player's."""
        row = await self._conn.fetchrow(
            "SELECT * FROM card_payment WHERE id = $1 AND player = $2", payment_id, player
        )
        return None if row is None else _payment(row)

    async def page(self, player: PlayerId, after: Place | None, limit: int) -> Sequence[CardPayment]:
        """A player's card payments, the latest first, from after that place."""
        rows = await self._conn.fetch(
            """
            SELECT * FROM card_payment
            WHERE player = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
            ORDER BY created_at DESC, id DESC LIMIT $4
            """,
            player,
            after and after.at,
            after and after.id,
            limit,
        )
        return [_payment(row) for row in rows]

    async def operations(self, payment_id: CardPaymentId) -> Sequence[Operation]:
        """All operations of a payment, the oldest first."""
        rows = await self._conn.fetch(
            "SELECT * FROM card_operation WHERE payment_id = $1 ORDER BY requested_at, id", payment_id
        )
        return [_operation(row) for row in rows]

    async def operation(self, operation_id: OperationId) -> Operation | None:
        row = await self._conn.fetchrow("SELECT * FROM card_operation WHERE id = $1", operation_id)
        return None if row is None else _operation(row)

    async def operation_by_id(self, operation_id: UUID) -> Operation | None:
        """An operation, by an id that may be none's."""
        return await self.operation(OperationId(operation_id))

    async def by_ids(self, ids: Sequence[UUID]) -> Mapping[UUID, Operation]:
        """The operations of these ids, by id."""
        rows = await self._conn.fetch("SELECT * FROM card_operation WHERE id = ANY ($1::uuid[])", ids)
        return {row["id"]: _operation(row) for row in rows}

    async def ids_of(self, payment_id: UUID) -> Sequence[UUID]:
        """The operations of a payment, by an id that may be no card payment's."""
        rows = await self._conn.fetch("SELECT id FROM card_operation WHERE payment_id = $1", payment_id)
        return [row["id"] for row in rows]

    async def by_psp_id(self, psp_id: str) -> Operation | None:
        """The operation that an object of the provider's answers."""
        row = await self._conn.fetchrow("SELECT * FROM card_operation WHERE psp_id = $1", psp_id)
        return None if row is None else _operation(row)

    async def lease_due(self, now: datetime, until: datetime, limit: int) -> Sequence[Operation]:
        """Take operations that are due, for one worker until that time."""
        rows = await self._conn.fetch(
            """
            UPDATE card_operation SET due_at = $2, tries = tries + 1, leases = leases + 1
            WHERE id IN (SELECT id FROM card_operation WHERE due_at <= $1
                         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """,
            now,
            until,
            limit,
        )
        return [_operation(row) for row in rows]

    async def save_payment(self, payment: CardPayment) -> None:
        """What became of a payment that this transaction has locked."""
        await self._conn.execute(
            """
            UPDATE card_payment SET state = $2, reason = $3, psp_id = $4, expires_at = $5, version = $6 WHERE id = $1
            """,
            payment.id,
            payment.state,
            payment.reason,
            payment.psp_id,
            payment.expires_at,
            payment.version,
        )

    async def save_operation(
        self,
        before: Operation,
        after: Operation,
        due_at: datetime | None,
        booked_at: datetime | None = None,
    ) -> None:
        """What became of an operation; due again then, or only when news comes. Raises `LeaseLost`, also when its money
        was cleared meanwhile: whoever works on it has to know where it stands now."""
        changed = await self._conn.fetchval(
            """
            UPDATE card_operation SET state = $4, reason = $5, attention = $6, psp_id = $7, sends = $9,
                                      sent_at = $10, version = $11, tries = $12, due_at = $13,
                                      booked_at = coalesce(booked_at, $14)
            WHERE id = $1 AND state = $2 AND leases = $3 AND stands_in = $8 RETURNING true
            """,
            before.id,
            before.state,
            before.leases,
            after.state,
            after.reason,
            after.attention,
            after.psp_id,
            before.stands_in,
            after.sends,
            after.sent_at,
            after.version,
            after.tries,
            due_at,
            booked_at,
        )
        if changed is None:
            raise LeaseLost(f"operation {before.id} is no longer as it was leased")

    async def stand_in_available(self, operation: Operation) -> None:
        """The money of an operation is accounted for as spendable from now on."""
        await self._conn.execute(
            "UPDATE card_operation SET stands_in = 'available' WHERE id = $1", operation.id
        )

    async def one_at_a_time(self, player: PlayerId) -> None:
        """Until the transaction ends nobody else looks at whether this player may pay by card."""
        await self._conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, hashtextextended('card limits', 0)))",
            str(player),
        )

    async def deposited_beside(self, payment: CardPayment, since: datetime) -> Decimal:
        """What the player has deposited since then by all rails, in pesos, with the transfers that are about to be
        booked and what may still be captured of the other card payments that were let through."""
        found: Decimal = await self._conn.fetchval(
            """
            SELECT coalesce(sum(amount), 0) FROM deposit
             WHERE player = $1 AND (state = 'ATTESTED' OR booked_at >= $2)
            """,
            payment.player,
            since,
        )
        return found + await self._let_through(payment.player, since, payment.id)

    async def deposited(self, player: PlayerId, since: datetime) -> Decimal:
        """What the player has deposited since then by all rails, in pesos, with what may still be captured of the card
        payments that were let through."""
        found: Decimal = await self._conn.fetchval(
            "SELECT coalesce(sum(amount), 0) FROM deposit WHERE player = $1 AND booked_at >= $2",
            player,
            since,
        )
        return found + await self._let_through(player, since, None)

    async def brought_in(self, player: PlayerId, since: datetime) -> Decimal:
        """What has come in from the player since then by all rails, in pesos, with the captures that were sent. What is
        authorised alone has not: each capture of it is looked at by itself."""
        found: Decimal = await self._conn.fetchval(
            """
            SELECT (SELECT coalesce(sum(amount), 0) FROM deposit WHERE player = $1 AND booked_at >= $2)
                 + (SELECT coalesce(sum(o.amount), 0) FROM card_operation o JOIN card_payment p ON p.id = o.payment_id
                     WHERE p.player = $1 AND o.act = 'capture' AND o.state NOT IN ('REQUESTED', 'REFUSED', 'FAILED')
                       AND coalesce(o.booked_at, o.sent_at) >= $2)
            """,
            player,
            since,
        )
        return found

    async def under_way(self, player: PlayerId) -> bool:
        """Whether a card payment of this player's was let through of which not everything is booked that may be."""
        found: bool = await self._conn.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM card_payment p
                 WHERE p.player = $1 AND p.state NOT IN ('CREATED', 'VOIDED', 'EXPIRED', 'DECLINED', 'CONFLICTED')
                   AND p.amount > (SELECT coalesce(sum(o.amount), 0) FROM card_operation o
                                    WHERE o.payment_id = p.id AND o.act = 'capture' AND o.booked_at IS NOT NULL))
            """,
            player,
        )
        return found

    async def _let_through(self, player: PlayerId, since: datetime, but: CardPaymentId | None) -> Decimal:
        found: Decimal = await self._conn.fetchval(
            """
            SELECT coalesce(sum(CASE WHEN state IN ('SETTLED', 'VOIDED', 'EXPIRED', 'DECLINED', 'CONFLICTED')
                                     THEN captured ELSE amount END), 0)
              FROM card_payment WHERE player = $1 AND created_at >= $2 AND id IS DISTINCT FROM $3 AND state <> 'CREATED'
            """,
            player,
            since,
            but,
        )
        return found

    async def unrefunded(self, player: PlayerId, since: datetime) -> Decimal:
        """What a player has captured by card since then and not had refunded, in pesos. A refund counts once its money
        is out of the player's reach: until then it may be refused."""
        found: Decimal = await self._conn.fetchval(
            """
            SELECT coalesce(sum(p.captured - p.refunding + asked.amount), 0)
              FROM card_payment p
             CROSS JOIN LATERAL (SELECT coalesce(sum(o.amount), 0) AS amount FROM card_operation o
                                  WHERE o.payment_id = p.id AND o.act = 'refund' AND o.state = 'REQUESTED') asked
             WHERE p.player = $1 AND p.created_at >= $2 AND p.captured > 0
            """,
            player,
            since,
        )
        return found


def _payment(row: Record) -> CardPayment:
    currency = row["currency"]
    return CardPayment(
        id=CardPaymentId(row["id"]),
        player=PlayerId(row["player"]),
        psp=row["psp"],
        card_token=row["card_token"],
        amount=Money(row["amount"], currency),
        capture_at_once=row["capture_at_once"],
        state=PaymentState(row["state"]),
        created_at=row["created_at"],
        psp_id=row["psp_id"],
        expires_at=row["expires_at"],
        reason=row["reason"],
        captured=Money(row["captured"], currency),
        refunding=Money(row["refunding"], currency),
        version=row["version"],
    )


def _operation(row: Record) -> Operation:
    return Operation(
        id=OperationId(row["id"]),
        payment_id=CardPaymentId(row["payment_id"]),
        act=Act(row["act"]),
        amount=Money(row["amount"], row["currency"]),
        state=OperationState(row["state"]),
        requested_at=row["requested_at"],
        reason=row["reason"],
        attention=row["attention"],
        psp_id=row["psp_id"],
        stands_in=row["stands_in"],
        sends=row["sends"],
        sent_at=row["sent_at"],
        version=row["version"],
        tries=row["tries"],
        leases=row["leases"],
    )
