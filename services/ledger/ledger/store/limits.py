"""Players' policies, caps and counters."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from common.pg import Connection

from ledger.domain.standings import Cap, Count, Standing


async def load_standings(connection: Connection, ledger: int, players: Iterable[str]) -> dict[str, Standing]:
    """Where players with a policy stand in the running day, week and month."""
    wanted = sorted(players)
    if not wanted:
        return {}
    policies = await connection.fetch(
        """
        SELECT player, coalesce(blocked_until > now(), false) AS blocked FROM player_policy
         WHERE ledger_id = $1 AND player = ANY ($2)
        """,
        ledger,
        wanted,
    )
    caps = defaultdict[str, list[Cap]](list)
    for row in await connection.fetch(
        """
        SELECT player, measure, period, currency, cap FROM player_cap
         WHERE ledger_id = $1 AND player = ANY ($2) ORDER BY measure, period, currency
        """,
        ledger,
        wanted,
    ):
        caps[row["player"]].append(Cap(row["measure"], row["period"], row["currency"], row["cap"]))
    counts = defaultdict[str, dict[tuple[str, str], Count]](dict)
    for row in await connection.fetch(
        """
        SELECT player, currency, period, deposited, staked, returned FROM player_count
         WHERE ledger_id = $1 AND player = ANY ($2) AND starts_at = period_start(period, now())
        """,
        ledger,
        wanted,
    ):
        counts[row["player"]][row["currency"], row["period"]] = Count(
            row["deposited"], row["staked"], row["returned"]
        )
    return {
        row["player"]: Standing(row["blocked"], tuple(caps[row["player"]]), counts[row["player"]])
        for row in policies
    }


async def set_policy(
    connection: Connection,
    ledger: int,
    principal: str,
    player: str,
    version: int,
    blocked_until: datetime | None,
    caps: Sequence[Cap],
) -> int:
    """Make a policy hold unless a newer one does; gives the version that holds now.

    Raises:
        asyncpg.CheckViolationError: the principal may not.
    """
    told = [
        {
            "measure": cap.measure,
            "period": cap.period,
            "currency": cap.currency,
            "amount": str(cap.amount),
        }
        for cap in caps
    ]
    holds: int = await connection.fetchval(
        "SELECT set_player_policy($1::smallint, $2, $3, $4, $5, $6::jsonb)",
        ledger,
        principal,
        player,
        version,
        blocked_until,
        json.dumps(told),
    )
    return holds
