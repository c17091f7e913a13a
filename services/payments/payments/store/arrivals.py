"""Arrivals, and what the participant's statement is compared with."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record
from common.money import Money
from common.pg import Connection

from payments.domain.accounts import PlayerId
from payments.domain.arrivals import CAME_BACK, SUSPENDING, Arrival, ArrivalId, ArrivalState
from payments.domain.deposits import CURRENCY, REVIEW_REJECTED, DepositId, Transfer
from payments.store.errors import LeaseLost


class ArrivalStore:
    """Arrivals on one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def known(self, tracking_keys: Sequence[str]) -> frozenset[str]:
        """Those of the transfers that a claim or an arrival has. What people have rejected stays rejected."""
        rows = await self._conn.fetch(
            """
            SELECT tracking_key FROM deposit
            WHERE tracking_key = ANY ($1::text[]) AND (state <> 'REJECTED' OR reason = $2)
            UNION SELECT tracking_key FROM arrival WHERE tracking_key = ANY ($1::text[])
            """,
            list(tracking_keys),
            REVIEW_REJECTED,
        )
        return frozenset(row["tracking_key"] for row in rows)

    async def undecided(self, tracking_keys: Sequence[str]) -> bool:
        """Whether a claim of one of the transfers has yet to be decided: if it is wrong, the transfer is still to be noted."""
        found: bool = await self._conn.fetchval(
            """
            SELECT EXISTS (SELECT FROM deposit WHERE tracking_key = ANY ($1::text[])
                              AND state IN ('CLAIMED', 'VERIFYING', 'NOT_FOUND_YET'))
            """,
            list(tracking_keys),
        )
        return found

    async def player_of(self, clabe: str) -> PlayerId | None:
        """Whose CLABE it is."""
        player: UUID | None = await self._conn.fetchval(
            "SELECT player FROM player_clabe WHERE clabe = $1", clabe
        )
        return None if player is None else PlayerId(player)

    async def to_suspend(self, limit: int) -> Sequence[tuple[DepositId, Transfer, str]]:
        """Deposits that have yet to be taken to suspense, and why: sent by somebody else, or beyond a limit."""
        rows = await self._conn.fetch(
            """
            SELECT d.id, d.clave, d.operation_date, d.institution, d.reason FROM deposit d
            WHERE d.state = 'QUARANTINED' AND d.reason = ANY ($1::text[])
              AND NOT EXISTS (SELECT FROM arrival a WHERE a.deposit_id = d.id) LIMIT $2
            """,
            list(SUSPENDING),
            limit,
        )
        return [
            (
                DepositId(row["id"]),
                Transfer(row["clave"], row["operation_date"], row["institution"]),
                str(row["reason"]),
            )
            for row in rows
        ]

    async def quarantined_without_case(
        self, limit: int
    ) -> Sequence[tuple[DepositId, PlayerId, str, Decimal]]:
        """Quarantined deposits that no person was told of: whoever quarantined them may not open cases."""
        rows = await self._conn.fetch(
            """
            SELECT d.id, d.player, d.reason, d.amount FROM deposit d
            WHERE d.state = 'QUARANTINED' AND d.reason <> ALL ($1::text[])
              AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject = 'deposit' AND c.subject_id = d.id) LIMIT $2
            """,
            list(SUSPENDING),
            limit,
        )
        return [(DepositId(row["id"]), PlayerId(row["player"]), row["reason"], row["amount"]) for row in rows]

    async def add(self, arrival: Arrival) -> bool:
        """Note an arrival; False when it was noted before."""
        added = await self._conn.fetchval(
            """
            INSERT INTO arrival (id, tracking_key, clave, operation_date, institution, beneficiary_clabe,
                                 ordering_account, ordering_name, amount, currency, reason, deposit_id, noted_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING RETURNING true
            """,
            arrival.id,
            arrival.tracking_key,
            arrival.transfer.clave,
            arrival.transfer.operation_date,
            arrival.transfer.institution,
            arrival.beneficiary_clabe,
            arrival.ordering_account,
            arrival.ordering_name,
            arrival.amount.amount,
            arrival.amount.currency,
            arrival.reason,
            arrival.deposit_id,
            arrival.noted_at,
        )
        return bool(added)

    async def by_id(self, arrival_id: UUID) -> Arrival | None:
        row = await self._conn.fetchrow("SELECT * FROM arrival WHERE id = $1", arrival_id)
        return None if row is None else _arrival(row)

    async def for_update(self, arrival_id: UUID) -> Arrival | None:
        """An arrival, locked."""
        row = await self._conn.fetchrow("SELECT * FROM arrival WHERE id = $1 FOR UPDATE", arrival_id)
        return None if row is None else _arrival(row)

    async def by_return_clave(self, clave: str) -> Arrival | None:
        """The arrival that an order of ours sends back, locked."""
        row = await self._conn.fetchrow("SELECT * FROM arrival WHERE return_clave = $1 FOR UPDATE", clave)
        return None if row is None else _arrival(row)

    async def lease_due(self, now: datetime, until: datetime, limit: int) -> Sequence[Arrival]:
        """Take arrivals that are to be sent back and due, for one worker until that time."""
        rows = await self._conn.fetch(
            """
            UPDATE arrival SET due_at = $2, tries = tries + 1, leases = leases + 1
            WHERE id IN (SELECT id FROM arrival WHERE due_at <= $1
                         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """,
            now,
            until,
            limit,
        )
        return [_arrival(row) for row in rows]

    async def save(self, before: Arrival, after: Arrival, due_at: datetime | None) -> None:
        """What became of it. Raises `LeaseLost`."""
        changed = await self._conn.fetchval(
            """
            UPDATE arrival SET state = $4, attention = $5, player = $6, return_clave = $7, sends = $8, sent_at = $9,
                               tries = $10, due_at = $11
            WHERE id = $1 AND state = $2 AND leases = $3 RETURNING true
            """,
            before.id,
            before.state,
            before.leases,
            after.state,
            after.attention,
            after.player,
            after.return_clave,
            after.sends,
            after.sent_at,
            after.tries,
            due_at,
        )
        if changed is None:
            raise LeaseLost(f"arrival {before.id} is no longer as it was leased")


def _arrival(row: Record) -> Arrival:
    return Arrival(
        id=ArrivalId(row["id"]),
        transfer=Transfer(row["clave"], row["operation_date"], row["institution"]),
        beneficiary_clabe=row["beneficiary_clabe"],
        ordering_account=row["ordering_account"],
        ordering_name=row["ordering_name"],
        amount=Money(row["amount"], CURRENCY),
        reason=row["reason"],
        state=ArrivalState(row["state"]),
        noted_at=row["noted_at"],
        deposit_id=row["deposit_id"],
        came_back=row["tracking_key"].startswith(CAME_BACK),
        player=row["player"],
        attention=row["attention"],
        return_clave=row["return_clave"],
        sends=row["sends"],
        sent_at=row["sent_at"],
        tries=row["tries"],
        leases=row["leases"],
    )
