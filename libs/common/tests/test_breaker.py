"""The circuit to a server: when it opens, who probes it, when it closes."""

import asyncio
import contextlib

import pytest
from common.breaker import LONGEST_REST_SECONDS, REST_SECONDS, TRIP_AFTER, Breaker, CircuitOpen
from common.errors import DomainError


class Silent(DomainError):
    status = 504


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with contextlib.suppress(Silent), breaker.attempt():
            raise Silent("no answer")


def turned_away(breaker: Breaker) -> bool:
    try:
        with breaker.attempt():
            return False
    except CircuitOpen:
        return True


def opened() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker("service", (Silent,), clock=clock)
    fail(breaker, TRIP_AFTER)
    return breaker, clock


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker("service", (Silent,), clock=Clock())
    fail(breaker, TRIP_AFTER - 1)
    assert not turned_away(breaker)
    fail(breaker, TRIP_AFTER - 1)
    assert not turned_away(breaker)
    fail(breaker, TRIP_AFTER)
    assert turned_away(breaker)


def test_one_request_probes_and_closes_it() -> None:
    breaker, clock = opened()
    clock.now += REST_SECONDS
    with breaker.attempt():
        assert turned_away(breaker)
    assert not turned_away(breaker)


def test_a_probe_that_fails_makes_the_rest_longer() -> None:
    breaker, clock = opened()
    rests = []
    for _ in range(4):
        began = clock.now
        while turned_away_without_probing(breaker, clock):
            clock.now += 0.5
        rests.append(clock.now - began)
        fail(breaker)
    assert rests == [1.0, 2.0, 4.0, 4.0]
    assert max(rests) == LONGEST_REST_SECONDS


def turned_away_without_probing(breaker: Breaker, clock: Clock) -> bool:
    return breaker._open_until is not None and clock.now < breaker._open_until


def test_a_probe_whose_caller_leaves_frees_the_place() -> None:
    breaker, clock = opened()
    clock.now += REST_SECONDS
    with contextlib.suppress(asyncio.CancelledError), breaker.attempt():
        raise asyncio.CancelledError
    with breaker.attempt():
        pass
    assert not turned_away(breaker)


def test_a_refusal_is_an_answer() -> None:
    breaker = Breaker("service", (Silent,), clock=Clock())
    for _ in range(TRIP_AFTER * 2):
        with pytest.raises(ValueError, match="refused"), breaker.attempt():
            raise ValueError("refused")
    assert not turned_away(breaker)
