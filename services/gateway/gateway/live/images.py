"""What a market looks like to the public, and what has changed in it. Pure.

Levels are absolute amounts, and "0.00" removes one: to hear of a change twice, or only of the last of several, does no
harm. The clock (`clk`) is the market's own sequence number, so it means the same in every replica.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

LevelKey: TypeAlias = tuple[str, int, int]
"""Runner, risk, win."""
Levels: TypeAlias = Mapping[LevelKey, str]

DELTAS_KEPT = 256
"""A client that was away for no more changes than these gets just them; otherwise a fresh image."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed from one moment of the clock to another."""

    prev: int
    clk: int
    levels: Levels


@dataclass(slots=True)
class Image:
    """One market as everybody sees it. `seen` is the last event of the market that was heard, `clk` the last that
    changed the book."""

    market: str
    status: str
    version: int
    seen: int
    clk: int
    levels: dict[LevelKey, str] = field(default_factory=dict)
    at: str = ""
    """When it was committed, in ISO 8601."""
    deltas: deque[Delta] = field(default_factory=lambda: deque(maxlen=DELTAS_KEPT))
    written: dict[int, str] = field(default_factory=dict)
    """Messages up to the present clock by where they begin: a thousand clients who were told the same are told the same
    next, and one writing serves them all."""

    def follows(self, sequence: int) -> bool:
        """Whether this is the market's next event; if not and it is later, something was missed."""
        return sequence == self.seen + 1

    def changed(self, sequence: int, version: int, levels: Levels, at: str) -> Delta:
        """Take a change of the book in that was committed then."""
        delta = Delta(self.clk, sequence, dict(levels))
        for key, amount in levels.items():
            if is_nothing(amount):
                self.levels.pop(key, None)
            else:
                self.levels[key] = amount
        self.clk, self.version, self.at = sequence, version, at
        self.written.clear()
        self.deltas.append(delta)
        return delta

    def succeed(self, before: "Image") -> Delta:
        """Take the place of an older image of the market; returns what has changed since. Who knew that one is told
        just this, and who was away for longer can still resume from where the older one knew."""
        changed = {key: "0.00" for key in before.levels if key not in self.levels}
        changed |= {key: amount for key, amount in self.levels.items() if before.levels.get(key) != amount}
        self.deltas, self.at = before.deltas, before.at
        if not changed:
            self.clk = before.clk
        delta = Delta(before.clk, self.clk, changed)
        if changed:
            self.deltas.append(delta)
        return delta

    def since(self, clk: int) -> Delta | None:
        """Everything that changed after a moment, in one; None if that is not known any more."""
        if clk == self.clk:
            return Delta(clk, clk, {})
        merged: dict[LevelKey, str] = {}
        known = False
        for delta in self.deltas:
            known = known or delta.prev == clk
            if known:
                merged.update(delta.levels)
        return Delta(clk, self.clk, merged) if known else None


def is_nothing(amount: str) -> bool:
    """Whether a decimal string is zero, without making a number of it."""
    return not amount.strip("0.")


def book_of(levels: Levels) -> dict[str, list[list[int | str]]]:
    """Levels as they are sent: by runner, `[risk, win, amount]`."""
    book: dict[str, list[list[int | str]]] = {}
    for (runner, risk, win), amount in levels.items():
        book.setdefault(runner, []).append([risk, win, amount])
    return book
