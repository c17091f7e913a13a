"""Writing what was decided: the entries and postings of a batch in one statement, and the answers to the refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from common.errors import DomainError
from common.pg import Connection

from ledger.domain.commands import Command, canonical
from ledger.domain.decide import Decision


async def write(connection: Connection, after: int, decisions: Sequence[Decision]) -> datetime | None:
    """Write entries and postings in one statement, numbered from `after` + 1; return their posted time,
    or None, with nothing written, when the head is not at `after`.

    The statement locks the head itself, and compares after it has waited for it: one that waits for the batch
    which takes the head to `after` is written, though that was not in the journal when it began. All it reads
    besides is read by the journal's triggers, each with a look of its own. They check the entries as a whole, move balances
    and head, and queue the events.

    Raises:
        asyncpg.CheckViolationError, UniqueViolationError, ForeignKeyViolationError: a rule refused it.
        asyncpg.SerializationError: an account moved without the head, which nobody may do.
    """
    numbered = list(enumerate(decisions, after + 1))
    commands = [each.command for each in decisions]
    parts = [command.settlement for command in commands]
    postings = [
        (
            sequence,
            leg,
            posting.account.id,
            posting.account.sequence,
            canonical(posting.amount),
            canonical(posting.account.balance),
            posting.hold,
        )
        for sequence, each in numbered
        for leg, posting in enumerate(each.postings, 1)
    ]
    posted_at: datetime | None = await connection.fetchval(
        _WRITE,
        commands[0].ledger,
        after,
        [command.kind for command in commands],
        [command.principal for command in commands],
        [command.key for command in commands],
        [command.fingerprint for command in commands],
        [command.reference for command in commands],
        [json.dumps(dict(command.metadata)) if command.metadata else "{}" for command in commands],
        [command.traceparent for command in commands],
        _literal(command.id for command in commands),
        _literal(len(each.postings) for each in decisions),
        _literal(command.receipt for command in commands),
        _literal(part and part.version for part in parts),
        _literal(part and canonical(part.total) for part in parts),
        _literal(part and part.chunk for part in parts),
        _literal(part and part.chunks for part in parts),
        _literal(command.effective_at and command.effective_at.isoformat() for command in commands),
        _literal(command.reverses for command in commands),
        _literal(command.link for command in commands),
        _literal(command.links for command in commands),
        _literal(command.expires_at and command.expires_at.isoformat() for command in commands),
        *map(_literal, zip(*postings, strict=True)),
    )
    return posted_at


def _literal(values: Iterable[object]) -> str:
    """An array in PostgreSQL's own notation, of values that are written without quotes: numbers, UUIDs,
    moments. The driver's encoding of them, one by one, costs several times as much."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


_WRITE = """
WITH locked AS MATERIALIZED (
    SELECT sequence, greatest(statement_timestamp(), settled_at + interval '1 microsecond') AS at
      FROM head WHERE ledger_id = $1 AND sequence <= $2 FOR UPDATE
), unmoved AS MATERIALIZED (
    SELECT at FROM locked WHERE sequence = $2
), entries AS (
    INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference,
        metadata, receipt, settlement_version, settlement_total, settlement_chunk, settlement_chunks, traceparent,
        effective_at, posted_at, reverses, link, links, hold_expires_at)
    SELECT $1, $2 + e.place, e.id, e.kind, e.legs, e.principal, e.key, e.fingerprint, e.reference, e.metadata::jsonb,
           e.receipt, e.version, e.total, e.chunk, e.chunks, e.traceparent,
           coalesce(e.effective_at, unmoved.at), unmoved.at, e.reverses, e.link, e.links, e.hold_expires_at
      FROM unmoved, unnest($3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[], $9::text[],
                  $10::text::uuid[], $11::text::smallint[], $12::text::uuid[], $13::text::int[], $14::text::numeric[],
                  $15::text::int[], $16::text::int[], $17::text::timestamptz[], $18::text::uuid[], $19::text::uuid[],
                  $20::text::smallint[], $21::text::timestamptz[]) WITH ORDINALITY
        AS e (kind, principal, key, fingerprint, reference, metadata, traceparent, id, legs, receipt, version, total,
              chunk, chunks, effective_at, reverses, link, links, hold_expires_at, place)
), postings AS (
    INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance, hold)
    SELECT $1, p.sequence, p.leg, p.account_id, p.account_sequence, p.amount, p.balance, p.hold
      FROM unmoved, unnest($22::text::bigint[], $23::text::smallint[], $24::text::bigint[], $25::text::bigint[],
                  $26::text::numeric[], $27::text::numeric[], $28::text::uuid[])
        AS p (sequence, leg, account_id, account_sequence, amount, balance, hold)
)
SELECT at FROM unmoved
"""


async def write_refusals(connection: Connection, refused: Sequence[tuple[Command, DomainError]]) -> None:
    """Store the answers to refused commands of one ledger in one statement; each tells its event through the outbox."""
    commands = [command for command, _ in refused]
    await connection.execute(
        """
        INSERT INTO refusal (id, ledger_id, kind, principal, idempotency_key, fingerprint, reference, problem, traceparent)
        SELECT r.id, $1, r.kind, r.principal, r.key, r.fingerprint, r.reference, r.problem::jsonb, r.traceparent
          FROM unnest($2::text::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[], $9::text[])
            AS r (id, kind, principal, key, fingerprint, reference, problem, traceparent)
        """,
        commands[0].ledger,
        _literal(command.id for command in commands),
        [command.kind for command in commands],
        [command.principal for command in commands],
        [command.key for command in commands],
        [command.fingerprint for command in commands],
        [command.reference for command in commands],
        [json.dumps({"slug": why.slug, "detail": why.detail, "field": why.field}) for _, why in refused],
        [command.traceparent for command in commands],
    )
