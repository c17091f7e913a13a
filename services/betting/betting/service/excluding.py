"""Excluding: who has excluded themselves at identity may not bet, and what they have resting ends. What is matched stands.

The ledger refuses their stakes as well; this is what makes offers end that were held before.
"""

from common.pg import Pool, transaction
from contracts.identity import PlayPolicyChanged

from betting.domain.ids import UserId
from betting.service.suspending import Suspending
from betting.store.people import PeopleStore


class Excluding:
    def __init__(self, pool: Pool, suspending: Suspending) -> None:
        self._pool = pool
        self._suspending = suspending

    async def told(self, policy: PlayPolicyChanged) -> None:
        """Note the exclusion and end the offers. To be told twice, or late, does no harm."""
        async with transaction(self._pool) as conn:
            await PeopleStore(conn).exclude(
                UserId(policy.user_id), policy.excluded_until, changed_at=policy.changed_at
            )
        await self._suspending.keep_step()
