"""Race cards as files: one race a line, and everything that is wrong told at once, line by line."""

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from betting.domain.errors import CardInvalid, HorsesInvalid
from betting.domain.races import check_horses

COLUMNS = ("number", "distance_m", "starts_at", "horses", "stables", "conditions")
REQUIRED = frozenset({"number", "distance_m", "starts_at", "horses"})
MOST_RACES = 100
SEPARATOR = "|"
MOST_FAULTS = 200
"""Told in one answer; the rest is counted."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RaceRow:
    """A good row. `line` is its line in the file, the header being 1."""

    line: int
    number: int
    distance_m: int
    starts_at: datetime
    horses: tuple[str, ...]
    stables: tuple[str | None, ...]
    conditions: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in one field of one line."""

    line: int
    field: str
    problem: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.field}: {self.problem}"


class _Wrong(Exception):
    """A value that cannot be meant."""


def read_card(text: str) -> list[RaceRow]:
    """The races of a card in CSV: a header with `COLUMNS` (the last two may be missing), horses and their stables
    separated by "|", times in ISO 8601 with their offset.

    Raises CardInvalid naming every bad row and field; then nothing of the card is taken.
    """
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), strict=True, skipinitialspace=True)
    faults: list[Fault] = []
    rows: list[RaceRow] = []
    try:
        faults += _header(reader.fieldnames or ())
        if not faults:
            for raw in reader:
                row = _row(reader.line_num, raw, faults)
                if row is not None:
                    rows.append(row)
    except csv.Error as error:
        faults.append(Fault(reader.reader.line_num, "row", f"this is not CSV: {error}"))
    if not faults and not 1 <= len(rows) <= MOST_RACES:
        faults.append(Fault(1, "row", f"a card has 1 to {MOST_RACES} races, not {len(rows)}"))
    faults += _repeated(rows)
    if faults:
        raise refusal(faults)
    return rows


def against_programme(
    rows: Sequence[RaceRow], *, taken: Collection[int], stables: Collection[str], longest_m: int | None
) -> list[Fault]:
    """What speaks against good rows at their event: `taken` race numbers, the names among theirs that are of `stables`, and
    the length of the track, if it is known."""
    faults: list[Fault] = []
    for row in rows:
        if row.number in taken:
            faults.append(Fault(row.line, "number", f"the event has a race {row.number} already"))
        if longest_m is not None and row.distance_m > longest_m:
            faults.append(Fault(row.line, "distance_m", f"the track is {longest_m} m long"))
        faults += [
            Fault(row.line, "stables", f"no stable is called {name[:100]!r}")
            for name in row.stables
            if name is not None and name not in stables
        ]
    return faults


def _header(names: Sequence[str]) -> Iterator[Fault]:
    found = [name.strip() for name in names]
    for name in sorted(REQUIRED - set(found)):
        yield Fault(1, name, "the column is missing")
    for name in found:
        if name not in COLUMNS:
            yield Fault(1, name[:40], "no column has this name")


def _row(line: int, raw: Mapping[str | None, str | list[str] | None], faults: list[Fault]) -> RaceRow | None:
    before = len(faults)
    if None in raw:
        faults.append(Fault(line, "row", "there are more fields than columns"))
    values = {name.strip(): value.strip() for name, value in raw.items() if name and isinstance(value, str)}

    def read(field: str, parse: Callable[[str], Value]) -> Value | None:
        try:
            return parse(values.get(field, ""))
        except (_Wrong, HorsesInvalid) as wrong:
            faults.append(Fault(line, field, str(wrong)))
            return None

    number = read("number", lambda given: _whole(given, 1, 100))
    distance = read("distance_m", lambda given: _whole(given, 50, 2000))
    starts_at = read("starts_at", _moment)
    horses = read("horses", _horses)
    stables = read("stables", lambda given: _stables(given, horses))
    conditions = read("conditions", _conditions)
    if len(faults) > before or number is None or distance is None or starts_at is None or horses is None:
        return None
    return RaceRow(line, number, distance, starts_at, horses, stables or (), conditions or None)


def _whole(given: str, least: int, most: int) -> int:
    if not (given.isascii() and given.isdigit()) or not least <= int(given[:9]) <= most:
        raise _Wrong(f"{given[:40]!r} is no whole number from {least} to {most}")
    return int(given)


def _moment(given: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise _Wrong(f"{given[:40]!r} is no time like 2026-06-07T12:10:00-06:00") from None
    if moment.tzinfo is None:
        raise _Wrong("the time has no offset, such as -06:00")
    if not 2000 <= moment.year < 9999:
        raise _Wrong(f"{moment.year} is no year of ours")
    return moment


def _horses(given: str) -> tuple[str, ...]:
    horses = check_horses([name.strip() for name in given.split(SEPARATOR)])
    for horse in horses:
        if not 1 <= len(horse) <= 100:
            raise _Wrong("a horse's name has 1 to 100 characters")
    return horses


def _stables(given: str, horses: tuple[str, ...] | None) -> tuple[str | None, ...]:
    if not given:
        return ()
    stables = tuple(name.strip() or None for name in given.split(SEPARATOR))
    if horses is not None and len(stables) != len(horses):
        raise _Wrong(f"{len(stables)} stables for {len(horses)} horses; leave a name empty if there is none")
    return stables


def _conditions(given: str) -> str:
    if len(given) > 500:
        raise _Wrong("at most 500 characters")
    return given


def _repeated(rows: list[RaceRow]) -> Iterator[Fault]:
    first: dict[int, int] = {}
    for row in rows:
        if row.number in first:
            yield Fault(row.line, "number", f"race {row.number} is on line {first[row.number]} already")
        first.setdefault(row.number, row.line)


def refusal(faults: Sequence[Fault]) -> CardInvalid:
    """All of them in one problem; `rows` counts the lines concerned."""
    told = "; ".join(str(fault) for fault in faults[:MOST_FAULTS])
    more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
    report = json.dumps(
        [{"line": f.line, "field": f.field, "problem": f.problem} for f in faults[:MOST_FAULTS]]
    )
    return CardInvalid(told + more, field="content", extra={"faults": len(faults), "report": report})
