"""Pace and order, without anything running."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from relay.domain import Pace, Row, not_behind, sent_before

PACE = Pace()


def a_row(aggregate: str, id: int) -> Row:
    return Row(0, id, UUID(int=id), "events", "a.b.c.v1", aggregate, "{}", {})


def test_it_looks_often_after_traffic_and_seldom_without() -> None:
    assert PACE.rest(quiet_for=0.5) == 0.01
    assert PACE.rest(quiet_for=1.5) == 0.05


def test_it_gives_way_where_a_batch_takes_long_but_not_for_ever() -> None:
    """A few rows cost nearly as much as many: on a busy machine the next batch had better be a large one."""
    assert PACE.rest(quiet_for=0.0, worked=0.002) == 0.01
    assert PACE.rest(quiet_for=0.0, worked=0.04) == 0.02
    assert PACE.rest(quiet_for=0.0, worked=3.0) == 0.03
    assert PACE.rest(quiet_for=1.5, worked=3.0) == 0.05


@given(st.integers(min_value=1, max_value=100_000))
def test_it_backs_off_longer_and_longer_up_to_a_limit(failures: int) -> None:
    assert 0.2 <= PACE.back_off(failures) <= PACE.back_off(failures + 1) <= 5.0


def test_nothing_overtakes_a_stuck_row_of_its_aggregate() -> None:
    rows = [a_row("a", 1), a_row("b", 2), a_row("a", 3)]
    assert [row.id for row in not_behind(frozenset("a"), rows)] == [2]


def test_a_row_at_or_below_its_shards_mark_was_sent_before() -> None:
    rows = [a_row("a", 1), a_row("b", 2), a_row("a", 3)]
    assert sent_before(rows, {0: 2}) == {1, 2}
    assert sent_before(rows, {1: 9}) == set()
