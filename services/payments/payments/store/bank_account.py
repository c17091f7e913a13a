"""By which key the rail knows what an entry of the ledger refers to."""

from collections.abc import Sequence

from common.pg import Connection

from payments.domain.arrivals import CAME_BACK
from payments.domain.bank_account import came_back, came_in, went_out


async def keys_of(conn: Connection, booked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The rail's keys of entries, by their kind and reference. What is not about a transfer of ours has none."""
    rows = await conn.fetch(
        """
        SELECT w.kind, w.reference, d.tracking_key, a.tracking_key AS arrived, a.return_clave, o.clave
          FROM unnest($1::text[], $2::text[]) AS w (kind, reference)
          LEFT JOIN deposit d ON w.kind = 'deposit' AND w.reference = 'deposits/' || d.id
          LEFT JOIN arrival a ON w.kind IN ('deposit.suspense', 'suspense.return') AND w.reference = 'arrivals/' || a.id
          LEFT JOIN withdrawal o ON w.kind IN ('withdrawal.done', 'withdrawal.returned') AND w.reference = 'withdrawals/' || o.id
        """,
        [kind for kind, _ in booked],
        [reference for _, reference in booked],
    )
    found = {}
    for row in rows:
        kind, key = row["kind"], None
        if kind == "deposit" and row["tracking_key"]:
            key = came_in(row["tracking_key"])
        elif kind == "deposit.suspense" and row["arrived"]:
            arrived = str(row["arrived"])
            is_ours = arrived.startswith(CAME_BACK)
            key = came_back(arrived.removeprefix(CAME_BACK)) if is_ours else came_in(arrived)
        elif kind == "suspense.return" and row["return_clave"]:
            key = went_out(row["return_clave"])
        elif kind == "withdrawal.done" and row["clave"]:
            key = went_out(row["clave"])
        elif kind == "withdrawal.returned" and row["clave"]:
            key = came_back(row["clave"])
        if key is not None:
            found[kind, row["reference"]] = key
    return found
