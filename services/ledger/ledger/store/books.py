"""Loading what a batch needs to be decided.

All of it runs on one connection inside one transaction, after `lock_head`. The head row is the only
lock: it serialises every writer of the ledger, so nothing read after it can move before commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from common.pg import Connection

from ledger.domain.books import (
    Account,
    AccountKey,
    Books,
    Hold,
    Receipt,
    Settlement,
    Stake,
    StakeKey,
)
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Leg
from ledger.domain.derived import debt_of
from ledger.store.derivations import load_drained, load_originals, load_shares
from ledger.store.limits import load_standings


async def lock_head(connection: Connection, ledger: int) -> int:
    """Lock the ledger's end and return the last sequence number taken."""
    sequence = await connection.fetchval("SELECT sequence FROM head WHERE ledger_id = $1 FOR UPDATE", ledger)
    return int(sequence)


async def read_head(connection: Connection, ledger: int) -> int:
    """Where the ledger ends at the moment, without waiting for anyone."""
    return int(await connection.fetchval("SELECT sequence FROM head WHERE ledger_id = $1", ledger))


async def open_accounts(
    connection: Connection, ledger: int, at: int, keys: Iterable[AccountKey], chart: Chart
) -> dict[AccountKey, Account]:
    """The accounts of `keys`, each a path the chart knows, opened in sorted order where nobody has yet; none are opened
    when the ledger's head is not at `at`: what wanted them was decided on books of before."""
    ordered = sorted(keys)
    if not ordered:
        return {}
    await connection.execute(
        """
        INSERT INTO account (ledger_id, path, currency)
        SELECT $1, wanted.path, wanted.currency FROM unnest($2::text[], $3::text[]) AS wanted (path, currency)
         WHERE (SELECT sequence FROM head WHERE ledger_id = $1) = $4
        ON CONFLICT ON CONSTRAINT account_path_is_unique DO NOTHING
        """,
        ledger,
        [path for path, _ in ordered],
        [currency for _, currency in ordered],
        at,
    )
    found = await load_accounts(connection, ledger, ordered, chart)
    return {key: account for key, account in found.items() if account.id > 0}


async def load_accounts(
    connection: Connection, ledger: int, keys: Iterable[AccountKey], chart: Chart
) -> dict[AccountKey, Account]:
    """The accounts among `keys` that the chart knows, with their balances; those that nobody has opened as they would
    be, see `Account`."""
    known = {
        (path, currency): found
        for path, currency in keys
        if currency in chart.exponents and (found := chart.classify(path))
    }
    rows = await connection.fetch(
        """
        SELECT wanted.path, wanted.currency, coalesce(a.owner, wanted.owner) AS owner, a.id, b.amount, b.sequence, b.closed,
               EXISTS (SELECT FROM player_policy y
                        WHERE y.ledger_id = $1 AND y.player = coalesce(a.owner, wanted.owner)) AS limited
          FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (path, currency, owner)
          LEFT JOIN LATERAL (SELECT id, owner FROM account
                              WHERE ledger_id = $1 AND path = wanted.path AND currency = wanted.currency OFFSET 0) a ON true
          LEFT JOIN LATERAL (SELECT amount, sequence, closed FROM balance WHERE account_id = a.id OFFSET 0) b ON true
        """,
        ledger,
        [path for path, _ in known],
        [currency for _, currency in known],
        [owner for _, owner in known.values()],
    )
    return {
        (row["path"], row["currency"]): Account(
            -place if row["id"] is None else row["id"],
            row["path"],
            row["currency"],
            known[row["path"], row["currency"]][0],
            row["owner"],
            row["amount"] or Decimal(0),
            row["sequence"] or 0,
            row["closed"] or False,
            row["limited"],
        )
        for place, row in enumerate(rows, 1)
    }


async def load_holds(connection: Connection, ledger: int, ids: Sequence[UUID]) -> dict[UUID, Hold]:
    rows = await connection.fetch(
        """
        SELECT h.id, h.account_id, h.reference, h.remaining, t.player
          FROM hold h LEFT JOIN refund_taken t ON t.ledger_id = h.ledger_id AND t.hold = h.id
         WHERE h.ledger_id = $1 AND h.id = ANY ($2::uuid[])
        """,
        ledger,
        ids,
    )
    return {
        row["id"]: Hold(row["account_id"], row["reference"], row["remaining"], row["player"]) for row in rows
    }


async def load_receipts(connection: Connection, ledger: int, ids: Sequence[UUID]) -> dict[UUID, Receipt]:
    """What receipts attest. One that was replaced, or whose replaced one was booked after all, counts as spent."""
    rows = await connection.fetch(
        """
        SELECT r.id, r.purpose, r.account, r.amount, r.currency, r.rail,
               u.receipt_id IS NOT NULL OR CASE r.purpose
                   WHEN 'deposit' THEN EXISTS (SELECT FROM receipt later WHERE later.origin = r.id)
                   WHEN 'deposit.suspense' THEN o.receipt_id IS NOT NULL ELSE false END AS spent,
               r.origin IS NULL OR r.purpose = 'deposit.suspense' OR o.receipt_id IS NOT NULL AS ready
          FROM receipt r
          LEFT JOIN receipt_use u ON u.receipt_id = r.id
          LEFT JOIN receipt_use o ON o.receipt_id = r.origin
         WHERE r.ledger_id = $1 AND r.id = ANY ($2::uuid[])
        """,
        ledger,
        ids,
    )
    return {
        row["id"]: Receipt(
            row["purpose"],
            row["account"],
            row["amount"],
            row["currency"],
            row["rail"],
            row["spent"],
            row["ready"],
        )
        for row in rows
    }


async def load_settlements(
    connection: Connection, ledger: int, references: Sequence[str]
) -> dict[str, Settlement]:
    """The newest settlement of each market in `references`, if it has any."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (s.reference) s.reference, s.version, s.total, s.paid, s.chunks, s.escrow_id, s.recovered,
               ARRAY (SELECT e.settlement_chunk FROM entry e
                       WHERE e.ledger_id = s.ledger_id AND e.reference = s.reference
                         AND e.settlement_version = s.version) AS seen
          FROM settlement s
         WHERE s.ledger_id = $1 AND s.reference = ANY ($2::text[])
         ORDER BY s.reference, s.version DESC
        """,
        ledger,
        references,
    )
    return {
        row["reference"]: Settlement(
            row["version"],
            row["total"],
            row["paid"],
            row["chunks"],
            row["escrow_id"],
            frozenset(row["seen"]),
            row["recovered"],
        )
        for row in rows
    }


async def load_stakes(connection: Connection, ledger: int, keys: Sequence[StakeKey]) -> dict[StakeKey, Stake]:
    rows = await connection.fetch(
        """
        SELECT s.reference, s.player, s.contributed, s.returned
          FROM unnest($2::text[], $3::text[]) AS wanted (reference, player)
          JOIN stake s ON s.ledger_id = $1 AND s.reference = wanted.reference AND s.player = wanted.player
        """,
        ledger,
        [reference for reference, _ in keys],
        [player for _, player in keys],
    )
    return {(row["reference"], row["player"]): Stake(row["contributed"], row["returned"]) for row in rows}


async def load_escrowed(connection: Connection, ledger: int, references: Sequence[str]) -> dict[str, Decimal]:
    """What all players contributed to each market."""
    rows = await connection.fetch(
        """
        SELECT reference, sum(contributed) AS total FROM stake
         WHERE ledger_id = $1 AND reference = ANY ($2::text[]) GROUP BY reference
        """,
        ledger,
        references,
    )
    return {row["reference"]: row["total"] for row in rows}


async def load_permitted(connection: Connection, ledger: int) -> dict[str, frozenset[str]]:
    """The kinds each principal of the ledger may post."""
    rows = await connection.fetch("SELECT name, kinds FROM principal WHERE ledger_id = $1", ledger)
    return {row["name"]: frozenset(row["kinds"]) for row in rows}


async def load_closed_until(connection: Connection, ledger: int) -> datetime | None:
    """The end of the newest closed day: nothing takes effect before it any more. None while all are open."""
    moment: datetime | None = await connection.fetchval(
        "SELECT nullif(closed_until, '-infinity') FROM head WHERE ledger_id = $1", ledger
    )
    return moment


async def load_books(connection: Connection, ledger: int, chart: Chart, commands: Sequence[Command]) -> Books:
    """All the state that deciding `commands` can ask for."""
    keys = {(leg.account, leg.currency) for command in commands for leg in command.legs}
    originals = await load_originals(
        connection, ledger, [each.reverses for each in commands if each.reverses]
    )
    drained = await load_drained(connection, ledger, [each.drains for each in commands if each.drains])
    keys |= {(leg.account, leg.currency) for original in originals.values() for leg in original.legs}
    for rest in drained.values():
        keys |= {(path, rest.currency) for path in (rest.account, rest.origin) if path}
    keys |= {(debt_of(leg.account), leg.currency) for leg in _recovered(chart, commands)}
    accounts = await load_accounts(connection, ledger, keys, chart)

    books = Books(chart, await load_permitted(connection, ledger), accounts)
    books.originals = dict(originals)
    limited = {each.owner for each in accounts.values() if each.limited and each.owner is not None}
    books.standings = await load_standings(connection, ledger, limited)
    if any(command.effective_at for command in commands):
        books.closed_until = await load_closed_until(connection, ledger)
    holds = [leg.hold for command in commands for leg in command.legs if leg.hold]
    holds += [leg.hold for original in originals.values() for leg in original.legs if leg.hold]
    if holds or drained:
        books.holds = {**await load_holds(connection, ledger, holds), **drained}
    receipts = [command.receipt for command in commands if command.receipt]
    if receipts:
        books.receipts = await load_receipts(connection, ledger, receipts)
    markets = _market_commands(chart, commands)
    if markets:
        references = sorted({command.reference for command in markets})
        books.settlements = await load_settlements(connection, ledger, references)
        books.escrowed = await load_escrowed(connection, ledger, references)
        taking_back = sorted(
            {each.reference for each in markets if chart.kinds[each.kind].settlement == "recover"}
        )
        if taking_back:
            books.shares = await load_shares(connection, ledger, taking_back)
        stakes = {
            (command.reference, account.owner)
            for command in markets
            for leg in command.legs
            if (account := accounts.get((leg.account, leg.currency))) and account.owner
        }
        books.stakes = await load_stakes(connection, ledger, sorted(stakes))
    return books


def _recovered(chart: Chart, commands: Sequence[Command]) -> list[Leg]:
    """What is to be taken back from players: what they lack becomes a debt."""
    return [
        leg
        for command in commands
        if (kind := chart.kinds.get(command.kind)) and kind.settlement == "recover"
        for leg in command.legs
        if debt_of(leg.account) != leg.account
    ]


def _market_commands(chart: Chart, commands: Sequence[Command]) -> list[Command]:
    return [
        command
        for command in commands
        if (kind := chart.kinds.get(command.kind)) and (kind.stake or kind.settlement)
    ]
