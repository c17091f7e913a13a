"""Codes: sent, and shown to be right; and the loop that brings messages to people."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from common.errors import Unavailable
from common.pg import Connection, transaction
from common.progress import Progress
from common.rate_limits import Charge, RateLimit, RateLimiter
from prometheus_client import Counter

from identity.derived import MasterKey
from identity.domain.codes import (
    CARRIES,
    MessageKind,
    OutboundMessage,
    Purpose,
    WrongCode,
    is_right,
    new_verification,
)
from identity.domain.people import User, UserId, account_name
from identity.messengers import Messenger, NotSent, letter
from identity.service.desk import Desk
from identity.store.messages import MessageStore

log = logging.getLogger(__name__)

BATCH: Final = 10
LEASE: Final = timedelta(seconds=60)
IDLE_SECONDS: Final = 0.5
MOST_SENDINGS: Final = 10
"""Then a message is given up: its code has long expired."""

MESSAGES: Final = Counter(
    "identity_messages", "Messages to people by how sending them ended.", ("kind", "outcome")
)


@dataclass(frozen=True, slots=True)
class Codes:
    """What sends codes and checks them, each inside its caller's transaction."""

    desk: Desk
    master: MasterKey
    limiter: RateLimiter
    sendings: RateLimit
    """The codes sent to one address, whether somebody has it or not."""

    async def admit(self, *whom: str) -> None:
        """Count a code that is asked for, by who asks for it, or where it goes. Raises RateLimited, LimiterUnavailable."""
        await self.limiter.admit(*(Charge(self.sendings, account_name(each)) for each in whom))

    async def send(self, connection: Connection, purpose: Purpose, email: str, user: User | None) -> None:
        """Send a code to whoever has that address. For nobody the same rows are written, and nothing is sent."""
        store, now = MessageStore(connection), self.desk.clock()
        verification = new_verification(
            purpose,
            account_name(email),
            None if user is None else user.id,
            verification_id=self.desk.new_id(),
            now=now,
        )
        await store.add_verification(verification)
        recipient = None if user is None else user.email.value
        message = OutboundMessage(self.desk.new_id(), CARRIES[purpose], recipient, verification.id, now)
        await store.add_message(message)

    async def tell(self, connection: Connection, kind: MessageKind, recipient: str) -> None:
        """Tell somebody what has happened."""
        message = OutboundMessage(self.desk.new_id(), kind, recipient, None, self.desk.clock())
        await MessageStore(connection).add_message(message)

    async def check(self, email: str, purpose: Purpose, told: str) -> UUID:
        """The verification of an address whose code was told; a wrong attempt is counted for good. Raises WrongCode.

        The same is done whether anybody has the address: how long it takes tells nothing.
        """
        async with transaction(self.desk.pool) as connection:
            store = MessageStore(connection)
            found = await store.latest_for_update(account_name(email), purpose)
            if found is not None:
                if is_right(found, told, self.master.code(found.id), now=self.desk.clock()):
                    return found.id
                await store.count_attempt(found)
        raise WrongCode

    async def spend(
        self, connection: Connection, email: str, user_id: UserId, purpose: Purpose, verification_id: UUID
    ) -> None:
        """Use a code that was checked, together with what it is used for. Raises WrongCode if it has been used, or ran out
        since."""
        store = MessageStore(connection)
        found = await store.latest_for_update(account_name(email), purpose)
        now = self.desk.clock()
        if found is None or (found.id, found.user) != (verification_id, user_id) or now >= found.expires_at:
            raise WrongCode
        await store.use(found.id, at=now)


class Sender:
    """Brings messages out. Each is sent at least once; twice only if we die between sending and noting it."""

    def __init__(self, desk: Desk, master: MasterKey, messenger: Messenger) -> None:
        self._desk = desk
        self._master = master
        self._messenger = messenger

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while the block runs."""
        loop = asyncio.create_task(self._run(), name="message sender")
        try:
            yield
        finally:
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    async def send_due(self) -> int:
        """Send what is due; gives how many messages there were."""
        now = self._desk.clock()
        async with transaction(self._desk.pool) as connection:
            leased = await MessageStore(connection).lease(limit=BATCH, now=now, until=now + LEASE)
        for message in leased:
            await self._send(message)
        return len(leased)

    async def _run(self) -> None:
        progress = Progress("send messages", every_seconds=IDLE_SECONDS)
        while True:
            try:
                sent = await self.send_due()
                progress.done()
                if sent:
                    continue
            except Unavailable as error:
                log.warning("no messages to be had: %s", error.detail)
            except Exception:
                log.exception("sending failed in an unforeseen way")
            await asyncio.sleep(IDLE_SECONDS)

    async def _send(self, message: OutboundMessage) -> None:
        code = "" if message.verification is None else self._master.code(message.verification)
        try:
            await self._messenger.send(letter(message.recipient or "", message.kind, code))
        except NotSent:
            MESSAGES.labels(message.kind, "not-sent").inc()
            log.warning("a message was not sent", extra={"kind": message.kind, "attempts": message.attempts})
            if message.attempts < MOST_SENDINGS:
                return  # due again when the lease ends
            async with transaction(self._desk.pool) as connection:
                await MessageStore(connection).give_up(message.id, at=self._desk.clock())
            return
        MESSAGES.labels(message.kind, "sent").inc()
        async with transaction(self._desk.pool) as connection:
            await MessageStore(connection).sent(message.id, at=self._desk.clock())
