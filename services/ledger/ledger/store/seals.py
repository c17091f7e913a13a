"""The journal as it is sealed, and the seals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from common.pg import Connection

from ledger.domain.seals import Endorsement, Json, SealedEntry, SealedPosting, Statement, moment


@dataclass(frozen=True, slots=True)
class SealRow:
    """A seal as stored. `hash` is its name."""

    number: int
    first: int
    last: int
    root: bytes
    hash: bytes
    key_id: str
    statement: bytes
    signature: bytes
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class SealKeyRow:
    """A public key; `endorsement` and `signature` are its predecessor's, None for the first."""

    id: str
    public_key: bytes
    from_seal: int
    endorsed_by: str | None
    endorsement: bytes | None
    signature: bytes | None


_SEAL = "number, first, last, root, hash, key_id, statement, signature, sealed_at"


async def head_sequence(connection: Connection, ledger: int) -> int:
    """How many entries the ledger has. Read without its lock: what is visible is committed, and whole."""
    sequence: int = await connection.fetchval("SELECT sequence FROM head WHERE ledger_id = $1", ledger)
    return sequence


async def journal(connection: Connection, ledger: int, first: int, last: int) -> list[SealedEntry]:
    """The entries of a run, in order, with their postings; those that are missing are missing here, too."""
    headers = await connection.fetch(
        """
        SELECT e.sequence, l.name AS ledger, e.id, e.kind, e.principal, e.idempotency_key, e.fingerprint, e.reference, e.metadata,
               e.receipt, e.settlement_version, e.settlement_total::text AS settlement_total, e.settlement_chunk,
               e.settlement_chunks, e.reverses, e.link, e.links, e.hold_expires_at, e.effective_at, e.posted_at
          FROM entry e JOIN ledger l ON l.id = e.ledger_id
         WHERE e.ledger_id = $1 AND e.sequence BETWEEN $2 AND $3 ORDER BY e.sequence
        """,
        ledger,
        first,
        last,
    )
    legs = await connection.fetch(
        """
        SELECT p.sequence, a.path, a.class, a.currency, a.side, a.floored, round(p.amount, a.exponent)::text,
               round(p.balance, a.exponent)::text, p.account_sequence, p.hold::text
          FROM posting p JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id OFFSET 0) a ON true
         WHERE p.ledger_id = $1 AND p.sequence BETWEEN $2 AND $3 ORDER BY p.sequence, p.leg
        """,
        ledger,
        first,
        last,
    )
    postings: dict[int, list[SealedPosting]] = {}
    for sequence, *columns in legs:
        postings.setdefault(sequence, []).append(SealedPosting(*columns))
    return [
        SealedEntry(row["sequence"], _header(row), tuple(postings.get(row["sequence"], ())))
        for row in headers
    ]


def _header(row: Record) -> dict[str, Json]:
    """Every sealed column of an entry that is not empty. A new column is sealed by being added here: the test
    of the encoding asks for it."""
    header: dict[str, Json] = {
        "ledger": row["ledger"],
        "sequence": row["sequence"],
        "id": str(row["id"]),
        "kind": row["kind"],
        "principal": row["principal"],
        "idempotency_key": row["idempotency_key"],
        "fingerprint": row["fingerprint"].hex(),
        "reference": row["reference"],
        "effective_at": moment(row["effective_at"]),
        "posted_at": moment(row["posted_at"]),
    }
    if row["metadata"] != "{}":
        header["metadata"] = json.loads(row["metadata"])
    header |= {name: str(row[name]) for name in ("receipt", "reverses", "link") if row[name] is not None}
    if row["links"] is not None:
        header["links"] = row["links"]
    if row["hold_expires_at"] is not None:
        header["hold_expires_at"] = moment(row["hold_expires_at"])
    if row["settlement_version"] is not None:
        header["settlement"] = {
            "version": row["settlement_version"],
            "total": row["settlement_total"],
            "chunk": row["settlement_chunk"],
            "chunks": row["settlement_chunks"],
        }
    return header


async def sequence_of(connection: Connection, ledger: int, entry: UUID) -> int | None:
    """Where the ledger has the entry of that id."""
    found: int | None = await connection.fetchval(
        "SELECT sequence FROM entry WHERE id = $2 AND ledger_id = $1", ledger, entry
    )
    return found


async def last_seal(connection: Connection, ledger: int) -> SealRow | None:
    row = await connection.fetchrow(
        f"SELECT {_SEAL} FROM seal WHERE ledger_id = $1 ORDER BY number DESC LIMIT 1", ledger
    )
    return SealRow(*row) if row else None


async def seal(connection: Connection, ledger: int, number: int) -> SealRow | None:
    row = await connection.fetchrow(
        f"SELECT {_SEAL} FROM seal WHERE ledger_id = $1 AND number = $2", ledger, number
    )
    return SealRow(*row) if row else None


async def seal_over(connection: Connection, ledger: int, sequence: int) -> SealRow | None:
    """The seal whose run has that entry."""
    row = await connection.fetchrow(
        f"SELECT {_SEAL} FROM seal WHERE ledger_id = $1 AND last >= $2 ORDER BY last LIMIT 1",
        ledger,
        sequence,
    )
    return SealRow(*row) if row else None


async def seals(connection: Connection, ledger: int, after: int, limit: int) -> list[SealRow]:
    """Seals beyond number `after`, in order."""
    rows = await connection.fetch(
        f"SELECT {_SEAL} FROM seal WHERE ledger_id = $1 AND number > $2 ORDER BY number LIMIT $3",
        ledger,
        after,
        limit,
    )
    return [SealRow(*row) for row in rows]


async def seal_keys(connection: Connection, ledger: int) -> Sequence[SealKeyRow]:
    """Every key, oldest first; the last one is of the day."""
    rows = await connection.fetch(
        "SELECT id, public_key, from_seal, endorsed_by, endorsement, signature FROM seal_key "
        "WHERE ledger_id = $1 ORDER BY from_seal",
        ledger,
    )
    return [SealKeyRow(*row) for row in rows]


async def add_seal(connection: Connection, ledger: int, statement: Statement, signature: bytes) -> None:
    await connection.execute(
        """
        INSERT INTO seal (ledger_id, number, first, last, root, previous, key_id, statement, signature, sealed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        ledger,
        statement.number,
        statement.first,
        statement.last,
        statement.root,
        statement.previous,
        statement.key,
        statement.signing_bytes(),
        signature,
        statement.sealed_at,
    )


async def add_first_key(connection: Connection, ledger: int, id: str, public_key: bytes) -> None:
    await connection.execute(
        "INSERT INTO seal_key (ledger_id, id, public_key, from_seal) VALUES ($1, $2, $3, 1)",
        ledger,
        id,
        public_key,
    )


async def add_key(connection: Connection, ledger: int, endorsement: Endorsement, signature: bytes) -> None:
    await connection.execute(
        """
        INSERT INTO seal_key (ledger_id, id, public_key, from_seal, endorsed_by, endorsement, signature)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        ledger,
        endorsement.key,
        endorsement.public_key,
        endorsement.from_seal,
        endorsement.endorsed_by,
        endorsement.signing_bytes(),
        signature,
    )
