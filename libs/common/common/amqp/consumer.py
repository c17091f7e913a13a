"""A consumer that never stops quietly: one queue, order per partition key, every ending decided.

What can go wrong, and what is done about it:

- The broker restarts, the link breaks, the broker cancels the consumer (its queue was deleted or
  moved): the session ends and another begins, after a back-off. A watchdog asks every few seconds,
  because a half-open link and a forgotten consumer announce themselves in no other way.
- The handler fails: `RetryPolicy` decides. A retry is published to a retry queue **with confirm and
  only then acknowledged**; a crash in between makes a duplicate, never a loss.
- A message was handled but its acknowledgement is lost: it comes again, and the inbox (or the
  ledger's entry id) recognises it.
- A retried message overtakes nothing and is overtaken by its successors: consumers compare the
  envelope's `sequence` with what they have already seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from opentelemetry.trace import SpanKind

from common.amqp import metrics
from common.amqp.delivery import Dead, Delivery, Envelope, Retry, RetryPolicy, Verdict
from common.amqp.forward import attempt_of, forwarded
from common.amqp.lanes import Lanes
from common.amqp.link import RPC_TIMEOUT_SECONDS, Link, broker_errors, close_channel
from common.amqp.names import dead_queue
from common.amqp.publisher import Publisher
from common.brief import in_brief
from common.broker import BrokerUnavailable, NotTaken, Rejected, Unroutable
from common.forgetting import OLDEST_EVENT
from common.telemetry.traces import span

Handler = Callable[[Delivery], Awaitable[None]]

WATCH_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 1.0
"""Before a message that no queue took is offered again, or given back when there is no queue for it."""
BACKOFF_SECONDS: Final = (0.2, 5.0)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Received:
    message: AbstractIncomingMessage
    channel: AbstractChannel
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class _Subscription:
    """The broker's promise to deliver; `over` is set when it or the channel ends."""

    queue: AbstractQueue  # held here: without a reference aio-pika may lose the consumer
    tag: str
    over: asyncio.Event

    async def check(self) -> None:
        """Note what waits. Raises `BrokerUnavailable` unless the broker answers and still delivers."""
        if self.over.is_set():
            raise BrokerUnavailable("the broker ended the subscription")
        with broker_errors():
            declared = await self.queue.declare(timeout=RPC_TIMEOUT_SECONDS)  # passive: it only asks
        metrics.WAITING.labels(self.queue.name).set(declared.message_count or 0)
        if not declared.consumer_count:
            raise BrokerUnavailable("the broker knows of no consumer")


class Consumer:
    """Consumes one queue until stopped.

    `parse` reads the wire form (`contracts.envelope.Envelope.model_validate_json`). `prefetch` bounds what
    is in hand; a crash counts as a delivery of all of it, so keep it small (20 to 50) unless the
    handler is known to be quick and the work wants batches. `concurrency` bounds the handlers at
    work. With `ordered=False` order is given up even within a key, for commands that commute. What is older
    than `oldest` goes to the dead letters, because the inbox may have forgotten it; None is for a consumer that
    never forgets.
    """

    def __init__(
        self,
        link: Link,
        queue: str,
        handler: Handler,
        *,
        parse: Callable[[bytes], Envelope],
        prefetch: int = 32,
        concurrency: int = 8,
        ordered: bool = True,
        retries: RetryPolicy | None = None,
        handler_timeout_seconds: float = 30.0,
        drain_seconds: float = 10.0,
        oldest: timedelta | None = OLDEST_EVENT,
    ) -> None:
        self.queue = queue
        self._link = link
        self._handler = handler
        self._parse = parse
        self._prefetch = prefetch
        self._ordered = ordered
        self._retries = retries if retries is not None else RetryPolicy()
        self._handler_timeout_seconds = handler_timeout_seconds
        self._drain_seconds = drain_seconds
        self._oldest = oldest
        self._lanes: Lanes[_Received] = Lanes(self._work, concurrency=concurrency)
        self._publisher = Publisher(link)
        self._stopping = asyncio.Event()
        self._consuming = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Consume while the block runs; on leaving it finish what is in hand, within the drain time.

        Entering does not wait for the broker: `check` tells when it delivers.
        """
        supervised = asyncio.create_task(self._run(), name=f"consume {self.queue}")
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.gather(supervised, return_exceptions=True)
            await self._lanes.join(self._drain_seconds)
            await self._publisher.close()

    async def check(self) -> None:
        """A readiness probe. Raises `BrokerUnavailable` unless the broker delivers to this consumer."""
        if not self._consuming:
            raise BrokerUnavailable(f"not consuming {self.queue}")

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._session()
            except BrokerUnavailable as error:
                # Said when it begins; a long outage then shows in `amqp_consuming`, not in a line per attempt.
                level = logging.DEBUG if failures else logging.WARNING
                log.log(level, "consuming %s was interrupted: %s", self.queue, error.detail)
            except Exception:
                log.exception("consuming %s failed", self.queue)
            failures = 0 if time.monotonic() - began > BACKOFF_SECONDS[1] else failures + 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _backoff(failures))

    async def _session(self) -> None:
        """Consume on one channel until it breaks or we are told to stop."""
        channel = await self._link.channel(confirms=False)
        try:
            subscription = await self._subscribe(channel)
            metrics.SESSIONS.labels(self.queue).inc()
            with self._shown_as_consuming():
                await self._watch(subscription)
            await self._drain(subscription)
        finally:
            await close_channel(channel)

    async def _subscribe(self, channel: AbstractChannel) -> _Subscription:
        over = asyncio.Event()

        async def receive(message: AbstractIncomingMessage) -> None:
            await self._receive(channel, message)

        def end(*_: object) -> None:
            over.set()

        with broker_errors():
            async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
                (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(end)
                channel.close_callbacks.add(end)
                await channel.set_qos(prefetch_count=self._prefetch)
                queue = await channel.get_queue(self.queue, ensure=True)  # fails if nobody declared it
                return _Subscription(queue, await queue.consume(receive), over)

    async def _watch(self, subscription: _Subscription) -> None:
        """Return when told to stop. Raises `BrokerUnavailable` when the consumer is gone."""
        stopping = asyncio.create_task(self._stopping.wait())
        over = asyncio.create_task(subscription.over.wait())
        try:
            while not stopping.done():
                await asyncio.wait(
                    (stopping, over), timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                await subscription.check()
                await self._count_dead()
        finally:
            stopping.cancel()
            over.cancel()

    async def _count_dead(self) -> None:
        """By asking, for the broker itself puts away what has taken its consumer down. On a channel of its own, which a
        missing queue would end."""
        with contextlib.suppress(BrokerUnavailable):
            channel = await self._link.channel(confirms=False)
            try:
                with broker_errors():
                    async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
                        dead = await channel.get_queue(dead_queue(self.queue), ensure=True)
                metrics.DEAD_LETTERS.labels(self.queue).set(dead.declaration_result.message_count or 0)
            finally:
                await close_channel(channel)

    async def _drain(self, subscription: _Subscription) -> None:
        """Take no more, and finish what is in hand. What is not finished in time goes back."""
        with contextlib.suppress(BrokerUnavailable), broker_errors():
            await subscription.queue.cancel(subscription.tag, timeout=RPC_TIMEOUT_SECONDS)
        if not await self._lanes.join(self._drain_seconds):
            log.warning("stopped consuming %s with messages unfinished; they go back", self.queue)

    @contextlib.contextmanager
    def _shown_as_consuming(self) -> Iterator[None]:
        self._consuming = True
        metrics.CONSUMING.labels(self.queue).set(1)
        try:
            yield
        finally:
            self._consuming = False
            metrics.CONSUMING.labels(self.queue).set(0)

    async def _receive(self, channel: AbstractChannel, message: AbstractIncomingMessage) -> None:
        """Put a message into its lane. Nothing may wait before that, or messages change places."""
        try:
            envelope = self._parse(message.body)
        except ValueError as error:  # pydantic's ValidationError is one
            log.error("%s: a message is not an envelope: %s", self.queue, in_brief(error))
            await self._settle(message, Dead(f"not an envelope: {in_brief(error)}"))
            return
        if self._oldest is not None and envelope.time < datetime.now(UTC) - self._oldest:
            log.error("%s: %s of %s is too old to be handled", self.queue, envelope.id, envelope.time)
            await self._settle(
                message, Dead(f"older than {self._oldest.days} days: it may have been handled")
            )
            return
        redelivered = bool(message.redelivered)
        delivery = Delivery(
            self.queue, envelope, message.body, attempt_of(message), redelivered, _trace(message, envelope)
        )
        key = envelope.partitionkey if self._ordered else str(message.delivery_tag)
        metrics.IN_HAND.labels(self.queue).inc()
        self._lanes.put(key, _Received(message, channel, delivery))

    async def _work(self, received: _Received) -> None:
        try:
            if not received.channel.is_closed:  # else it is the broker's again, and comes back
                await self._settle(received.message, await self._handle(received.delivery))
        finally:
            metrics.IN_HAND.labels(self.queue).dec()

    async def _handle(self, delivery: Delivery) -> Verdict | None:
        """Run the handler within its time. None is success."""
        with metrics.HANDLING_SECONDS.labels(self.queue).time():
            try:
                with span(f"{self.queue} process", parent=delivery.trace, kind=SpanKind.CONSUMER):
                    async with asyncio.timeout(self._handler_timeout_seconds):
                        await self._handler(delivery)
            except Exception as error:  # noqa: BLE001 - whatever it is, the message needs a verdict
                verdict = self._retries.verdict(error, delivery.attempt)
                self._report(delivery, verdict, error)
                return verdict
        return None

    def _report(self, delivery: Delivery, verdict: Verdict, error: Exception) -> None:
        level = logging.ERROR if isinstance(verdict, Dead) else logging.INFO
        log.log(
            level,
            "%s: %s %s ended at attempt %d in %s",
            self.queue,
            delivery.envelope.type,
            delivery.envelope.id,
            delivery.attempt,
            verdict,
            exc_info=error if level == logging.ERROR else None,
        )

    async def _settle(self, message: AbstractIncomingMessage, verdict: Verdict | None) -> None:
        """Acknowledge, once a message that was not handled is safe elsewhere."""
        try:
            if verdict is not None:
                await self._put_away(message, verdict)
            with broker_errors():
                await message.ack()
        except BrokerUnavailable as error:
            log.info("%s: could not settle a message, it comes again: %s", self.queue, error.detail)
            self._count("left")
        except NotTaken as error:
            log.error("%s: could not put a message away, it comes again: %s", self.queue, error)
            self._count("left")
            await asyncio.sleep(PATIENCE_SECONDS)
            with contextlib.suppress(BrokerUnavailable), broker_errors():
                await message.nack(requeue=True)
        else:
            self._count(_OUTCOMES[type(verdict)])

    async def _put_away(self, message: AbstractIncomingMessage, verdict: Verdict) -> None:
        """Publish it where it belongs, however long the broker takes none (an alarm, a leader that changes).

        It is held meanwhile: giving it back would count as a delivery, and after five of those the broker itself
        puts a message away that nothing is wrong with.
        Raises `BrokerUnavailable` when it is the broker's again, `NotTaken` when there is no such place.
        """
        while True:
            try:
                return await self._publisher.publish(forwarded(self.queue, message, verdict))
            except (Unroutable, Rejected):
                raise
            except (NotTaken, BrokerUnavailable) as error:
                log.info("%s: could not put a message away yet: %s", self.queue, error)
                metrics.HELD.labels(self.queue).inc()
                await asyncio.sleep(PATIENCE_SECONDS)
                if message.channel.is_closed:
                    raise BrokerUnavailable("the channel that it came on has ended") from error

    def _count(self, outcome: str) -> None:
        metrics.HANDLED.labels(self.queue, outcome).inc()


_OUTCOMES: Final[Mapping[type[object], str]] = {type(None): "done", Retry: "retried", Dead: "dead"}


def _trace(message: AbstractIncomingMessage, envelope: Envelope) -> Mapping[str, str]:
    """Whose work this goes on with: of who sent the message on its last way, else of who made the event."""
    parent = message.headers.get("traceparent") or envelope.traceparent
    return {"traceparent": parent} if isinstance(parent, str) else {}


def _backoff(failures: int) -> float:
    """Seconds to wait: doubling from a fifth of a second to five, with jitter so that a fleet spreads."""
    shortest, longest = BACKOFF_SECONDS
    return random.uniform(0.5, 1.0) * min(longest, shortest * 2.0 ** min(failures, 10))  # noqa: S311
