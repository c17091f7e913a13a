"""A model of a generic ledger that predicts every answer. It knows the rules from their documents, not from
the ledger's code: paths, numbers and dictionaries, one command after the other."""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from ledger.domain.commands import Command, Leg

DECIMALS = {"USD": 2, "JPY": 0, "KWD": 3}
GROWS_BY_DEBIT = {"assets", "expenses"}
NEVER_BELOW_ZERO = {"assets", "liabilities", "held"}
PLACES = {"assets", "liabilities", "equity", "income", "expenses"}
EVENT_OF = {
    "hold.open": "opened",
    "hold.capture": "captured",
    "hold.release": "released",
    "reversal": "released",
}

ClosedDay = tuple[int, int, dict[tuple[str, str], tuple[Decimal, Decimal, Decimal]]]
"""Its entries, the late ones among them, and by account the debits, the credits and the balance, where there is any."""


@dataclass
class Held:
    """Money set aside."""

    account: str
    currency: str
    reference: str
    opened: Decimal
    remaining: Decimal
    expires_at: datetime | None


@dataclass
class Booked:
    """An entry, as far as reversing it goes."""

    kind: str
    reference: str
    legs: tuple[Leg, ...]
    reversed: bool = False


@dataclass
class Day:
    """What was posted in it, and what was there at its end."""

    entries: int = 0
    late: int = 0
    debits: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    credits: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    closing: dict[tuple[str, str], Decimal] = field(default_factory=dict)


class No(Exception):
    """The answer is a refusal."""


@dataclass
class World:
    """What is on the books. Amounts are positive on the side where an account grows."""

    balances: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    closed: set[tuple[str, str]] = field(default_factory=set)
    holds: dict[UUID, Held] = field(default_factory=dict)
    booked: dict[UUID, Booked] = field(default_factory=dict)
    known: set[tuple[str, str]] = field(default_factory=set)
    told: list[tuple[str, UUID, Decimal, Decimal]] = field(default_factory=list)
    days: list[Day] = field(default_factory=lambda: [Day()])
    closed_until: datetime | None = None
    closing: dict[tuple[str, str], Decimal] = field(default_factory=dict)


class Oracle:
    """Predicts what the ledger says to each group, and what it comes to."""

    def __init__(self) -> None:
        self.world = World()
        self.answers: dict[UUID, tuple[tuple[Command, ...], str]] = {}

    def predict(self, group: tuple[Command, ...]) -> list[tuple[str, bool]]:
        """For each command the slug (or "posted") and whether it is a replay."""
        known = [self.answers.get(command.id) for command in group]
        if any(known):
            same = [found is not None and found[0] == _asked(group) for found in known]
            if all(same):
                return [(found[1], True) for found in known if found]
            return [("idempotency-key-reused", False)] * len(group)
        before = deepcopy(self.world)
        told = ["posted"] * len(group)
        for at, command in enumerate(group):
            try:
                self._post(command)
            except No as no:
                self.world = before
                slug = str(no)
                if slug in ("hold-not-ready", "entry-not-ready"):
                    return [(slug, False)] * len(group)
                told = ["linked-refused"] * len(group)
                told[at] = slug
                break
        for command, slug in zip(group, told, strict=True):
            self.answers[command.id] = _asked(group), slug
        return [(slug, False) for slug in told]

    def _post(self, command: Command) -> None:
        legs = self._legs(command)
        for leg in legs:
            self._check_leg(leg)
        if command.kind == "transfer" and any(_place(leg) not in PLACES for leg in legs):
            raise No("template-violation")
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for leg in legs:
            sums[leg.currency] += leg.amount
        if any(sums.values()):
            raise No("unbalanced-entry")
        if command.kind in ("hold.open", "hold.release"):
            owners = {
                leg.account.removeprefix("held/") for leg in legs if _place(leg) in ("held", "liabilities")
            }
            if len(owners) != 1:
                raise No("template-violation")
        until = self.world.closed_until
        if command.effective_at and until and command.effective_at < until:
            raise No("period-closed")
        self._move_holds(command, legs)
        self._book(legs, late=command.effective_at is not None and command.effective_at < midnight())
        self.world.booked[command.id] = Booked(command.kind, command.reference, legs)
        if command.reverses:
            self.world.booked[command.reverses].reversed = True

    def _legs(self, command: Command) -> tuple[Leg, ...]:
        if command.reverses:
            original = self.world.booked.get(command.reverses)
            if original is None:
                raise No("entry-not-ready")
            if original.kind not in ("transfer", "hold.open"):
                raise No("not-reversible")
            if original.reference != command.reference:
                raise No("template-violation")
            if original.reversed:
                raise No("already-reversed")
            return tuple(Leg(leg.account, leg.currency, -leg.amount, leg.hold) for leg in original.legs)
        if command.drains:
            held = self.world.holds.get(command.drains)
            if held is None:
                raise No("hold-not-ready")
            if held.remaining == 0:
                raise No("hold-exhausted")
            return (
                Leg(f"held/{held.account}", held.currency, held.remaining, command.drains),
                Leg(held.account, held.currency, -held.remaining),
            )
        return command.legs

    def _check_leg(self, leg: Leg) -> None:
        decimals = DECIMALS.get(leg.currency)
        if decimals is None or leg.amount != round(leg.amount, decimals):
            raise No("wrong-currency")
        if _place(leg) not in PLACES | {"held"}:
            raise No("unknown-account")
        if (leg.account, leg.currency) in self.world.closed:
            raise No("account-closed")

    def _move_holds(self, command: Command, legs: tuple[Leg, ...]) -> None:
        for leg in legs:
            if leg.hold is None:
                continue
            held = self.world.holds.get(leg.hold)
            account = leg.account.removeprefix("held/")
            if command.kind == "hold.open":
                if held:
                    raise No("hold-exists")
                held = Held(
                    account, leg.currency, command.reference, -leg.amount, -leg.amount, command.expires_at
                )
                self.world.holds[leg.hold] = held
            else:
                if held is None:
                    raise No("hold-not-ready")
                if (held.account, held.currency, held.reference) != (
                    account,
                    leg.currency,
                    command.reference,
                ):
                    raise No("hold-mismatch")
                if held.remaining < leg.amount:
                    raise No("hold-exhausted")
                held.remaining -= leg.amount
            self.world.told.append((EVENT_OF[command.kind], leg.hold, abs(leg.amount), held.remaining))

    def _book(self, legs: tuple[Leg, ...], *, late: bool) -> None:
        for leg in legs:
            self._move(leg)
            self.world.known.add((leg.account, leg.currency))
        today = self.world.days[-1]
        today.entries += 1
        today.late += late
        for leg in legs:
            side = today.debits if leg.amount > 0 else today.credits
            side[leg.account, leg.currency] += abs(leg.amount)

    def _move(self, leg: Leg) -> None:
        place = _place(leg)
        key = leg.account, leg.currency
        self.world.balances[key] += leg.amount if place in GROWS_BY_DEBIT else -leg.amount
        if place in NEVER_BELOW_ZERO and self.world.balances[key] < 0:
            raise No("insufficient-funds")

    def close(self, account: str, currency: str) -> str:
        """What closing that account comes to."""
        key = account, currency
        if key not in self.world.known:
            return "account-not-found"
        held = sum(
            each.remaining for each in self.world.holds.values() if (each.account, each.currency) == key
        )
        if key not in self.world.closed and (self.world.balances[key] or held):
            return "account-not-empty"
        self.world.closed.add(key)
        return "closed"

    def expire(self) -> None:
        """Everything that is due goes back."""
        for id, held in self.world.holds.items():
            if held.remaining and held.expires_at and held.expires_at <= datetime.now(UTC):
                back = (
                    Leg(f"held/{held.account}", held.currency, held.remaining),
                    Leg(held.account, held.currency, -held.remaining),
                )
                self._book(back, late=False)
                self.world.told.append(("expired", id, held.remaining, Decimal(0)))
                held.remaining = Decimal(0)

    def a_day_passes(self) -> None:
        """What was today is yesterday."""
        self.world.days[-1].closing = dict(self.world.balances)
        self.world.days.append(Day())
        if self.world.closed_until:
            self.world.closed_until -= timedelta(days=1)

    def close_days(self) -> list[ClosedDay]:
        """What each day that is over closes with, oldest first."""
        *over, today = self.world.days
        told: list[ClosedDay] = []
        for day in over:
            before, self.world.closing = self.world.closing, day.closing
            moved = {
                key for key in day.closing if day.debits.get(key) or day.credits.get(key) or before.get(key)
            }
            accounts = {
                key: (day.debits.get(key, Decimal(0)), day.credits.get(key, Decimal(0)), day.closing[key])
                for key in moved
            }
            told.append((day.entries, day.late, accounts))
        if over:
            self.world.days, self.world.closed_until = [today], midnight()
        return told


def midnight() -> datetime:
    """When today began, where generic ledgers are."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _place(leg: Leg) -> str:
    return leg.account.partition("/")[0]


def _asked(group: tuple[Command, ...]) -> tuple[Command, ...]:
    return group
