"""The provider's settlement files and what became of their lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from common.pg import Connection, translate

from payments.domain.cards import Operation, OperationId
from payments.domain.disputes import Dispute
from payments.domain.payout_files import BreakClass, PayoutFile, PayoutLine
from payments.domain.refusals import DecisionImpossible
from payments.store.cards import CardStore
from payments.store.disputes import DisputeStore


@dataclass(frozen=True, slots=True)
class MatchedLine:
    """A line in its one bucket: an operation of ours, a dispute, or a class of break."""

    line: PayoutLine
    operation_id: UUID | None
    break_class: BreakClass | None
    dispute_id: str | None = None


class PayoutFileStore:
    """Settlement files on one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def known(self, psp: str) -> frozenset[str]:
        """The names of the files that were imported."""
        rows = await self._conn.fetch("SELECT name FROM payout_file WHERE psp = $1", psp)
        return frozenset(row["name"] for row in rows)

    async def add(
        self,
        file_id: UUID,
        psp: str,
        name: str,
        text: str,
        file: PayoutFile | None,
        *,
        gross: Decimal | None = None,
        fees: Decimal | None = None,
        carried_from: UUID | None = None,
        reason: str | None = None,
    ) -> bool:
        """Keep a file as it came; False when one of this name or content was imported before."""
        added = await self._conn.fetchval(
            """
            INSERT INTO payout_file (id, psp, name, sha256, raw, opening, closing, gross, fees, carried_from, state, reason)
            VALUES ($1, $2, $3, sha256(convert_to($4, 'UTF8')), $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT DO NOTHING RETURNING true
            """,
            file_id,
            psp,
            name,
            text,
            file and file.opening,
            file and file.closing,
            gross,
            fees,
            carried_from,
            "REJECTED" if file is None else "MATCHED",
            reason,
        )
        return bool(added)

    async def owed(self, psp: str) -> Sequence[tuple[UUID, Decimal]]:
        """The files that left a balance below zero which no later file has opened with, and that balance; the oldest first."""
        rows = await self._conn.fetch(
            """
            SELECT id, closing FROM payout_file f WHERE psp = $1 AND state = 'MATCHED' AND closing < 0
               AND NOT EXISTS (SELECT FROM payout_file t WHERE t.carried_from = f.id AND t.state = 'MATCHED')
             ORDER BY imported_at, id
            """,
            psp,
        )
        return [(row["id"], row["closing"]) for row in rows]

    async def give_up(self, file_id: UUID) -> None:
        """The file is not to be believed: its lines count no more. Raises `DecisionImpossible`."""
        taken_up = DecisionImpossible(
            "a later file has opened with what this one left, or given back what it took"
        )
        with translate({"payout_file_is_given_up": lambda: taken_up}):
            await self._conn.execute(
                "UPDATE payout_file SET state = 'REJECTED', reason = 'given-up' WHERE id = $1", file_id
            )

    async def add_lines(self, file_id: UUID, lines: Sequence[MatchedLine]) -> None:
        await self._conn.executemany(
            """
            INSERT INTO payout_line (file_id, line, psp_id, kind, amount, fee, operation_id, break_class, dispute_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            [
                (
                    file_id,
                    each.line.number,
                    each.line.psp_id,
                    each.line.kind,
                    each.line.amount,
                    each.line.fee,
                    each.operation_id,
                    each.break_class,
                    each.dispute_id,
                )
                for each in lines
            ],
        )

    async def lines_seen(self, operation_id: UUID, kind: str) -> bool:
        """Whether a line of an earlier file has this operation."""
        seen: bool = await self._conn.fetchval(
            "SELECT EXISTS (SELECT FROM payout_line WHERE operation_id = $1 AND kind = $2 AND NOT given_up)",
            operation_id,
            kind,
        )
        return seen

    async def counted_of(self, dispute_id: str) -> Mapping[str, Decimal]:
        """The amounts of the lines about a dispute that earlier files were counted by, by kind."""
        rows = await self._conn.fetch(
            "SELECT kind, amount FROM payout_line WHERE dispute_id = $1 AND NOT given_up", dispute_id
        )
        return {row["kind"]: row["amount"] for row in rows}

    async def overdue(self, before: datetime, limit: int) -> Sequence[Operation]:
        """Captures and refunds asked for before then that a later file should have had and none has, each once."""
        rows = await self._conn.fetch(
            """
            SELECT o.id FROM card_operation o
            WHERE o.act IN ('capture', 'refund') AND o.state = 'BOOKED' AND o.requested_at < $1
              AND EXISTS (SELECT FROM payout_file f WHERE f.imported_at > o.requested_at)
              AND NOT EXISTS (SELECT FROM payout_line l WHERE l.operation_id = o.id AND NOT l.given_up)
              AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject_id = o.id AND c.reason = 'MISSING_EXTERNAL')
            ORDER BY o.requested_at LIMIT $2
            """,
            before,
            limit,
        )
        store = CardStore(self._conn)
        found = [await store.operation(OperationId(row["id"])) for row in rows]
        return [operation for operation in found if operation is not None]

    async def settled_by(self, file_id: UUID) -> Sequence[UUID]:
        """The captures that a file pays out, in the order of their payments, so that locks are taken in order."""
        rows = await self._conn.fetch(
            """
            SELECT o.id FROM payout_line l JOIN card_operation o ON o.id = l.operation_id
            WHERE l.file_id = $1 AND l.kind = 'capture' AND NOT l.given_up ORDER BY o.payment_id, o.id
            """,
            file_id,
        )
        return [row["id"] for row in rows]

    async def counted(self, file_id: UUID) -> Sequence[tuple[PayoutLine, Operation | Dispute]]:
        """The lines of a file that were counted, each with its operation or dispute."""
        rows = await self._conn.fetch(
            """
            SELECT line, psp_id, kind, amount, fee, operation_id, dispute_id FROM payout_line
             WHERE file_id = $1 AND break_class IS NULL AND NOT given_up ORDER BY line
            """,
            file_id,
        )
        ids = [row["operation_id"] for row in rows if row["operation_id"] is not None]
        operations = await CardStore(self._conn).by_ids(ids)
        found: list[tuple[PayoutLine, Operation | Dispute]] = []
        for row in rows:
            line = PayoutLine(row["line"], row["psp_id"], row["kind"], row["amount"], row["fee"])
            if row["dispute_id"] is None:
                found.append((line, operations[row["operation_id"]]))
            elif dispute := await DisputeStore(self._conn).by_id(row["dispute_id"]):
                found.append((line, dispute))
        return found
