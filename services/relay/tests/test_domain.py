"""Pace and order, without anything running."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay.domain import Pace, Row, not_behind, sent_before

PACE = Pace()


def a_row(aggregate: str, id: int) -> Row:
    return Row(0, id, UUID(int=id), "events", "a.b.c.v1", aggregate, "{}", {})


@pytest.mark.parametrize("rows", [0, 1, PACE.few - 1])
def test_after_few_rows_it_waits_for_more(rows: int) -> None:
    """However fast they went: they cost nearly as much as many."""
    assert PACE.rest(rows=rows, worked=0.002) == 0.05
    assert PACE.rest(rows=rows, worked=3.0) == 0.05


def test_after_many_it_gives_way_where_they_took_long_but_not_for_ever() -> None:
    assert PACE.rest(rows=PACE.few, worked=0.002) == 0.01
    assert PACE.rest(rows=PACE.few, worked=0.04) == 0.02
    assert PACE.rest(rows=1_000, worked=3.0) == 0.03


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
