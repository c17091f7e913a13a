"""The loop that all workers run: lease what is due, work on it side by side, sleep when there is nothing.

A step that fails in a way it does not know leaves its lease to end; then it is due again. So no error is
final here, a killed process included.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Generic, TypeVar

from common.errors import Unavailable
from common.progress import Progress
from common.telemetry.traces import span
from prometheus_client import Counter, Gauge

from payments.rail import RailSilent
from payments.store.errors import LeaseLost

Item = TypeVar("Item")

log = logging.getLogger(__name__)

STEPS: Final = Counter("payments_steps", "Steps of the workers by how they ended.", ("worker", "outcome"))
BUSY: Final = Gauge("payments_steps_in_hand", "Steps being worked on.", ("worker",))
TROUBLE_SECONDS: Final = 1.0
"""After the database did not answer."""
DRAIN_SECONDS: Final = 8.0
"""What is in hand may finish when the process is told to stop; then it is left to its lease."""


class Ticker:
    """Does something again and again, every so often. What fails is tried at the next turn."""

    def __init__(self, name: str, turn: Callable[[], Awaitable[object]], *, every_seconds: float) -> None:
        self._name = name
        self._turn = turn
        self._every_seconds = every_seconds
        self._progress = Progress(name, every_seconds=every_seconds)
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tick while the block runs; on leaving it the turn in hand is finished."""
        loop = asyncio.create_task(self._run(), name=f"ticker {self._name}")
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.wait((loop,), timeout=DRAIN_SECONDS)
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._once()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._every_seconds)

    async def _once(self) -> None:
        with span(f"payments {self._name}"):
            try:
                await self._turn()
            except (Unavailable, RailSilent) as error:
                outcome = "unavailable"
                log.info("a turn broke off", extra={"worker": self._name, "reason": str(error)})
            except Exception:
                outcome = "failed"
                log.exception("a turn failed", extra={"worker": self._name})
            else:
                outcome = "done"
                self._progress.done()
            STEPS.labels(self._name, outcome).inc()


class Worker(Generic[Item]):
    """Works on what `lease` hands out, at most `workers` at a time."""

    def __init__(
        self,
        name: str,
        lease: Callable[[int], Awaitable[Sequence[Item]]],
        step: Callable[[Item], Awaitable[None]],
        *,
        workers: int,
        idle_seconds: float,
    ) -> None:
        self._name = name
        self._lease = lease
        self._step = step
        self._workers = workers
        self._idle_seconds = idle_seconds
        self._progress = Progress(name, every_seconds=idle_seconds)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block runs; on leaving it finish what is in hand, within the drain time."""
        loop = asyncio.create_task(self._run(), name=f"worker {self._name}")
        try:
            yield
        finally:
            self._stopping = True
            self._wake.set()
            await asyncio.gather(loop, return_exceptions=True)
            await self._drain()

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            free = self._workers - len(self._in_hand)
            leased = await self._take(free) if free else ()
            for item in leased:
                self._start(item)
            if not leased:
                await self._rest(self._idle_seconds)

    async def _take(self, limit: int) -> Sequence[Item]:
        try:
            leased = await self._lease(limit)
        except Unavailable as error:
            log.warning("no work to be had", extra={"worker": self._name, "reason": error.detail})
        except Exception:
            log.exception("leasing failed", extra={"worker": self._name})
        else:
            self._progress.done()
            return leased
        await self._rest(TROUBLE_SECONDS)
        return ()

    async def _rest(self, seconds: float) -> None:
        """Sleep, unless a place becomes free or the end comes."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _start(self, item: Item) -> None:
        task = asyncio.create_task(self._work(item))
        self._in_hand.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self._wake.set()

    async def _work(self, item: Item) -> None:
        with BUSY.labels(self._name).track_inprogress(), span(f"payments {self._name}"):
            try:
                await self._step(item)
            except LeaseLost as lost:
                outcome = "lost"
                log.info("a lease was lost", extra={"worker": self._name, "reason": str(lost)})
            except Unavailable as error:
                outcome = "unavailable"
                log.warning("a step broke off", extra={"worker": self._name, "reason": error.detail})
            except Exception:
                outcome = "failed"
                log.exception("a step failed", extra={"worker": self._name})
            else:
                outcome = "done"
            STEPS.labels(self._name, outcome).inc()

    async def _drain(self) -> None:
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=DRAIN_SECONDS)
        left = tuple(self._in_hand)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
