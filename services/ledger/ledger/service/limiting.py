"""Players' policies: set at a sharp edge of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from common.pg import Pool, transaction

from ledger.domain.limits import check_limiting
from ledger.domain.standings import Cap
from ledger.store.books import load_permitted
from ledger.store.limits import set_policy


class Limiting:
    """Makes policies hold."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def set(
        self,
        ledger: int,
        principal: str,
        player: str,
        version: int,
        blocked_until: datetime | None,
        caps: Sequence[Cap],
    ) -> int:
        """The version that holds now: this one, or a newer one. Raises MayNotLimit, DatabaseUnavailable."""
        async with transaction(self._pool) as connection:
            check_limiting((await load_permitted(connection, ledger)).get(principal, frozenset()))
            return await set_policy(connection, ledger, principal, player, version, blocked_until, caps)
