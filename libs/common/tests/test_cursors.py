"""A cursor comes back as it was written, and nothing else is taken for one."""

import base64
import json

import pytest
from common.errors import Invalid
from common.http.cursors import read_cursor, write_cursor
from hypothesis import given
from hypothesis import strategies as st

numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1)
texts = st.text(max_size=40).filter(lambda text: "\0" not in text)


@given(texts, numbers)
def test_a_cursor_comes_back(text: str, number: int) -> None:
    assert read_cursor(write_cursor("entries", text, number), "entries", str, int) == [text, number]


@given(st.text(max_size=80))
def test_noise_is_refused_and_named(noise: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_cursor(noise, "entries", int)
    assert refused.value.field == "after"


def _of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        write_cursor("accounts", 7),
        write_cursor("entries", "7"),
        write_cursor("entries", 7, 8),
        write_cursor("entries"),
        _of(["entries", 2**63]),
        _of(["entries", True]),
        _of(["entries", 1.0]),
        _of({"entries": 7}),
        _of("entries"),
        _of([]),
        write_cursor("entries", 7) + "=",
        "*" + write_cursor("entries", 7),
        write_cursor("entries", *range(400)),
    ],
)
def test_another_lists_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        read_cursor(cursor, "entries", int)
