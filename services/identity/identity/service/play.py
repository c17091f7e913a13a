"""Limits and exclusions: changed here, held by the ledger, confirmed when it says so."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from common.errors import Unavailable
from common.idempotency import Answer, once
from common.pg import Connection, transaction
from common.progress import Progress
from prometheus_client import Counter

from identity import events
from identity.domain import play
from identity.domain.people import AccountClosed, UserId
from identity.domain.play import Exclusion, PlayPolicy, Which
from identity.ledger import LedgerPolicies, NotAcknowledged
from identity.service.access import Access
from identity.service.desk import Desk, locked
from identity.sessions import SessionsUnavailable
from identity.store.people import PeopleStore
from identity.store.play import PlayStore

log = logging.getLogger(__name__)

BATCH: Final = 20
LEASE: Final = timedelta(seconds=15)
IDLE_SECONDS: Final = 1.0
LIMIT_WAS_SET: Final = Answer(200, "null")
"""What is kept of a limit that was set. The policy is shown as it is, not as it was."""

PUSHES: Final = Counter(
    "identity_policies_told", "Policies told to the ledger by how it ended.", ("outcome",)
)


class Play:
    """What people allow themselves."""

    def __init__(self, desk: Desk, ledger: LedgerPolicies, access: Access) -> None:
        self._desk = desk
        self._ledger = ledger
        self._access = access

    async def policy(self, user_id: UserId) -> PlayPolicy:
        """One's limits; an empty policy of version 0 if one never set any."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            return await self._known(connection, user_id)

    async def set_limit(
        self, user_id: UserId, which: Which, amount: Decimal | None, *, key: str, fingerprint: bytes
    ) -> PlayPolicy:
        """Another limit, told to the ledger; `confirmed` says whether it holds there already.

        Once per key: the same request again changes nothing, however often and late it comes, and is shown what holds now.
        Raises InvalidLimit, AccountClosed, SessionEnded, KeyReused.
        """
        now = self._desk.clock()
        async with transaction(self._desk.pool) as connection:

            async def work() -> Answer:
                await self._apply(
                    connection, user_id, lambda policy: play.set_limit(policy, which, amount, now=now)
                )
                return LIMIT_WAS_SET

            await once(connection, principal=str(user_id), key=key, fingerprint=fingerprint, work=work)
        return await self.tell(user_id)

    async def exclude(self, user_id: UserId, exclusion: Exclusion) -> PlayPolicy:
        """Neither stakes nor deposits for a while. Raises AlreadyExcluded, AccountClosed, SessionEnded."""
        now = self._desk.clock()
        return await self._change(
            user_id, lambda policy: play.exclude(policy, play.until(exclusion, now), now=now)
        )

    async def block_for_good(self, connection: Connection, user_id: UserId) -> None:
        """Somebody leaves: in the caller's transaction, which holds the lock on their row."""
        policy, now = await self._known(connection, user_id), self._desk.clock()
        if policy.blocked_until != play.FOR_GOOD:
            await self._save(connection, play.exclude(policy, play.FOR_GOOD, now=now), now)

    async def tell(self, user_id: UserId) -> PlayPolicy:
        """Have the ledger and somebody's sessions keep to their policy, and note that. What is not acknowledged is
        told again later."""
        policy = await self.policy(user_id)
        if policy.confirmed:
            return policy
        try:
            held = await self._ledger.hold(policy)
            if policy.session_length is not None:
                await self._access.shorten(user_id, policy.session_length)
        except (NotAcknowledged, SessionsUnavailable) as silence:
            PUSHES.labels("silence").inc()
            log.warning("a policy does not hold yet: %s", silence)
            return policy
        PUSHES.labels("held").inc()
        async with transaction(self._desk.pool) as connection:
            await PlayStore(connection).acknowledge(user_id, held)
        return await self.policy(user_id)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell what was not acknowledged and let grow what has waited, while the block runs."""
        loop = asyncio.create_task(self._run(), name="play policies")
        try:
            yield
        finally:
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    async def step(self) -> int:
        """One round of the loop; gives how many policies it dealt with."""
        now = self._desk.clock()
        async with transaction(self._desk.pool, readonly=True) as connection:
            growing = await PlayStore(connection).growing(limit=BATCH, now=now)
        for user_id in growing:
            await self._change(user_id, lambda policy: play.grow(policy, now=now), closed_too=True)
        async with transaction(self._desk.pool) as connection:
            untold = await PlayStore(connection).lease_unacknowledged(limit=BATCH, now=now, until=now + LEASE)
        for user_id in untold:
            await self.tell(user_id)
        return len(growing) + len(untold)

    async def _run(self) -> None:
        progress = Progress("tell policies", every_seconds=IDLE_SECONDS)
        while True:
            try:
                await self.step()
                progress.done()
            except Unavailable as error:
                log.warning("no policies to be had: %s", error.detail)
            except Exception:
                log.exception("telling policies failed in an unforeseen way")
            await asyncio.sleep(IDLE_SECONDS)

    async def _change(
        self, user_id: UserId, change: Callable[[PlayPolicy], PlayPolicy], *, closed_too: bool = False
    ) -> PlayPolicy:
        async with transaction(self._desk.pool) as connection:
            await self._apply(connection, user_id, change, closed_too=closed_too)
        return await self.tell(user_id)

    async def _apply(
        self,
        connection: Connection,
        user_id: UserId,
        change: Callable[[PlayPolicy], PlayPolicy],
        *,
        closed_too: bool = False,
    ) -> None:
        user = await locked(PeopleStore(connection), user_id)
        if user.closed_at is not None and not closed_too:
            raise AccountClosed("The account is closed.")
        known = await self._known(connection, user_id)
        policy = change(known)
        if policy.version != known.version:
            await self._save(connection, policy, self._desk.clock())

    async def _save(self, connection: Connection, policy: PlayPolicy, now: datetime) -> None:
        store = PlayStore(connection)
        await store.save(policy)
        await store.announce(events.play_changed(policy, event_id=self._desk.new_id(), at=now))

    async def _known(self, connection: Connection, user_id: UserId) -> PlayPolicy:
        known = await PlayStore(connection).policy(user_id)
        return known or PlayPolicy(user_id, self._desk.clock())
