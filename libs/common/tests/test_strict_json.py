"""Strict JSON: whatever passes means the same to every reader, and whatever does not is named."""

import json

import pytest
from common.http.strict_json import MAX_DEPTH, MAX_FLAWS, check
from common.problem import InvalidInput
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | NAMES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=30,
)


def flaws(text: str | bytes) -> dict[str, str]:
    raw = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InvalidInput) as refused:
        check(raw)
    assert refused.value.field == refused.value.errors[0].field
    return {error.field: error.message for error in refused.value.errors}


@given(PLAIN, st.booleans())
def test_everything_without_a_flaw_passes(value: object, ascii_only: bool) -> None:
    check(json.dumps(value, ensure_ascii=ascii_only).encode())


@given(PLAIN, st.floats())
def test_a_float_anywhere_is_refused_with_its_path(value: object, number: float) -> None:
    found = flaws(json.dumps({"deep": [value, {"amount": number}]}))
    assert set(found) == {"deep.1.amount"}


@given(st.binary(max_size=40))
def test_bytes_either_pass_and_parse_or_are_refused(raw: bytes) -> None:
    try:
        check(raw)
    except InvalidInput:
        return
    json.loads(raw.decode())


@pytest.mark.parametrize("number", ["1.0", "1e2", "-0.0", "1E-2", "1e400"])
def test_every_spelling_of_a_float_is_refused(number: str) -> None:
    assert "decimal strings" in flaws(f'{{"a": {number}}}')["a"]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused(constant: str) -> None:
    assert "NaN" in flaws(f'[{{"a": {constant}}}]')["0.a"]


def test_a_repeated_member_is_refused_wherever_it_is() -> None:
    assert flaws('{"a": 1, "a": 1}') == {"a": "is given more than once"}
    assert flaws('{"p": [{"x": 1}, {"x": 1, "x": 2}]}') == {"p.1.x": "is given more than once"}
    assert flaws('{"a": 1, "\\u0061": 2}') == {"a": "is given more than once"}


def test_nul_is_refused_and_text_that_only_looks_like_it_is_not() -> None:
    assert list(flaws('{"a": "x\\u0000"}')) == ["a"]
    assert list(flaws('{"x\\u0000": 1}')) == ["x"]
    check(b'{"a": "\\\\u0000"}')


def test_half_a_character_is_refused_and_a_whole_one_is_not() -> None:
    assert list(flaws('{"a": "x\\ud83d"}')) == ["a"]
    assert list(flaws('{"a": ["\\uDE00\\uD83D"]}')) == ["a.0"]
    assert list(flaws('{"x\\ud800": 1}')) == ["x?"]
    check(b'{"a": "\\ud83d\\ude00"}')
    check(b'{"a": "\\\\ud800"}')


def test_a_number_that_is_too_long_is_named() -> None:
    assert flaws('{"a": [' + "9" * 5000 + "]}") == {"a.0": "has too many digits"}


def test_depth_is_bounded_and_brackets_in_text_do_not_count() -> None:
    check(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert "nested" in str(flaws(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)))
    assert "nested" in str(flaws(b'{"a":' * 100_000))
    check(json.dumps({"a": "[{" * 1000}).encode())


def test_all_flaws_are_told_up_to_a_limit() -> None:
    assert set(flaws('{"a": 1.5, "b": [NaN]}')) == {"a", "b.0"}
    assert len(flaws(json.dumps([0.5] * 100))) == MAX_FLAWS


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1.5', "[1.5,]", "'a'", "{a: 1}", "1 2", "9" * 5000, b"\xff", b"\xef\xbb\xbf1"]
)
def test_what_is_not_json_is_refused_as_a_whole(text: str | bytes) -> None:
    assert list(flaws(text)) == ["body"]
