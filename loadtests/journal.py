"""A journal of any size, written set-based and past the triggers: for measuring reads, not rules.

What comes out is sound all the same: gapless, balanced, with true balances after. Entry n has its two legs on the
accounts 2n and 2n + 1 of a ring, so everything about a posting follows from its number: every other account is a
player's debt, which grows by debits, and every other what is available to one, which grows by credits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import asyncpg

KINDS: Final = 500
"""One entry in so many has the rare kind `card.clear`, the others are `bet.hold`."""
REFERENCES: Final = 20_000
ROUNDS: Final = 50
"""Values of the metadata key `round`."""
CHUNK: Final = 100_000


async def load(
    connection: asyncpg.Connection[asyncpg.Record],
    entries: int,
    *,
    accounts: int = 10_000,
    told: Callable[[int], None] = lambda _: None,
) -> None:
    """Append that many entries of two postings each to ledger 1, as a superuser, posted over the last day.

    `accounts` is even. `told` hears how many entries there are so far.
    """
    await connection.execute("SET session_replication_role = replica")
    base = await connection.fetchval("SELECT sequence FROM head WHERE ledger_id = 1")
    await connection.execute(_ACCOUNTS, accounts)
    for first in range(0, entries, CHUNK):
        last = min(first + CHUNK, entries) - 1
        await connection.execute(_ENTRIES, first, last, base, entries)
        await connection.execute(_POSTINGS, first, last, base, accounts)
        told(last + 1)
    await connection.execute(_BALANCES, accounts, entries)
    await connection.execute(
        "UPDATE head SET sequence = sequence + $1, settled_at = (SELECT max(posted_at) FROM entry) WHERE ledger_id = 1",
        entries,
    )
    await connection.execute("RESET session_replication_role")
    await connection.execute("DROP TABLE ring")
    await connection.execute("VACUUM (ANALYZE)")


_ACCOUNTS = """
    CREATE TEMP TABLE ring AS
    WITH added AS (
        INSERT INTO account (ledger_id, path, currency, class, side, floored, requires_hold, owner_kind, owner, exponent)
        SELECT 1, 'players/' || owner || CASE n % 2 WHEN 0 THEN '/debt' ELSE '/available' END, 'MXN',
               CASE n % 2 WHEN 0 THEN 'player.debt' ELSE 'player.available' END, CASE n % 2 WHEN 0 THEN 1 ELSE -1 END,
               true, false, 'player', owner, 2
          FROM (SELECT n, format('%s-0000-4000-8000-%s', lpad(to_hex(n), 8, '0'), lpad(to_hex(n), 12, '0')) AS owner
                  FROM generate_series(0, $1::int - 1) n) numbered RETURNING id, path)
    SELECT id, row_number() OVER (ORDER BY path) - 1 AS rank FROM added
"""

_ENTRIES = f"""
    WITH entries AS (
        INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference,
                           metadata, posted_at, effective_at)
        SELECT 1, $3::bigint + n + 1, id, CASE WHEN n % {KINDS} = 0 THEN 'card.clear' ELSE 'bet.hold' END, 2, 'loadtest',
               id::text, sha256(id::text::bytea), 'markets/' || n % {REFERENCES},
               jsonb_build_object('round', (n % {ROUNDS})::text), at, at
          FROM (SELECT n, gen_random_uuid() AS id,
                       date_trunc('second', now()) - interval '1 day' + n * (interval '23 hours' / $4::int) AS at
                  FROM generate_series($1::int, $2::int) n) numbered
        RETURNING sequence, metadata)
    INSERT INTO entry_tag (ledger_id, key, value, sequence)
    SELECT 1, 'round', metadata ->> 'round', sequence FROM entries
"""

_POSTINGS = """
    INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance)
    SELECT 1, $3::bigint + k / 2 + 1, k % 2 + 1, ring.id, k / $4::int + 1,
           CASE k % 2 WHEN 0 THEN 1 ELSE -1 END, CASE k % 2 WHEN 0 THEN 1 ELSE -1 END * (k / $4::int + 1)
      FROM generate_series($1::int * 2::bigint, $2::int * 2::bigint + 1) k
      JOIN ring ON ring.rank = k % $4::int
"""

_BALANCES = """
    INSERT INTO balance (account_id, amount, sequence, side, floored)
    SELECT id, CASE rank % 2 WHEN 0 THEN 1 ELSE -1 END * n, n, CASE rank % 2 WHEN 0 THEN 1 ELSE -1 END, true
      FROM (SELECT id, rank, ($2::bigint * 2 - rank + $1::int - 1) / $1::int AS n FROM ring) counted
"""
