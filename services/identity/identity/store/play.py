"""People's policies of responsible gaming."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from identity.domain.people import UserId
from identity.domain.play import Measure, Period, PlayLimit, PlayPolicy
from identity.store.base import Store


class PlayStore(Store):
    """Rows of `play_policy` and `play_limit`. Whoever changes them holds the lock on their person's row."""

    async def policy(self, user_id: UserId) -> PlayPolicy | None:
        row = await self._connection.fetchrow("SELECT * FROM play_policy WHERE user_id = $1", user_id)
        if row is None:
            return None
        limits = await self._connection.fetch("SELECT * FROM play_limit WHERE user_id = $1", user_id)
        return PlayPolicy(
            user=user_id,
            changed_at=row["changed_at"],
            version=row["version"],
            acknowledged=row["acknowledged"],
            blocked_until=row["blocked_until"],
            limits={
                (Measure(each["measure"]), Period(each["period"])): PlayLimit(
                    each["amount"], each["set_at"], each["pending"], each["pending_from"]
                )
                for each in limits
            },
        )

    async def session_minutes(self, user_id: UserId) -> int | None:
        """How long somebody's sessions last at most; None when they do not limit it."""
        minutes: Decimal | None = await self._connection.fetchval(
            "SELECT amount FROM play_limit WHERE user_id = $1 AND measure = 'session'", user_id
        )
        return None if minutes is None else int(minutes)

    async def save(self, policy: PlayPolicy) -> None:
        """Write a policy that has moved on, to be told to the ledger."""
        await self._connection.execute(
            """
            INSERT INTO play_policy (user_id, version, blocked_until, changed_at, push_at) VALUES ($1, $2, $3, $4, $4)
            ON CONFLICT (user_id) DO UPDATE SET version = excluded.version, blocked_until = excluded.blocked_until,
                changed_at = excluded.changed_at, push_at = excluded.push_at
            """,
            policy.user,
            policy.version,
            policy.blocked_until,
            policy.changed_at,
        )
        for (measure, period), limit in sorted(policy.limits.items()):
            await self._connection.execute(
                """
                INSERT INTO play_limit (user_id, measure, period, amount, pending, pending_from, set_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (user_id, measure, period) DO UPDATE SET amount = excluded.amount,
                    pending = excluded.pending, pending_from = excluded.pending_from, set_at = excluded.set_at
                """,
                policy.user,
                measure.value,
                period.value,
                limit.amount,
                limit.pending,
                limit.pending_from,
                limit.set_at,
            )

    async def acknowledge(self, user_id: UserId, version: int) -> None:
        """The ledger holds that version. A later one may have come meanwhile."""
        await self._connection.execute(
            """
            UPDATE play_policy SET acknowledged = least($2, version) WHERE user_id = $1 AND acknowledged < least($2, version)
            """,
            user_id,
            version,
        )

    async def lease_unacknowledged(self, *, limit: int, now: datetime, until: datetime) -> Sequence[UserId]:
        """People whose policy the ledger has not acknowledged, each given to one worker until then."""
        rows = await self._connection.fetch(
            """
            UPDATE play_policy SET push_at = $3
            WHERE user_id IN (SELECT user_id FROM play_policy WHERE acknowledged < version AND push_at <= $2
                              ORDER BY push_at LIMIT $1 FOR UPDATE SKIP LOCKED)
            RETURNING user_id
            """,
            limit,
            now,
            until,
        )
        return [UserId(row["user_id"]) for row in rows]

    async def growing(self, *, limit: int, now: datetime) -> Sequence[UserId]:
        """People with a limit whose day to think has passed."""
        rows = await self._connection.fetch(
            "SELECT DISTINCT user_id FROM play_limit WHERE pending_from <= $2 LIMIT $1", limit, now
        )
        return [UserId(row["user_id"]) for row in rows]
