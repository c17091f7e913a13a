"""Carrying: claim shards, send their oldest rows, delete what the broker confirmed, commit.

The one place where a network call is made inside a transaction, on purpose. The lock on the shard is
what keeps a second relay from sending the same shard's rows out of turn, so it must be held until the
broker has answered. The server ends a transaction that idles for seven seconds: a frozen relay loses
its shards, and when it thaws it can only repeat rows that another has delivered, never reorder them.

If the relay dies after a confirmation and before the commit, the rows are sent again. Consumers
recognise them by their event id; here they are counted by a mark that is left before sending.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeAlias

from common.broker import NotTaken, Unclear, Unconfirmed
from common.pg import Connection, Pool, transaction

from relay import metrics, store
from relay.domain import SHARDS, Carried, Row, not_behind, sent_before
from relay.tracing import Tracing
from relay.transports.interface import Transport

BATCH: Final = 200
"""Rows a transaction carries at most, so a kill repeats at most that many for each lane."""
SHARDS_AT_ONCE: Final = 8
"""Half of them, so that two lanes or two relays find something each."""
FENCE_SECONDS: Final = 7.0
"""How long a relay may hold shards. Longer than the longest wait for confirmations, and short enough that a
frozen relay is replaced within ten seconds."""
CAREFUL_SECONDS: Final = 2.0
"""Time to begin sending one by one; with the last one's wait still below the fence."""
STUCK_SECONDS: Final = 1.0
"""How long a shard rests in which the broker refuses a row."""

Answer: TypeAlias = tuple[Row, NotTaken | None]

log = logging.getLogger(__name__)


class Stuck:
    """Shards in which the broker refused a row, or ended the channel over one.

    They are visited once a second and carefully: one row after the other, nothing behind a refused row
    of the same aggregate. Only the batch in which the refusal first shows is already on its way.
    """

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def resting(self) -> list[int]:
        """Shards to leave alone for now."""
        now = time.monotonic()
        return [shard for shard, until in self._until.items() if until > now]

    def __contains__(self, shard: object) -> bool:
        return shard in self._until

    def note(self, rows: Sequence[Row], answers: Sequence[Answer]) -> None:
        """Remember what a visit that found these rows showed. A shard that it did not get through stays what it was."""
        left = Counter(row.shard for row in rows)
        for row, refusal in answers:
            left[row.shard] -= refusal is None
            if _is_refused(refusal) or isinstance(refusal, Unclear):
                self._until[row.shard] = time.monotonic() + STUCK_SECONDS
        for shard, rest in left.items():
            if rest == 0:
                self._until.pop(shard, None)
        metrics.STUCK_SHARDS.set(len(self._until))


class Carrier:
    """Carries batches from one outbox over one transport. Several may work side by side."""

    def __init__(self, pool: Pool, transport: Transport, stuck: Stuck) -> None:
        self._pool = pool
        self._transport = transport
        self._stuck = stuck
        self._tracing = Tracing()
        self._idle = False
        self._first = random.randrange(SHARDS)  # noqa: S311 - to spread, not to hide

    async def carry(self) -> Carried:
        """Carry one batch. All zeros when nothing waits that nobody else holds.

        Raises `DatabaseUnavailable` or `BrokerUnavailable`; what was confirmed before is deleted or
        will be sent again.
        """
        await self._transport.ready()  # before the claim: without a broker nobody should hold shards
        if self._idle and not await store.waits(
            self._pool
        ):  # a third of what a transaction costs that finds nothing
            return Carried()
        async with transaction(self._pool) as conn:
            shards = await self._claim(conn)
            self._idle = not shards
            if self._idle:
                return Carried()
            per_shard = BATCH // len(shards)
            rows = await store.oldest(conn, shards, per_shard=per_shard)
            careful = any(shard in self._stuck for shard in shards)
            repeated = await self._marked(rows, careful=careful)
            answers = await (self._send_carefully(rows) if careful else self._send(rows))
            delivered = [row for row, refusal in answers if refusal is None]
            await store.delete(conn, delivered)
        metrics.SENT_AGAIN.inc(sum(row.id in repeated for row in delivered))
        self._stuck.note(rows, answers)
        return _counted(answers, more=_filled(rows, per_shard))

    async def _marked(self, rows: Sequence[Row], *, careful: bool) -> set[int]:
        """Leave the mark that we send these. Returns the ids of those that somebody has sent before."""
        until = {row.shard: row.id for row in rows}
        before = await store.mark_sent(self._pool, until)
        # In a shard known to be stuck the mark only tells that the broker refused; that is no duplicate.
        return set() if careful else sent_before(rows, before)

    async def _claim(self, conn: Connection) -> list[int]:
        """The next shards after those of the last batch, so that each has its turn."""
        shards = await store.claim(
            conn,
            at_most=SHARDS_AT_ONCE,
            first=self._first,
            without=self._stuck.resting(),
        )
        if shards:
            self._first = (shards[-1] + 1) % SHARDS
        return shards

    async def _send(self, rows: Sequence[Row]) -> list[Answer]:
        with metrics.CONFIRM_SECONDS.time(), self._tracing.sending(rows) as traced:
            return list(zip(rows, await self._transport.send(traced), strict=True))

    async def _send_carefully(self, rows: Sequence[Row]) -> list[Answer]:
        """One by one, for as long as there is time, until the broker falls silent."""
        deadline = time.monotonic() + CAREFUL_SECONDS
        answers: list[Answer] = []
        stuck: frozenset[str] = frozenset()
        waiting = list(rows)
        while waiting and time.monotonic() < deadline:
            row = waiting.pop(0)
            (answered,) = await self._send([row])
            answers.append(answered)
            if isinstance(answered[1], Unconfirmed):
                break
            if answered[1] is not None:
                stuck |= {row.aggregate}
                waiting = not_behind(stuck, waiting)
        return answers


def _filled(rows: Sequence[Row], per_shard: int) -> bool:
    """Whether there was a shard with as many rows as were taken of one, so that it may have more."""
    return bool(rows) and max(Counter(row.shard for row in rows).values()) >= per_shard


def _is_refused(refusal: NotTaken | None) -> bool:
    """The broker said no; silence is something else."""
    return refusal is not None and not isinstance(refusal, Unconfirmed)


def _counted(answers: Sequence[Answer], *, more: bool) -> Carried:
    refusals = [(row, refusal) for row, refusal in answers if refusal is not None]
    refused = [(row, refusal) for row, refusal in refusals if _is_refused(refusal)]
    for row, refusal in refused:
        log.error(
            "the broker refuses a row; it stays: %s",
            refusal,
            extra={"event_id": str(row.event_id), "aggregate": row.aggregate, "row": row.id},
        )
        metrics.REFUSED.labels(type(refusal).__name__.lower()).inc()
    carried = Carried(
        delivered=len(answers) - len(refusals),
        refused=len(refused),
        unconfirmed=len(refusals) - len(refused),
        more=more,
    )
    metrics.PUBLISHED.inc(carried.delivered)
    metrics.UNCONFIRMED.inc(carried.unconfirmed)
    return carried
