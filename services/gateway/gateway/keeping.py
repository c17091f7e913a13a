"""What identity has told, kept for a moment: asked once for all who want it, and asked again ahead of time.

What is kept serves until its end and never longer. Some while before that whoever uses it has it asked for anew, and does
not wait: identity gives way to every other service (docs/adr/0060), so on a busy machine its answer takes as long as a
person's whole request may. When exactly is drawn by lot, so that all who came at once do not ask at once again.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from common.errors import Unavailable

Name = TypeVar("Name", bound=Hashable)
Told = TypeVar("Told")

RENEWED_FROM: Final = (0.5, 0.8)
"""The share of its time after which something is asked for anew, drawn from between these."""


@dataclass(frozen=True, slots=True)
class Fresh(Generic[Told]):
    """An answer, and for how many seconds from when it was asked for it may be used."""

    told: Told
    good_for_seconds: float


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Told]):
    """An answer, with moments on the clock."""

    told: Told
    renew_from: float
    use_until: float


def _always(_name: object, _told: object) -> bool:
    return True


def _nothing(_name: object, _told: object) -> None:
    return None


class Keeping(Generic[Name, Told]):
    """Answers by name."""

    def __init__(
        self,
        *,
        capacity: int,
        clock: Callable[[], float] = monotonic,
        may_keep: Callable[[Name, Told], bool] = _always,
        dropped: Callable[[Name, Told], None] = _nothing,
    ) -> None:
        """At most `capacity` are kept, the least recently used goes first. `may_keep` is asked before one is kept and
        `dropped` is told of each that is not kept any more."""
        self._capacity = capacity
        self._clock = clock
        self._may_keep = may_keep
        self._dropped = dropped
        self._kept: OrderedDict[Name, _Kept[Told]] = OrderedDict()
        self._asking: dict[Name, asyncio.Task[Fresh[Told]]] = {}
        self._remembers = True

    async def get(self, name: Name, ask: Callable[[], Coroutine[Any, Any, Fresh[Told]]]) -> Told:
        """What is kept under the name, or what `ask` brings. Raises what `ask` raises, if that had to be waited for."""
        kept, now = self._kept.get(name), self._clock()
        if kept is None or now >= kept.use_until:
            return (await asyncio.shield(self._ask(name, ask))).told
        self._kept.move_to_end(name)
        if now >= kept.renew_from:
            self._ask(name, ask)
        return kept.told

    def keeps(self, name: Name) -> bool:
        """Whether it is answered without asking."""
        kept = self._kept.get(name)
        return kept is not None and self._clock() < kept.use_until

    def names(self) -> set[Name]:
        """Of all that is kept or being asked for."""
        return {*self._kept, *self._asking}

    def forget(self, name: Name) -> None:
        """Drop one. If it is being asked for just now, the answer is for those who wait for it and is not kept."""
        self._asking.pop(name, None)
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._dropped(name, kept.told)

    def remember(self, yes: bool) -> None:
        """Whether anything is kept at all."""
        self._remembers = yes
        if not yes:
            for name in self.names():
                self.forget(name)

    def _ask(
        self, name: Name, ask: Callable[[], Coroutine[Any, Any, Fresh[Told]]]
    ) -> asyncio.Task[Fresh[Told]]:
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.create_task(ask())
            asking.add_done_callback(partial(self._asked, name, self._clock()))
        return asking

    def _asked(self, name: Name, asked_at: float, done: asyncio.Task[Fresh[Told]]) -> None:
        refusal = None if done.cancelled() else done.exception()
        if self._asking.get(name) is not done:
            return  # forgotten meanwhile
        del self._asking[name]
        if done.cancelled() or isinstance(refusal, Unavailable):
            return  # what is kept is good until its end
        self.forget(name)
        if refusal is None:
            self._keep(name, asked_at, done.result())

    def _keep(self, name: Name, asked_at: float, fresh: Fresh[Told]) -> None:
        if not self._remembers or not self._may_keep(name, fresh.told):
            return
        waits = random.uniform(*RENEWED_FROM)  # noqa: S311 - no secret
        seconds = fresh.good_for_seconds
        self._kept[name] = _Kept(fresh.told, asked_at + waits * seconds, asked_at + seconds)
        if len(self._kept) > self._capacity:
            self.forget(next(iter(self._kept)))
