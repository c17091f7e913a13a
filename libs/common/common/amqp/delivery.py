"""What a consumer's handler gets, and what becomes of a message by how the handler ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeAlias
from uuid import UUID

from pydantic import ValidationError

from common.amqp.names import RETRY_DELAYS_SECONDS
from common.brief import in_brief
from common.errors import DomainError, NotReady, TooMany, Unavailable


class Envelope(Protocol):
    """What this package needs of a CloudEvent; `contracts` has the real one."""

    @property
    def id(self) -> UUID: ...
    @property
    def type(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def time(self) -> datetime: ...
    @property
    def partitionkey(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def data(self) -> Mapping[str, object]: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it reached us. `attempt` counts from 1 and survives the retry queues;
    `redelivered` tells that the broker gave it out before and heard nothing."""

    queue: str
    envelope: Envelope
    raw: bytes
    attempt: int
    redelivered: bool
    trace: Mapping[str, str] = field(default_factory=dict)
    """The headers of the trace that it belongs to."""


class Poison(Exception):
    """Raised by a handler: this message can never be handled. It goes to the dead letters."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Hold the message back and try again."""

    delay_seconds: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Give the message up."""

    reason: str


Verdict: TypeAlias = Retry | Dead

WAITING: Final = (NotReady, TooMany, Unavailable, ConnectionError, TimeoutError)
"""Somebody else must do something first. The message itself is fine, so patience is long."""

HOPELESS: Final = (Poison, ValidationError, DomainError)
"""Trying again would give the same answer."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failed message is tried again before it counts as dead.

    `waiting_attempts` is for what may pass by itself (a day and a night of half-minutes); any other
    failure is a defect of ours, which gets `defect_attempts` in case it was a passing one.
    """

    delays_seconds: tuple[int, ...] = RETRY_DELAYS_SECONDS
    waiting_attempts: int = 2_880
    defect_attempts: int = 5

    def verdict(self, error: Exception, attempt: int) -> Verdict:
        """What to do with a message whose attempt number `attempt` ended in `error`."""
        reason = f"{type(error).__name__}: {in_brief(error)}"
        if isinstance(error, WAITING):
            allowed = self.waiting_attempts
        elif isinstance(error, HOPELESS):
            allowed = 0
        else:
            allowed = self.defect_attempts
        if attempt >= allowed:
            return Dead(reason)
        return Retry(self.delays_seconds[min(attempt, len(self.delays_seconds)) - 1], reason)
