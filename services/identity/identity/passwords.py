"""Password hashing that cannot starve the process: a few workers, a bounded queue, one cost for everybody."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError
from common.errors import Unavailable
from prometheus_client import Gauge, Histogram
from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]  # ships no types

from identity.domain.passwords import PASSWORD_MIN_CHARACTERS

RETRY_AFTER_SECONDS = 1
NICENESS = 10
LANES = 1  # a hash keeps one core busy, so `workers` is the number of cores hashing may use

HASHING = Gauge("identity_password_hashing", "Password hashes being computed or waiting for a worker")
HASH_SECONDS = Histogram("identity_password_hash_seconds", "From asking for a password hash to having it")

T = TypeVar("T")


class HashingBusy(Unavailable):
    """More people are logging in than the hash workers can serve. Nothing was checked or changed."""

    slug = "hashing-busy"
    title = "Too many log-ins at once"


class Passwords:
    """Hashes and verifies in a thread pool (argon2 releases the interpreter lock) behind a bounded queue."""

    def __init__(self, *, memory_kib: int, passes: int, workers: int, queue: int) -> None:
        """At most `workers` hashes run and `queue` wait; whoever comes then is told to come back."""
        self._argon2 = _hasher(memory_kib, passes)
        self._executor = ThreadPoolExecutor(
            workers, thread_name_prefix="argon2", initializer=_yield_to_others
        )
        self._places = workers + queue
        # Verified against when there is no such user, so that the answer takes as long.
        self._nobody = _hash_of_nobody(memory_kib, passes)

    async def hash(self, password: str) -> str:
        """The PHC string to store. Raises HashingBusy."""
        return await self._in_worker(lambda: self._argon2.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one. None (no such user) is False and takes as long.

        Raises HashingBusy.
        """
        matches = await self._in_worker(lambda: self._matches(stored or self._nobody, password))
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether the stored hash was made at another cost than today's."""
        return self._argon2.check_needs_rehash(stored)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._argon2.verify(stored, password)
        except VerifyMismatchError:
            return False

    async def _in_worker(self, work: Callable[[], T]) -> T:
        if self._places == 0:
            raise HashingBusy("The password workers are busy.", retry_after=RETRY_AFTER_SECONDS)
        self._take_place()
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        # The place is free when the work is done, not when whoever waited for it has left: shielded
        # from the caller's cancellation, a running hash goes on being counted.
        future.add_done_callback(lambda _: self._free_place())
        with HASH_SECONDS.time():
            return await asyncio.shield(future)

    def _take_place(self) -> None:
        self._places -= 1
        HASHING.inc()

    def _free_place(self) -> None:
        self._places += 1
        HASHING.dec()


def _hasher(memory_kib: int, passes: int) -> PasswordHasher:
    return PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=LANES, type=Type.ID)


@cache
def _hash_of_nobody(memory_kib: int, passes: int) -> str:
    """Made before anybody asks, and once for all the applications of a process."""
    return _hasher(memory_kib, passes).hash("nobody has this password")


def _yield_to_others() -> None:
    """Hash when nobody else wants the core: on Linux a priority belongs to a thread, and lowering it is anybody's."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@cache
def breached_passwords() -> frozenset[str]:
    """Passwords from breaches, most used first tried (zxcvbn's list), long enough to pass the length rule."""
    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) >= PASSWORD_MIN_CHARACTERS)
