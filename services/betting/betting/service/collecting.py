"""Collecting: what a corrected result took back and the player had not got is a debt in the ledger, and is repaid out of
whatever comes to the player later: winnings, stakes that go back, deposits.

Who owes is heard from the ledger. Whether there is something to repay with is asked of the ledger, again and again: no
order of events has to be right for that, and nothing is missed. A repayment's key is made of what both accounts had seen,
so the same look cannot repay twice, and one that was refused (the money was gone again) is no obstacle to the next.
"""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from common.client import RemoteProblem
from common.errors import Unavailable
from common.money import Money
from common.pg import Pool, transaction
from contracts.ledger import EntryCommitted
from prometheus_client import Counter

from betting.domain.ids import UserId
from betting.ledger import Purses
from betting.service.calls import Clock, now_utc
from betting.store.people import Debt, PeopleStore

EVERY = timedelta(seconds=5)
"""Between two looks at the same debtor."""
PLAYERS = "players/"
DEBT = "/debt"

_repaid = Counter("betting_debts_repaid_total", "Repayments of debts that the ledger has booked.")
log = logging.getLogger(__name__)


class Collecting:
    def __init__(self, pool: Pool, purses: Purses, *, clock: Clock = now_utc) -> None:
        self._pool = pool
        self._purses = purses
        self._clock = clock

    async def heard(self, entry: EntryCommitted) -> None:
        """Note what players owe after an entry. To hear it twice, or late, does no harm."""
        debts = list(_debts(entry))
        if debts:
            async with transaction(self._pool) as conn:
                await PeopleStore(conn).owe(debts)

    async def collect(self, *, limit: int = 32) -> int:
        """Repay what can be. How many debtors were looked at."""
        now = self._clock()
        async with transaction(self._pool) as conn:
            debts = await PeopleStore(conn).debtors(now=now, tried_before=now - EVERY, limit=limit)
        await asyncio.gather(*map(self._repay, debts))
        return len(debts)

    async def _repay(self, debt: Debt) -> None:
        try:
            purse = await self._purses.available(debt.user_id, debt.currency)
            amount = min(debt.owed, purse.amount)
            if amount > 0:
                await self._purses.repay(debt, amount, seen=purse.sequence)
                _repaid.inc()
        except RemoteProblem as refusal:
            log.info("a debt is not repaid now", extra={"player": debt.user_id, "why": refusal.slug})
        except Unavailable as silence:
            log.info("a debt is not repaid now", extra={"player": debt.user_id, "why": silence.detail})


def _debts(entry: EntryCommitted) -> Iterator[Debt]:
    for leg in entry.postings:
        if leg.account.startswith(PLAYERS) and leg.account.endswith(DEBT):
            player = UserId(UUID(leg.account.removeprefix(PLAYERS).removesuffix(DEBT)))
            owed = Money.parse(leg.balance, leg.currency).minor
            yield Debt(player, leg.currency, owed, leg.account_sequence)
