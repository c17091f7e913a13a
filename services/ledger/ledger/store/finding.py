"""Finding entries: each page is one range of one index, read in the index's own order.

A filter is a way through the journal, not a sieve over it, so no page reads rows that it does not show. That is why
one of them is taken at a time; a range of sequences (which is what a range of posting times comes down to) goes with
any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.pg import Connection

from ledger.store.accounts import AccountRow


@dataclass(frozen=True, slots=True)
class Span:
    """Sequences beyond `after` and up to `upto`."""

    after: int
    upto: int


async def all_entries(
    connection: Connection, ledger: int, span: Span, limit: int, *, newest_first: bool
) -> list[int]:
    """The sequences of at most `limit` entries, from the lower end of the span or the upper."""
    return await _sequences(connection, _ALL, ledger, span, limit, newest_first)


async def by_kind(
    connection: Connection, ledger: int, kind: str, span: Span, limit: int, *, newest_first: bool
) -> list[int]:
    return await _sequences(connection, _BY_KIND, ledger, span, limit, newest_first, kind)


async def by_reference(
    connection: Connection, ledger: int, reference: str, span: Span, limit: int, *, newest_first: bool
) -> list[int]:
    return await _sequences(connection, _BY_REFERENCE, ledger, span, limit, newest_first, reference)


async def by_metadata(
    connection: Connection, ledger: int, key: str, value: str, span: Span, limit: int, *, newest_first: bool
) -> list[int]:
    return await _sequences(connection, _BY_METADATA, ledger, span, limit, newest_first, key, value)


async def by_accounts(
    connection: Connection,
    accounts: Sequence[AccountRow],
    span: Span,
    limit: int,
    *,
    newest_first: bool,
) -> list[int]:
    """Entries with a posting on any of a few accounts: a merge of one range of each."""
    rows = await connection.fetch(
        _BY_ACCOUNTS.format(order="DESC" if newest_first else "ASC"),
        [account.id for account in accounts],
        span.after,
        span.upto,
        limit,
    )
    return [row["sequence"] for row in rows]


async def by_effect(
    connection: Connection,
    ledger: int,
    after: tuple[datetime, int],
    before: tuple[datetime, int],
    limit: int,
    *,
    newest_first: bool,
) -> list[tuple[datetime, int]]:
    """Entries strictly between two places in (effective time, sequence) order."""
    rows = await connection.fetch(
        _BY_EFFECT.format(order="DESC" if newest_first else "ASC"), ledger, *after, *before, limit
    )
    return [(row["effective_at"], row["sequence"]) for row in rows]


async def has_reference(connection: Connection, ledger: int, reference: str) -> bool:
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM entry WHERE ledger_id = $1 AND reference = $2)", ledger, reference
    )
    return found


async def has_metadata(connection: Connection, ledger: int, key: str, value: str) -> tuple[bool, bool]:
    """Whether any entry has the key at all, and whether any has it with that value."""
    row = await connection.fetchrow(
        """
        SELECT EXISTS (SELECT FROM entry_tag WHERE ledger_id = $1 AND key = $2) AS key,
               EXISTS (SELECT FROM entry_tag WHERE ledger_id = $1 AND key = $2 AND value = $3) AS value
        """,
        ledger,
        key,
        value,
    )
    return (row["key"], row["value"]) if row else (False, False)


async def _sequences(
    connection: Connection,
    query: str,
    ledger: int,
    span: Span,
    limit: int,
    newest_first: bool,
    *wanted: object,
) -> list[int]:
    text = query.format(order="DESC" if newest_first else "ASC")
    rows = await connection.fetch(text, ledger, span.after, span.upto, limit, *wanted)
    return [row["sequence"] for row in rows]


_ALL = """
    SELECT sequence FROM entry WHERE ledger_id = $1 AND sequence > $2 AND sequence <= $3
     ORDER BY sequence {order} LIMIT $4
"""

# Written as ranges of (kind, sequence): with a plain equality the planner may walk the primary key instead and sift a
# rare kind out of millions.
_BY_KIND = """
    SELECT sequence FROM entry
     WHERE ledger_id = $1 AND (kind, sequence) > ($5::text, $2) AND (kind, sequence) <= ($5::text, $3)
     ORDER BY kind {order}, sequence {order} LIMIT $4
"""

_BY_REFERENCE = """
    SELECT sequence FROM entry
     WHERE ledger_id = $1 AND (reference, sequence) > ($5::text, $2) AND (reference, sequence) <= ($5::text, $3)
     ORDER BY reference {order}, sequence {order} LIMIT $4
"""

_BY_METADATA = """
    SELECT sequence FROM entry_tag
     WHERE ledger_id = $1 AND key = $5 AND value = $6 AND sequence > $2 AND sequence <= $3
     ORDER BY sequence {order} LIMIT $4
"""

# An entry with two legs on one account appears once. What is sorted is at most `limit` rows an account.
_BY_ACCOUNTS = """
    SELECT DISTINCT found.sequence
      FROM unnest($1::bigint[]) AS wanted (account_id),
           LATERAL (SELECT account_sequence_at(wanted.account_id, $2) AS after,
                           account_sequence_at(wanted.account_id, $3) AS upto OFFSET 0) span,
           LATERAL (SELECT p.sequence FROM posting p
                     WHERE p.account_id = wanted.account_id
                       AND p.account_sequence > span.after AND p.account_sequence <= span.upto
                       AND NOT EXISTS (SELECT FROM posting twin
                                        WHERE twin.account_id = p.account_id
                                          AND twin.account_sequence = p.account_sequence - 1
                                          AND twin.sequence = p.sequence)
                     ORDER BY p.account_sequence {order} LIMIT $4) found
     ORDER BY found.sequence {order} LIMIT $4
"""

_BY_EFFECT = """
    SELECT effective_at, sequence FROM entry
     WHERE ledger_id = $1 AND (effective_at, sequence) > ($2, $3) AND (effective_at, sequence) < ($4, $5)
     ORDER BY effective_at {order}, sequence {order} LIMIT $6
"""
