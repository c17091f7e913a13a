"""Pace and order, without anything running."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from relay.domain import Carried, Pace, Row, not_behind

PACE = Pace()


def a_row(aggregate: str, id: int) -> Row:
    return Row(0, id, UUID(int=id), "events", "a.b.c.v1", aggregate, "{}", {})


def test_it_does_not_rest_while_more_waits() -> None:
    assert PACE.rest(Carried(delivered=200, more=True), quiet_for=0) == 0


def test_it_rests_when_the_broker_takes_nothing() -> None:
    assert PACE.rest(Carried(refused=200, more=True), quiet_for=0) > 0


def test_it_looks_often_after_traffic_and_seldom_without() -> None:
    assert PACE.rest(Carried(), quiet_for=0.5) == 0.02
    assert PACE.rest(Carried(), quiet_for=1.5) == 0.25


@given(st.integers(min_value=1, max_value=100_000))
def test_it_backs_off_longer_and_longer_up_to_a_limit(failures: int) -> None:
    assert 0.2 <= PACE.back_off(failures) <= PACE.back_off(failures + 1) <= 5.0


def test_nothing_overtakes_a_stuck_row_of_its_aggregate() -> None:
    rows = [a_row("a", 1), a_row("b", 2), a_row("a", 3)]
    assert [row.id for row in not_behind(frozenset("a"), rows)] == [2]
