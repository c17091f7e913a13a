"""JSON as we accept it: no floats, no NaN, no repeated member, no NUL, no half of a character, not nested too deep.

`json` keeps the last of repeated members and reads 0.1 as a float without a word; both have moved
money in other systems. The fast path only notices that something is wrong; a second, slower reading
of the same bytes finds where.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

from common.problem import FieldError, InvalidInput

_Json: TypeAlias = "bool | int | str | list[_Json] | dict[str, _Json] | _Flaw | None"

MAX_DEPTH: Final = 32
MAX_FLAWS: Final = 20
"""How many things wrong with one body are told."""

_WHOLE: Final = "body"
_NO_FLOATS: Final = (
    "must not be a JSON number with a fraction or an exponent; write amounts as decimal strings"
)
_NO_CONSTANTS: Final = "must not be NaN or Infinity"
_TOO_LONG: Final = "has too many digits"
_HALF: Final = "must not contain half of a surrogate pair"
_TOO_DEEP: Final = f"must not be nested deeper than {MAX_DEPTH} levels"
_ESCAPES: Final = re.compile(r"\\u(0000|[dD][89a-fA-F])")
"""NUL and halves of a character can only be written so: as bytes, the ones are no JSON and the others no UTF-8."""
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


class _Suspicion(Exception):
    """Something in the text is not acceptable; the second reading finds what and where."""


@dataclass(frozen=True, slots=True)
class _Flaw:
    """Stands for an unacceptable value in a decoded tree."""

    message: str


def check(raw: bytes) -> None:
    """Raises `InvalidInput`, which names the field, unless `raw` is JSON as we accept it."""
    try:
        text = raw.decode()
        flaws = () if _is_clean(text, raw) else tuple(islice(_flaws(_MARKING.decode(text)), MAX_FLAWS))
    except UnicodeDecodeError:
        raise _refusal("must be UTF-8") from None
    except RecursionError:
        raise _refusal(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        place = f"at line {error.lineno} column {error.colno}"
        raise _refusal(f"is not valid JSON: {error.msg} {place}") from None
    if flaws:
        raise InvalidInput(flaws)


def _refusal(message: str) -> InvalidInput:
    return InvalidInput((FieldError(_WHOLE, message),))


def _is_clean(text: str, raw: bytes) -> bool:
    """The fast reading. False is only a suspicion."""
    try:
        _FAST.decode(text)
    except json.JSONDecodeError:
        raise
    except (_Suspicion, ValueError):  # a number of more digits than Python reads
        return False
    return _ESCAPES.search(text) is None and _is_shallow(raw)


def _is_shallow(raw: bytes) -> bool:
    """Peel the innermost brackets, a level at a time. A bracket inside a string can only make this False."""
    brackets = raw.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return not brackets


def _flaws(value: _Json, path: tuple[str, ...] = ()) -> Iterator[FieldError]:
    """Everything unacceptable in a decoded tree, with its dotted path."""
    where = ".".join(path) or _WHOLE
    if isinstance(value, _Flaw):
        yield FieldError(where, value.message)
    elif isinstance(value, str) and "\0" in value:
        yield FieldError(where, "must not contain a NUL character")
    elif isinstance(value, str) and not _is_whole(value):
        yield FieldError(where, _HALF)
    elif isinstance(value, list | dict) and len(path) >= MAX_DEPTH:
        yield FieldError(where, _TOO_DEEP)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _flaws(element, (*path, str(index)))
    elif isinstance(value, dict):
        for name, member in value.items():
            here = (*path, name.replace("\0", "").encode(errors="replace").decode())
            yield from _flaws(name, here)
            yield from _flaws(member, here)


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(digits: str) -> "int | _Flaw":
    try:
        return int(digits)
    except ValueError:
        return _Flaw(_TOO_LONG)


def _refuse(_: str) -> None:
    raise _Suspicion


def _unique(pairs: list[tuple[str, _Json]]) -> dict[str, _Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Suspicion
    return members


def _marked(pairs: list[tuple[str, _Json]]) -> _Json:
    """A dict, with a flaw in the place of a member that is named twice."""
    members: dict[str, _Json] = {}
    for name, value in pairs:
        members[name] = _Flaw("is given more than once") if name in members else value
    return members


_FAST: Final = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_unique)
_MARKING: Final = json.JSONDecoder(
    parse_int=_integer,
    parse_float=lambda _: _Flaw(_NO_FLOATS),
    parse_constant=lambda _: _Flaw(_NO_CONSTANTS),
    object_pairs_hook=_marked,
)
