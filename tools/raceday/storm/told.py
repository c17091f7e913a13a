"""What everybody asked for and was told. The other side of the books: a bettor's own memory of the day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid5

from tools.raceday.client import KEYS, App, Json, Refusal


def now() -> datetime:
    return datetime.now(UTC)


def key_of(name: str) -> UUID:
    """The Idempotency-Key that an act of that name is sent under."""
    return uuid5(KEYS, name)


@dataclass(slots=True)
class Act:
    """One request and its definitive answer. `answer` is None when it was refused, and then `slug` says how."""

    kind: str
    name: str
    who: int
    wanted: Json
    asked_at: datetime
    answered_at: datetime | None = None
    answer: Json | None = None
    slug: str = ""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Between these moments nothing was matched in the market, of the event, of the person, or at all."""

    scope: str
    subject: str | None
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Belongs:
    """By this moment a person or a horse was said to be of a stable."""

    stable: str
    since: datetime


@dataclass(slots=True)
class Result:
    """What the officials found of a race in the end: what was seen, or why there is nothing to see. `versions` counts the
    results there were."""

    seen: Json | None
    void: str | None = None
    versions: int = 1


@dataclass(slots=True)
class Told:
    """Everything that anybody was told on this day."""

    acts: list[Act] = field(default_factory=list)
    standstills: list[Standstill] = field(default_factory=list)
    closed: dict[str, datetime] = field(default_factory=dict)
    """By market: when somebody was told that it is closed."""
    results: dict[str, Result] = field(default_factory=dict)
    """By race."""
    members: dict[str, Belongs] = field(default_factory=dict)
    """By bettor."""
    runs_for: dict[str, Belongs] = field(default_factory=dict)
    """By runner."""
    scratched: dict[str, str] = field(default_factory=dict)
    """By runner: why."""
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    """What was wrong already when it was told."""

    async def ask(
        self, kind: str, app: App, who: int, path: str, wanted: Json, name: str, *, method: str = "POST"
    ) -> Act:
        """Ask until there is a definitive answer, and remember it."""
        act = Act(kind, name, who, {**wanted, "path": path}, now())
        self.acts.append(act)
        try:
            if method == "DELETE":
                act.answer = await app.delete(path, name)
            else:
                act.answer = await app.post(path, wanted, name)
        except Refusal as refusal:
            act.slug = refusal.slug
        act.answered_at = now()
        self.counts[f"{kind} {act.slug or 'done'}"] += 1
        return act

    def of(self, kind: str) -> list[Act]:
        return [act for act in self.acts if act.kind == kind]
