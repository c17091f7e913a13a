"""Race cards from a file: everything that is wrong is told, line by line, and then nothing is taken."""

import json
from contextlib import suppress

import pytest
from betting.domain.cards import MOST_RACES, read_card
from betting.domain.errors import CardInvalid
from hypothesis import given
from hypothesis import strategies as st

HEADER = "number,distance_m,starts_at,horses,stables,conditions\n"
GOOD = '1,300,2026-06-07T12:10:00-06:00,El Moro|La Chula,Cuadra Reyna|,"55 kg, puertas a los 10 segundos"\n'


def faults(text: str) -> list[tuple[int, str]]:
    with pytest.raises(CardInvalid) as refused:
        read_card(text)
    report = json.loads(str(refused.value.extra["report"]))
    assert refused.value.extra["faults"] == len(report)
    return [(fault["line"], fault["field"]) for fault in report]


def test_a_card_is_read() -> None:
    first, second = read_card("\ufeff" + HEADER + GOOD + "2,200,2026-06-07T12:30:00-06:00,a|b|c,,\n")
    assert (first.line, first.number, first.horses) == (2, 1, ("El Moro", "La Chula"))
    assert (first.stables, first.conditions) == (("Cuadra Reyna", None), "55 kg, puertas a los 10 segundos")
    assert (second.stables, second.conditions, len(second.horses)) == ((), None, 3)
    assert len(read_card("number,distance_m,starts_at,horses\n1,300,2026-06-07T12:10:00Z,a|b\n")) == 1


def test_every_bad_row_and_field_is_told_at_once() -> None:
    assert faults(
        HEADER
        + "0,300,2026-06-07T12:10:00-06:00,a|b,,\n"
        + GOOD
        + "x,30,yesterday,a,,\n"
        + "1,300,2026-06-07T12:10:00,a|A,x|y|z,\n"
        + "4,300,2026-06-07T12:10:00Z,a|b,x,\n"
        + "5,300,2026-06-07T12:10:00Z,a|b,,,more\n"
        + "6,300,9999-12-31T23:59:59-12:00,a|b,,\n"
    ) == [
        (2, "number"),
        (4, "number"), (4, "distance_m"), (4, "starts_at"), (4, "horses"),
        (5, "starts_at"), (5, "horses"),
        (6, "stables"),
        (7, "row"),
        (8, "starts_at"),
    ]  # fmt: skip


def test_a_number_twice_and_a_card_that_is_none() -> None:
    assert faults(HEADER + GOOD + GOOD) == [(3, "number")]
    assert faults("number,horses,colour\n") == [(1, "distance_m"), (1, "starts_at"), (1, "colour")]
    assert faults("") == [(1, name) for name in ("distance_m", "horses", "number", "starts_at")]
    assert faults(HEADER) == [(1, "row")]
    assert faults(HEADER + '1,300,"2026') == [(2, "row")]
    rows = "".join(f"{number % 100 + 1},300,2026-06-07T12:10:00Z,a|b,,\n" for number in range(MOST_RACES + 1))
    assert (1, "row") in faults(HEADER + rows)


@given(st.text(max_size=200))
def test_whatever_is_sent_is_read_or_refused(text: str) -> None:
    for body in (text, HEADER + text):
        with suppress(CardInvalid):
            assert read_card(body)
