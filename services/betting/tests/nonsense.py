"""What a client may send in the place of a value, and nobody can mean: worked out from the schema of the field.

Everything is written as raw JSON, since much of it is none.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

DEEP = "[" * 40 + "]" * 40
ANYWHERE = (
    "{}", "1.5", "1e2", "-0.0", "NaN", "Infinity", DEEP, '"a\\u0000b"', '"a\\ud800b"', '"\\udc00"', "1" * 5000,
)  # fmt: skip
"""No field takes these, whatever it is of."""
MOMENTS = (
    "2036-06-07T18:00:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2036-06-07",
    "2096489400", "2096489400000", "2036-02-30T18:00:00Z", "2036-06-07T25:00:00Z", "2036-06-07T18:00:00.1234567Z", "now",
    "2036-06-07T18:00:00+99:00", "", "2036-06-07T18:00:00 Z",
)  # fmt: skip
DATES = (
    "2036-02-30", "2036-06-07T00:00:00Z", "20360607", "2096409600", "today", "0000-01-01", "-2036-06-07", "", "10000-01-01",
    "0001-01-01", "9999-12-31",
)  # fmt: skip
AMOUNTS = (
    "-1.00", "+1.00", "01.00", "1.", ".5", "1,00", "1e2", "NaN", "Infinity", "", " 1.00", "1.00 ", "1.00\n",
    "\uff11.\uff10\uff10", "0x10", "0.00", "100.001", "9" * 17, "1_000.00",
)  # fmt: skip
PATTERNLESS = ("", " ", "é", "x" * 1000, "SIN\n", "sin", "SIN ", "A", "a\n", "É" * 64, "AB" * 32)
UUIDS = (
    "none",
    "",
    "00000000-0000-0000-0000-00000000000",
    "0" * 33,
    "g" * 32,
    "null",
    "00000000-0000-0000-0000-00000000000é",
)


def nonsense(schema: Schema, defined: Schema) -> Iterator[str]:
    """Values, as JSON, that a field of this schema refuses whatever state things are in."""
    yield from ANYWHERE
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    if "anyOf" not in schema:
        yield "null"
    (kind,) = (defined[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in kinds)
    for text in _texts(kind):
        yield json.dumps(text)
    match kind["type"]:
        case "string":
            yield from ("5", "true", "[]")
        case "integer":
            yield from ('"5"', '""', "true", "[]", str(10**30), str(-(10**30)))
            yield from (str(kind["minimum"] - 1),) if "minimum" in kind else ()
            yield from (str(kind["maximum"] + 1),) if "maximum" in kind else ()
        case "boolean":
            yield from ('"true"', "1", "0", "[]")
        case "array":
            yield from ('"x"', "5", "true", "[{}]", "[5.5]", f"[{','.join(['null'] * 1000)}]")
            yield from ("[]",) if kind.get("minItems") else ()


def _texts(kind: Schema) -> Iterator[str]:
    if kind["type"] != "string":
        return
    match kind.get("format"):
        case "uuid":
            yield from UUIDS
        case "date-time":
            yield from MOMENTS
        case "date":
            yield from DATES
        case _ if "enum" in kind or "const" in kind:
            words = kind.get("enum") or [kind["const"]]
            yield from ("", "nothing", words[0] + " ", words[0].swapcase())
        case _ if kind.get("pattern", "").startswith("^(0|[1-9]"):
            yield from AMOUNTS
        case _ if "pattern" in kind:
            said = re.compile(kind["pattern"].strip("^$"))
            yield from (each for each in PATTERNLESS if not said.fullmatch(each))
        case _:
            yield "x" * (kind["maxLength"] + 1)
            yield from ("", " \t\n ") if kind.get("minLength") else ()
