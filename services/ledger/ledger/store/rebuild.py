"""Recomputing from the journal everything that is kept beside it, to find where the two differ.

Each query knows one kind of derived row and recomputes it from entries and postings alone, by other means than the
triggers that keep it. Each returns (subject, stored, recomputed) as text, and nothing where all is well. All of them
belong in one repeatable read, so that posting may go on.

Arguments: $1 the ledger; $2 and $3 the first key of the part to check and the first beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from common.pg import Connection

MOST_DRIFTS = 1_000
"""Rows of drift shown for one part of one check: past that the first thousand say enough."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Something stored is not what the journal says."""

    check: str
    subject: str
    stored: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is to recompute."""

    sequence: int
    first_account: int
    last_account: int
    accounts: int
    holds: int
    closes: Sequence[tuple[str, date]]


async def extent(connection: Connection, ledger: int) -> Extent:
    row = await connection.fetchrow(
        """
        SELECT (SELECT greatest(h.sequence, (SELECT max(e.sequence) FROM entry e WHERE e.ledger_id = $1), 0)
                  FROM head h WHERE h.ledger_id = $1) AS sequence,
               coalesce(min(id), 0) AS first_account, coalesce(max(id), 0) AS last_account, count(*) AS accounts,
               (SELECT count(*) FROM hold WHERE ledger_id = $1) AS holds
          FROM account WHERE ledger_id = $1
        """,
        ledger,
    )
    if row is None or row["sequence"] is None:
        raise LookupError(f"ledger {ledger} has no head")
    closes = await connection.fetch(
        "SELECT period, starts_on FROM period_close WHERE ledger_id = $1 ORDER BY period, starts_on", ledger
    )
    return Extent(
        row["sequence"],
        row["first_account"],
        row["last_account"],
        row["accounts"],
        row["holds"],
        [(each["period"], each["starts_on"]) for each in closes],
    )


async def differences(
    connection: Connection, check: str, ledger: int, *part: int | str | date
) -> Sequence[Drift]:
    """What one check finds in one part of the ledger: account ids, sequences, or a close."""
    rows = await connection.fetch(
        f"SELECT subject, stored, recomputed FROM ({_CHECKS[check]}) found "
        f"WHERE stored IS DISTINCT FROM recomputed ORDER BY subject LIMIT {MOST_DRIFTS}",
        ledger,
        *part,
    )
    return [Drift(check, row["subject"], row["stored"] or "-", row["recomputed"] or "-") for row in rows]


_OF_ACCOUNTS = {
    # Signed, debit positive.
    "balance": """
        SELECT a.path || ' ' || a.currency AS subject, trim_scale(b.amount)::text AS stored,
               trim_scale(coalesce(p.amount, 0))::text AS recomputed
          FROM account a
          LEFT JOIN balance b ON b.account_id = a.id
          LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM posting
                      WHERE account_id >= $2 AND account_id < $3 GROUP BY account_id) p ON p.account_id = a.id
         WHERE a.ledger_id = $1 AND a.id >= $2 AND a.id < $3
    """,
    "number of postings": """
        SELECT a.path || ' ' || a.currency AS subject, b.sequence::text AS stored, coalesce(p.n, 0)::text AS recomputed
          FROM account a
          LEFT JOIN balance b ON b.account_id = a.id
          LEFT JOIN (SELECT account_id, count(*) AS n FROM posting
                      WHERE account_id >= $2 AND account_id < $3 GROUP BY account_id) p ON p.account_id = a.id
         WHERE a.ledger_id = $1 AND a.id >= $2 AND a.id < $3
    """,
    "balance after": """
        SELECT a.path || ' ' || a.currency || ' posting ' || p.account_sequence AS subject,
               trim_scale(p.balance)::text AS stored, trim_scale(p.reached)::text AS recomputed
          FROM (SELECT account_id, account_sequence, balance,
                       sum(amount) OVER (PARTITION BY account_id ORDER BY account_sequence) AS reached
                  FROM posting WHERE account_id >= $2 AND account_id < $3) p
          JOIN account a ON a.id = p.account_id AND a.ledger_id = $1
    """,
    "account sequence": """
        SELECT a.path || ' ' || a.currency || ' entry ' || p.sequence AS subject,
               p.account_sequence::text AS stored, p.n::text AS recomputed
          FROM (SELECT account_id, account_sequence, sequence,
                       row_number() OVER (PARTITION BY account_id ORDER BY sequence, leg) AS n
                  FROM posting WHERE account_id >= $2 AND account_id < $3) p
          JOIN account a ON a.id = p.account_id AND a.ledger_id = $1
    """,
    "account as its class says": """
        SELECT a.path || ' ' || a.currency AS subject,
               concat_ws(' ', a.class, a.side, a.floored, a.requires_hold, a.owner_kind, b.side, b.floored) AS stored,
               concat_ws(' ', c.name, c.side, c.floored, c.requires_hold, c.owner_kind, c.side, c.floored) AS recomputed
          FROM account a
          LEFT JOIN balance b ON b.account_id = a.id
          LEFT JOIN LATERAL (SELECT k.name, CASE k.side WHEN 'debit' THEN 1 ELSE -1 END AS side, k.floored,
                                    k.requires_hold, k.owner_kind
                               FROM account_class k JOIN ledger l ON l.chart = k.chart
                              WHERE l.id = a.ledger_id AND a.path ~ k.pattern) c ON true
         WHERE a.ledger_id = $1 AND a.id >= $2 AND a.id < $3
    """,
}

_OF_ENTRIES = {
    "number of legs": """
        SELECT 'entry ' || coalesce(e.sequence, p.sequence) AS subject, e.legs::text AS stored, p.n::text AS recomputed
          FROM (SELECT sequence, legs FROM entry WHERE ledger_id = $1 AND sequence >= $2 AND sequence < $3) e
          FULL JOIN (SELECT sequence, count(*) AS n FROM posting
                      WHERE ledger_id = $1 AND sequence >= $2 AND sequence < $3 GROUP BY sequence) p
                 ON p.sequence = e.sequence
    """,
    "debits equal credits": """
        SELECT 'entry ' || p.sequence || ' ' || a.currency AS subject, trim_scale(sum(p.amount))::text AS stored,
               '0' AS recomputed
          FROM posting p JOIN account a ON a.id = p.account_id
         WHERE p.ledger_id = $1 AND p.sequence >= $2 AND p.sequence < $3 GROUP BY p.sequence, a.currency
    """,
    "posted in order": """
        SELECT 'entry ' || e.sequence AS subject, 'before the one before it' AS stored,
               CASE WHEN e.posted_at < e.before THEN 'after it' ELSE 'before the one before it' END AS recomputed
          FROM (SELECT sequence, posted_at, lag(posted_at) OVER (ORDER BY sequence) AS before
                  FROM entry WHERE ledger_id = $1 AND sequence >= $2 - 1 AND sequence < $3) e
    """,
    "metadata as rows": """
        SELECT 'entry ' || coalesce(e.sequence, t.sequence) AS subject, t.tags::text AS stored, e.metadata::text AS recomputed
          FROM (SELECT sequence, metadata FROM entry
                 WHERE ledger_id = $1 AND sequence >= $2 AND sequence < $3 AND metadata <> '{}') e
          FULL JOIN (SELECT sequence, jsonb_object_agg(key, value) AS tags FROM entry_tag
                      WHERE ledger_id = $1 AND sequence >= $2 AND sequence < $3 GROUP BY sequence) t
                 ON t.sequence = e.sequence
    """,
}

_KINDED = """
    SELECT p.*, e.reference, e.kind, e.settlement_version, e.settlement_total, e.settlement_chunks,
           k.stake, k.settlement, CASE WHEN k.mirror THEN 'release' ELSE k.draws END AS draws,
           a.owner, a.owner_kind, a.path, a.currency
      FROM posting p
      JOIN entry e ON e.ledger_id = p.ledger_id AND e.sequence = p.sequence
      JOIN ledger l ON l.id = p.ledger_id
      LEFT JOIN kind k ON k.chart = l.chart AND k.name = e.kind
      JOIN account a ON a.id = p.account_id
     WHERE p.ledger_id = $1
"""

_OF_LEDGER = {
    "head": """
        SELECT 'ledger' AS subject, h.sequence::text AS stored,
               (SELECT CASE WHEN count(*) = coalesce(max(sequence), 0) THEN count(*)::text
                            ELSE count(*) || ' entries up to ' || max(sequence) END
                  FROM entry WHERE ledger_id = $1) AS recomputed
          FROM head h WHERE h.ledger_id = $1
    """,
    "moments": """
        SELECT 'ledger' AS subject, 'entries after the settled moment' AS stored,
               CASE WHEN h.settled_at < (SELECT max(posted_at) FROM entry WHERE ledger_id = $1) THEN 'none may be'
                    ELSE 'entries after the settled moment' END AS recomputed
          FROM head h WHERE h.ledger_id = $1
        UNION ALL
        SELECT 'closed until', h.closed_until::text,
               coalesce((SELECT max(ends_at) FROM period_close WHERE ledger_id = $1), '-infinity')::text
          FROM head h WHERE h.ledger_id = $1
    """,
    "hold": f"""
        SELECT 'hold ' || coalesce(h.id, p.hold) AS subject,
               concat_ws(' ', h.account_id, trim_scale(h.opened), trim_scale(h.remaining),
                         trim_scale(h.captured), trim_scale(h.released)) AS stored,
               concat_ws(' ', p.account_id, trim_scale(p.opened), trim_scale(p.remaining),
                         trim_scale(p.captured), trim_scale(p.released)) AS recomputed
          FROM (SELECT * FROM hold WHERE ledger_id = $1) h
          FULL JOIN (
            SELECT hold, min(account_id) AS account_id, -sum(amount) AS remaining,
                   coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS opened,
                   coalesce(sum(amount) FILTER (WHERE amount > 0 AND draws = 'capture'), 0) AS captured,
                   coalesce(sum(amount) FILTER (WHERE amount > 0 AND draws IS DISTINCT FROM 'capture'), 0) AS released
              FROM ({_KINDED}) d WHERE hold IS NOT NULL GROUP BY hold) p ON p.hold = h.id
    """,
    "stake": f"""
        SELECT coalesce(s.reference, p.reference) || ' player ' || coalesce(s.player, p.owner) AS subject,
               concat_ws(' ', trim_scale(s.contributed), trim_scale(s.returned)) AS stored,
               concat_ws(' ', trim_scale(p.contributed), trim_scale(p.returned)) AS recomputed
          FROM (SELECT * FROM stake WHERE ledger_id = $1) s
          FULL JOIN (
            SELECT reference, owner, coalesce(sum(amount) FILTER (WHERE stake), 0) AS contributed,
                   coalesce(-sum(amount) FILTER (WHERE settlement = 'void'), 0) AS returned
              FROM ({_KINDED}) d
             WHERE owner_kind = 'player' AND (stake OR settlement = 'void') GROUP BY reference, owner) p
            ON p.reference = s.reference AND p.owner = s.player
    """,
    "settlement": f"""
        SELECT coalesce(s.reference, p.reference) || ' version ' || coalesce(s.version, p.version) AS subject,
               concat_ws(' ', s.escrow_id, trim_scale(s.total), trim_scale(s.paid), trim_scale(s.recovered),
                         s.chunks, s.posted, s.state) AS stored,
               concat_ws(' ', p.escrow_id, trim_scale(p.total), trim_scale(p.paid), trim_scale(p.recovered),
                         p.chunks, p.posted,
                         CASE WHEN p.posted = p.chunks THEN 'CLOSED' ELSE 'OPEN' END) AS recomputed
          FROM (SELECT * FROM settlement WHERE ledger_id = $1) s
          FULL JOIN (
            SELECT reference, settlement_version AS version, max(settlement_total) AS total,
                   max(settlement_chunks) AS chunks, count(DISTINCT sequence) AS posted,
                   coalesce(sum(amount) FILTER (WHERE owner_kind = 'market' AND settlement <> 'recover'), 0) AS paid,
                   coalesce(-sum(amount) FILTER (WHERE owner_kind = 'market' AND settlement = 'recover'), 0) AS recovered,
                   max(account_id) FILTER (WHERE owner_kind = 'market') AS escrow_id
              FROM ({_KINDED}) d WHERE settlement_version IS NOT NULL GROUP BY reference, settlement_version) p
            ON p.reference = s.reference AND p.version = s.version
    """,
    "receipt spent": """
        SELECT 'receipt ' || coalesce(u.receipt_id, e.receipt) AS subject, u.sequence::text AS stored,
               e.sequence::text AS recomputed
          FROM (SELECT * FROM receipt_use WHERE ledger_id = $1) u
          FULL JOIN (SELECT receipt, sequence FROM entry WHERE ledger_id = $1 AND receipt IS NOT NULL) e
                 ON e.receipt = u.receipt_id AND e.sequence = u.sequence
    """,
}

# $2 the period, $3 its first day.
_OF_CLOSE = {
    "closed balance": """
        WITH this AS (SELECT * FROM period_close WHERE ledger_id = $1 AND period = $2 AND starts_on = $3::date),
             before AS (SELECT coalesce(max(sequence), 0) AS sequence FROM period_close
                         WHERE ledger_id = $1 AND period = $2 AND starts_on < $3::date),
             recomputed AS (
            SELECT p.account_id, sum(p.amount) AS balance, count(*) AS n,
                   coalesce(sum(p.amount) FILTER (WHERE p.amount > 0 AND p.sequence > b.sequence), 0) AS debit,
                   coalesce(-sum(p.amount) FILTER (WHERE p.amount < 0 AND p.sequence > b.sequence), 0) AS credit
              FROM before b, this t
              JOIN posting p ON p.ledger_id = $1 AND p.sequence <= t.sequence GROUP BY p.account_id)
        SELECT a.path || ' ' || a.currency || ' on ' || $3::date AS subject,
               concat_ws(' ', trim_scale(c.debit), trim_scale(c.credit), trim_scale(c.balance), c.account_sequence) AS stored,
               concat_ws(' ', trim_scale(r.debit), trim_scale(r.credit), trim_scale(r.balance), r.n) AS recomputed
          FROM (SELECT * FROM close_balance WHERE ledger_id = $1 AND period = $2 AND starts_on = $3::date) c
          FULL JOIN (SELECT * FROM recomputed WHERE debit > 0 OR credit > 0 OR balance <> 0) r USING (account_id)
          JOIN account a ON a.id = account_id
    """,
    "close": """
        SELECT $2 || ' ' || c.starts_on AS subject, concat_ws(' ', c.sequence, c.entries, c.late) AS stored,
               concat_ws(' ', e.sequence, e.sequence - b.sequence,
                         (SELECT count(*) FROM entry late
                           WHERE late.ledger_id = $1 AND late.sequence > b.sequence AND late.sequence <= e.sequence
                             AND late.effective_at < c.starts_on::timestamp AT TIME ZONE l.zone)) AS recomputed
          FROM period_close c
          JOIN ledger l ON l.id = c.ledger_id,
          LATERAL (SELECT coalesce(max(sequence), 0) AS sequence FROM entry
                    WHERE ledger_id = $1 AND posted_at < c.ends_at) e,
          LATERAL (SELECT coalesce(max(sequence), 0) AS sequence FROM period_close
                    WHERE ledger_id = $1 AND period = $2 AND starts_on < c.starts_on) b
         WHERE c.ledger_id = $1 AND c.period = $2 AND c.starts_on = $3::date
    """,
    "closed trial balance": """
        SELECT coalesce(t.class, r.class) || ' ' || coalesce(t.currency, r.currency) || ' on ' || $3::date AS subject,
               concat_ws(' ', trim_scale(t.debit), trim_scale(t.credit), trim_scale(t.debit_balance),
                         trim_scale(t.credit_balance)) AS stored,
               concat_ws(' ', trim_scale(r.debit), trim_scale(r.credit), trim_scale(r.debit_balance),
                         trim_scale(r.credit_balance)) AS recomputed
          FROM (SELECT * FROM close_total WHERE ledger_id = $1 AND period = $2 AND starts_on = $3::date) t
          FULL JOIN (
            SELECT a.class, a.currency, sum(c.debit) AS debit, sum(c.credit) AS credit,
                   coalesce(sum(c.balance) FILTER (WHERE c.balance > 0), 0) AS debit_balance,
                   coalesce(-sum(c.balance) FILTER (WHERE c.balance < 0), 0) AS credit_balance
              FROM close_balance c JOIN account a ON a.id = c.account_id
             WHERE c.ledger_id = $1 AND c.period = $2 AND c.starts_on = $3::date GROUP BY a.class, a.currency) r
            ON r.class = t.class AND r.currency = t.currency
    """,
    "closed proof": """
        SELECT coalesce(p.currency, r.currency) || ' on ' || $3::date AS subject,
               concat_ws(' ', trim_scale(p.money), trim_scale(p.owed)) AS stored,
               concat_ws(' ', trim_scale(r.money), trim_scale(r.owed)) AS recomputed
          FROM (SELECT * FROM close_proof WHERE ledger_id = $1 AND period = $2 AND starts_on = $3::date) p
          FULL JOIN (
            SELECT a.currency, coalesce(sum(c.balance) FILTER (WHERE k.segregation = 'money'), 0) AS money,
                   coalesce(-sum(c.balance) FILTER (WHERE k.segregation = 'owed'), 0) AS owed
              FROM close_balance c
              JOIN account a ON a.id = c.account_id
              JOIN ledger l ON l.id = c.ledger_id
              JOIN account_class k ON k.chart = l.chart AND k.name = a.class AND k.segregation IS NOT NULL
             WHERE c.ledger_id = $1 AND c.period = $2 AND c.starts_on = $3::date GROUP BY a.currency) r
            ON r.currency = p.currency
    """,
}

BY_ACCOUNT, BY_ENTRY = tuple(_OF_ACCOUNTS), tuple(_OF_ENTRIES)
BY_LEDGER, BY_CLOSE = tuple(_OF_LEDGER), tuple(_OF_CLOSE)
_CHECKS = {**_OF_ACCOUNTS, **_OF_ENTRIES, **_OF_LEDGER, **_OF_CLOSE}
