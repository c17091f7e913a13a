"""Withdrawals and the CLABEs they may go to."""

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record
from common.money import Money
from common.pg import Connection, translate

from payments.domain.accounts import Clabe, PlayerId
from payments.domain.refusals import UnknownPayoutClabe
from payments.domain.withdrawals import PayoutRail, Withdrawal, WithdrawalId, WithdrawalState
from payments.store.errors import LeaseLost
from payments.store.pages import Place


class WithdrawalStore:
    """Withdrawals on one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def add(self, withdrawal: Withdrawal) -> None:
        """A new request. Raises `UnknownPayoutClabe` unless money of this player came from that CLABE."""
        with translate(
            {
                "withdrawal_goes_where_money_came_from": lambda: UnknownPayoutClabe(
                    "withdraw to a CLABE that you deposited from", field="clabe"
                )
            }
        ):
            await self._conn.execute(
                """
                INSERT INTO withdrawal (id, player, clabe, beneficiary_name, amount, currency, requested_at, rail, device)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                """,
                withdrawal.id,
                withdrawal.player,
                withdrawal.clabe,
                withdrawal.beneficiary_name,
                withdrawal.amount.amount,
                withdrawal.amount.currency,
                withdrawal.requested_at,
                withdrawal.rail,
                withdrawal.device,
            )

    async def of_player(self, player: PlayerId, withdrawal_id: WithdrawalId) -> Withdrawal | None:
        """A withdrawal, if it is this player's."""
        row = await self._conn.fetchrow(
            "SELECT * FROM withdrawal WHERE id = $1 AND player = $2", withdrawal_id, player
        )
        return None if row is None else _withdrawal(row)

    async def page(self, player: PlayerId, after: Place | None, limit: int) -> Sequence[Withdrawal]:
        """A player's withdrawals, the latest first, from after that place."""
        rows = await self._conn.fetch(
            """
            SELECT * FROM withdrawal
            WHERE player = $1 AND ($2::timestamptz IS NULL OR (requested_at, id) < ($2, $3))
            ORDER BY requested_at DESC, id DESC LIMIT $4
            """,
            player,
            after and after.at,
            after and after.id,
            limit,
        )
        return [_withdrawal(row) for row in rows]

    async def lease_due(self, now: datetime, until: datetime, limit: int) -> Sequence[Withdrawal]:
        """Take withdrawals that are due, for one worker until that time."""
        rows = await self._conn.fetch(
            """
            UPDATE withdrawal SET due_at = $2, tries = tries + 1, leases = leases + 1
            WHERE id IN (SELECT id FROM withdrawal WHERE due_at <= $1
                         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """,
            now,
            until,
            limit,
        )
        return [_withdrawal(row) for row in rows]

    async def by_id(self, withdrawal_id: WithdrawalId) -> Withdrawal | None:
        row = await self._conn.fetchrow("SELECT * FROM withdrawal WHERE id = $1", withdrawal_id)
        return None if row is None else _withdrawal(row)

    async def for_update(self, withdrawal_id: WithdrawalId) -> Withdrawal | None:
        """A withdrawal, locked."""
        row = await self._conn.fetchrow("SELECT * FROM withdrawal WHERE id = $1 FOR UPDATE", withdrawal_id)
        return None if row is None else _withdrawal(row)

    async def by_clave(self, clave: str) -> Withdrawal | None:
        """The withdrawal that an order of ours carries out, locked."""
        row = await self._conn.fetchrow("SELECT * FROM withdrawal WHERE clave = $1 FOR UPDATE", clave)
        return None if row is None else _withdrawal(row)

    async def cancel(self, withdrawal_id: WithdrawalId, due_at: datetime) -> None:
        """Mark a withdrawal that nobody has reserved yet as taken back; who works on it has lost it."""
        await self._conn.execute(
            "UPDATE withdrawal SET reason = 'cancelled', leases = leases + 1, due_at = $2 WHERE id = $1",
            withdrawal_id,
            due_at,
        )

    async def save(
        self,
        before: Withdrawal,
        after: Withdrawal,
        due_at: datetime | None,
        ended_at: datetime | None = None,
    ) -> None:
        """What became of it; due again then, or only when news comes. Raises `LeaseLost`."""
        changed = await self._conn.fetchval(
            """
            UPDATE withdrawal SET state = $4, reason = $5, detail = $6, attention = $7, clave = $8, sends = $9,
                                  sent_at = $10, version = $11, tries = $12, due_at = $13,
                                  ended_at = coalesce($14, ended_at)
            WHERE id = $1 AND state = $2 AND leases = $3 RETURNING true
            """,
            before.id,
            before.state,
            before.leases,
            after.state,
            after.reason,
            after.detail,
            after.attention,
            after.clave,
            after.sends,
            after.sent_at,
            after.version,
            after.tries,
            due_at,
            ended_at,
        )
        if changed is None:
            raise LeaseLost(f"withdrawal {before.id} is no longer as it was leased")


def _withdrawal(row: Record) -> Withdrawal:
    return Withdrawal(
        id=WithdrawalId(row["id"]),
        player=PlayerId(row["player"]),
        clabe=Clabe(row["clabe"]),
        beneficiary_name=row["beneficiary_name"],
        amount=Money(row["amount"], row["currency"]),
        state=WithdrawalState(row["state"]),
        requested_at=row["requested_at"],
        reason=row["reason"],
        detail=row["detail"],
        attention=row["attention"],
        rail=PayoutRail(row["rail"]),
        device=row["device"],
        clave=row["clave"],
        sends=row["sends"],
        sent_at=row["sent_at"],
        version=row["version"],
        tries=row["tries"],
        leases=row["leases"],
    )
