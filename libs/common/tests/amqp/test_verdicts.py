"""What becomes of a message by how its handler ended."""

from __future__ import annotations

import pytest
from common.amqp import BrokerUnavailable, Poison, RetryPolicy
from common.amqp.delivery import Dead, Retry
from common.errors import NotFound, NotReady, Refused, TooMany, Unavailable
from pydantic import TypeAdapter, ValidationError

POLICY = RetryPolicy()


def a_validation_error() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(int).validate_python("x")
    return raised.value


@pytest.mark.parametrize("error", [Poison("no"), NotFound("gone"), Refused("never"), a_validation_error()])
def test_what_cannot_succeed_is_dead_at_once(error: Exception) -> None:
    assert isinstance(POLICY.verdict(error, 1), Dead)


@pytest.mark.parametrize(
    "error",
    [NotReady("soon"), TooMany("full"), Unavailable("down"), BrokerUnavailable("away"), TimeoutError()],
)
def test_what_may_pass_is_tried_for_a_day(error: Exception) -> None:
    delays = [POLICY.verdict(error, attempt) for attempt in range(1, 6)]
    assert [verdict.delay_seconds for verdict in delays if isinstance(verdict, Retry)] == [1, 5, 30, 30, 30]
    assert isinstance(POLICY.verdict(error, POLICY.waiting_attempts - 1), Retry)
    assert isinstance(POLICY.verdict(error, POLICY.waiting_attempts), Dead)


def test_a_defect_is_tried_a_few_times() -> None:
    assert isinstance(POLICY.verdict(KeyError("x"), 4), Retry)
    assert POLICY.verdict(KeyError("x"), 5) == Dead("KeyError: 'x'")
