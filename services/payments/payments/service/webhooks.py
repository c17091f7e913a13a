"""Webhooks: kept as they came if they are signed, and applied by fetching what they name.

A webhook is a hint. It may be late, lost, repeated, reordered or a lie, and none of that changes what is booked:
what counts is the object as it is fetched when the hint is worked on.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from common import pg
from prometheus_client import Counter
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from payments.domain.cards import Told
from payments.domain.refusals import BadWebhook
from payments.psp import CardProvider, read_hint
from payments.rail import RailSilent
from payments.service import card_effects
from payments.service.cards import Cards
from payments.service.disputes import OURS, Disputes
from payments.service.pace import Clock, Pace
from payments.store.history import remember
from payments.store.webhooks import Hint, WebhookStore

log = logging.getLogger(__name__)

RECEIVED: Final = Counter("payments_webhooks", "Webhooks by what became of them at the door.", ("outcome",))
MOST_TRIES: Final = 8
"""After so many looks at an object that the provider does not know, its webhook is put aside."""


Verifiers = Sequence[Webhook]


def read_secrets(text: str) -> Verifiers:
    """What verifies, by the secrets of a file, one a line. Raises `ValueError` for one that is none, or none at all."""
    verifiers = tuple(Webhook(secret) for secret in text.split())
    if not verifiers:
        raise ValueError("a door without a secret lets nobody in")
    return verifiers


@dataclass(frozen=True, slots=True)
class Signed:
    """A webhook's signed headers, by their standard names."""

    id: str
    timestamp: str
    signature: str


class Door:
    """Takes webhooks in. Two secrets may be live at once, so that one can be replaced without a gap."""

    def __init__(self, pool: pg.Pool, source: str, verifiers: Callable[[], Verifiers]) -> None:
        """`verifiers` are asked for at each webhook: they change while we run."""
        self._pool = pool
        self._source = source
        self._verifiers = verifiers

    async def receive(self, signed: Signed, raw: bytes) -> bool:
        """Keep a webhook; False when it came before. Raises `BadWebhook`."""
        if not self._verified(signed, raw):
            RECEIVED.labels("refused").inc()
            raise BadWebhook("no live secret has signed this", field="webhook-signature")
        sent_at = datetime.fromtimestamp(int(signed.timestamp), UTC)
        async with pg.transaction(self._pool) as conn:
            new = await WebhookStore(conn).add(self._source, signed.id, sent_at, raw, read_hint(raw))
        RECEIVED.labels("new" if new else "repeated").inc()
        return new

    def _verified(self, signed: Signed, raw: bytes) -> bool:
        headers = {
            "webhook-id": signed.id,
            "webhook-timestamp": signed.timestamp,
            "webhook-signature": signed.signature,
        }
        return any(_verifies(each, raw, headers) for each in self._verifiers())


def _verifies(verifier: Webhook, raw: bytes, headers: Mapping[str, str]) -> bool:
    """The library lets errors of malformed input through (ValueError and its kin); those verify nothing."""
    try:
        verifier.verify(raw, dict(headers))
    except (WebhookVerificationError, ValueError):
        return False
    return True


class Hints:
    """Works on the webhooks that were kept."""

    def __init__(
        self,
        pool: pg.Pool,
        provider: CardProvider,
        cards: Cards,
        disputes: Disputes,
        *,
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._provider = provider
        self._cards = cards
        self._disputes = disputes
        self._pace = pace
        self._clock = clock

    async def lease(self, limit: int) -> Sequence[Hint]:
        """Webhooks that are due, ours until the lease ends."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            return await WebhookStore(conn).lease_due(now, self._pace.lease_end(now), limit)

    async def apply(self, hint: Hint) -> None:
        """Fetch what it names and apply that. Raises `LeaseLost`."""
        if hint.object_id is None:
            await self._end(hint, "IGNORED", "names no object")
            return
        try:
            told = await self._provider.fetch(hint.object_id)
        except RailSilent as silence:
            await self._later(hint, str(silence))
            return
        if told is None:
            if hint.tries >= MOST_TRIES:
                await self._end(hint, "IGNORED", "the provider knows no such object")
            else:
                await self._later(hint, "not found")
            return
        if told.act in OURS:
            await self._hear(told)
        else:
            await self._disputes.hear(told, by="webhook")
        await self._end(hint, "APPLIED", f"{told.act} {told.standing}")

    async def _hear(self, told: Told) -> None:
        operation_id = card_effects.operation_id_of(told)
        if operation_id is None or not await self._cards.hear(told, operation_id):
            async with pg.transaction(self._pool) as conn:
                await card_effects.about_nobody(conn, told, self._clock())

    async def _end(self, hint: Hint, state: str, outcome: str) -> None:
        async with pg.transaction(self._pool) as conn:
            await WebhookStore(conn).save(hint, state, outcome, None)
            if hint.object_id is not None and state == "IGNORED":
                await remember(conn, "card", card_effects.NOBODY, state, outcome, {"object": hint.object_id})

    async def _later(self, hint: Hint, outcome: str) -> None:
        due_at = self._pace.next_try(self._clock(), hint.tries)
        async with pg.transaction(self._pool) as conn:
            await WebhookStore(conn).save(hint, "RECEIVED", outcome[:200], due_at)
