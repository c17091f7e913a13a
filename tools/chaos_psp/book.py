"""What the provider knows: objects, what they did to its balance, and its settlement files. Pure: the time is
passed in.

The truth ledger is the list of movements: every peso that the provider owes us or has taken back, whatever its
API says about it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from tools.chaos_psp.faults import Faults

ZERO: Final = Decimal(0)
FEE: Final = Decimal("0.036")
DISPUTE_FEE: Final = Decimal("15.00")
CENT: Final = Decimal("0.01")
LASTS: Final = timedelta(days=7)
LATEST: Final = datetime.max.replace(tzinfo=UTC)


class PspError(Exception):
    """The provider refuses: a status, and a code for machines."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Thing:
    """An object. `label` is what it is by what was wished, whatever its key: faults are drawn for that.

    `amount` is what really moved, `shown` and `currency` what the API says.
    """

    id: str
    key: str
    label: str
    act: str
    parent: str | None
    token: str
    amount: Decimal
    shown: Decimal
    currency: str
    status: str
    reason: str | None
    created_at: datetime
    ready_at: datetime
    expires_at: datetime | None = None
    paid_out: str | None = None
    changed_at: datetime | None = None
    """When a dispute was opened, or ended."""

    def status_at(self, now: datetime) -> str:
        """What the API says: what takes its time is processing until then."""
        if now >= self.ready_at:
            return self.status
        return "requires_action" if "action" in self.token and self.act == "authorize" else "processing"


@dataclass(frozen=True, slots=True)
class Move:
    """A change of what the provider owes us."""

    thing: str
    act: str
    amount: Decimal
    at: datetime


@dataclass
class Book:
    """Everything that ever happened at the provider."""

    faults: Faults = field(default_factory=Faults)
    things: dict[str, Thing] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def by_key(self, key: str) -> Thing | None:
        """The first object under a key."""
        return next((each for each in self.things.values() if each.key == key), None)

    def create(
        self, *, key: str, act: str, amount: Decimal, token: str | None, parent: str | None, now: datetime
    ) -> list[Thing]:
        """Do what is wished; the new objects, none if the key was used before. Raises `PspError`."""
        known = self.by_key(key)
        authorization = None if parent is None else self._authorization(parent)
        token = authorization.token if authorization else token or ""
        label = f"{token}:{act}:{amount}"
        if known is not None and not self.faults.strikes("key_ignored", label):
            return []
        thing = self._thing(key, act, amount, token, authorization, label, now, len(self.things))
        made = [thing]
        if act == "capture" and thing.status == "succeeded" and self.faults.strikes("double_capture", label):
            made.append(replace(thing, id=_id(label, "again", len(self.things))))
        for each in made:
            self.things[each.id] = each
            self._move(each, now)
        return made

    def _thing(
        self,
        key: str,
        act: str,
        amount: Decimal,
        token: str,
        authorization: Thing | None,
        label: str,
        now: datetime,
        number: int,
    ) -> Thing:
        status, reason = self._verdict(act, amount, token, authorization, now, label)
        moved = shown = amount
        currency = "MXN"
        if status == "succeeded":
            if self.faults.strikes("wrong_amount", label):
                shown = moved = amount + 1
            elif act == "capture" and self.faults.strikes("partial_capture", label):
                shown = moved = (amount / 2).quantize(CENT)
            if self.faults.strikes("wrong_currency", label):
                currency = "USD"
        slow = timedelta(seconds=0.5) if "slow" in token or "action" in token else timedelta(0)
        lasts = timedelta(seconds=2) if "expires" in token else LASTS
        return Thing(
            id=_id(label, key, number),
            key=key,
            label=label,
            act=act,
            parent=authorization.id if authorization else None,
            token=token,
            amount=moved,
            shown=shown,
            currency=currency,
            status=status,
            reason=reason,
            created_at=now,
            ready_at=now + (slow if act in ("authorize", "refund") else timedelta(0)),
            expires_at=now + lasts if act == "authorize" else None,
        )

    def _verdict(
        self, act: str, amount: Decimal, token: str, authorization: Thing | None, now: datetime, label: str
    ) -> tuple[str, str | None]:
        """Whether it is done, and if not, why."""
        if act == "authorize":
            return ("failed", "card_declined") if "declined" in token else ("succeeded", None)
        if authorization is None or authorization.status != "succeeded":
            raise PspError(422, "authorization_unknown")
        others = [each for each in self.things.values() if each.parent == authorization.id]
        voided = any(each.act == "void" and each.status == "succeeded" for each in others)
        captured = _sum(each for each in others if each.act == "capture")
        if act == "refund":
            refused = (
                "refundfails" in token or _sum(o for o in others if o.act == "refund") + amount > captured
            )
            return ("failed", "refund_refused") if refused else ("succeeded", None)
        if act == "void":
            return ("failed", "already_captured") if captured else ("succeeded", None)
        over = authorization.expires_at is not None and now >= authorization.expires_at
        if over or self.faults.strikes("expired_authorization", label):
            return "failed", "authorization_expired"
        if voided:
            return "failed", "authorization_voided"
        if captured + amount > authorization.amount and not self.faults.strikes("key_ignored", label):
            return "failed", "exceeds_authorization"
        return "succeeded", None

    def _authorization(self, parent: str) -> Thing:
        found = self.things.get(parent)
        if found is None or found.act != "authorize":
            raise PspError(422, "authorization_unknown")
        return found

    def _move(self, thing: Thing, now: datetime) -> None:
        sign = {"capture": 1, "refund": -1}.get(thing.act, 0)
        if sign and thing.status == "succeeded":
            self.moves.append(Move(thing.id, thing.act, sign * thing.amount, now))

    def report(self, id: str, now: datetime) -> Decimal:
        """What an object has done to the balance, all in all."""
        return sum((each.amount for each in self.moves if each.thing == id and each.at <= now), ZERO)

    def come_late(self, now: datetime) -> list[Thing]:
        """Everything that goes wrong long afterwards; the objects that changed or came to be."""
        changed = []
        for thing in sorted(self.things.values(), key=lambda each: each.label):
            if thing.status != "succeeded" or thing.paid_out:
                continue
            if thing.act == "capture" and self.faults.strikes("reversal_after_success", thing.label):
                changed.append(self._fail(thing, "reversed", now))
            elif thing.act == "refund" and self.faults.strikes("refund_fails_after_success", thing.label):
                changed.append(self._fail(thing, "account_closed", now))
            elif thing.act == "refund" and self.faults.strikes("dispute_during_refund", thing.label):
                changed += self._contest(thing, now)
        return changed

    def _contest(self, thing: Thing, now: datetime) -> list[Thing]:
        """A dispute about it, once; its money is taken."""
        id = _id(thing.label, "dispute", 0)
        if id in self.things:
            return []
        self.things[id] = replace(
            thing, id=id, act="dispute", status="processing", reason="fraudulent", changed_at=now
        )
        self.moves.append(Move(id, "chargeback", -thing.amount, now))
        return [self.things[id]]

    def disputes(self, since: datetime, until: datetime, after: str, limit: int) -> list[str]:
        """The ids of the disputes that have changed between these moments, a page in order."""
        changed = (
            each.id
            for each in self.things.values()
            if each.changed_at is not None and since <= each.changed_at <= until
        )
        return sorted(id for id in changed if id > after)[:limit]

    def end_dispute(self, id: str, now: datetime, *, won: bool) -> Thing:
        """A dispute ends in the merchant's favour, who gets back what was taken, or in the cardholder's. Raises `PspError`."""
        dispute = self.things.get(id)
        if dispute is None or dispute.act != "dispute":
            raise PspError(404, "dispute_unknown")
        self.things[id] = replace(dispute, status="succeeded" if won else "failed", changed_at=now)
        if won and (taken := -self.report(id, now)) > 0:
            self.moves.append(Move(id, "chargeback_reversal", taken, now))
        return self.things[id]

    def _fail(self, thing: Thing, reason: str, now: datetime) -> Thing:
        failed = replace(thing, status="failed", reason=reason)
        self.things[thing.id] = failed
        self.moves.append(Move(thing.id, thing.act, -self.report(thing.id, now), now))
        return failed

    def pay_out(self, now: datetime) -> str | None:
        """Publish a settlement file of everything that is not paid out yet; its name, None if there is nothing.

        The file adds up, whatever was left out of it or put into it. One that ends below zero pays nothing out; the next
        one opens with what is owed.
        """
        due = [
            each
            for each in self.things.values()
            if each.paid_out is None and each.act in ("capture", "refund") and self.report(each.id, now)
        ]
        contested = [self._dispute_row(each) for each in self._contested() if not self._filed(each)]
        if not due and not contested:
            return None
        opening = self._owed(list(self.files)[-1]) if self.files else ZERO
        name = f"PO-{len(self.files) + 1:04}"
        rows: list[tuple[str, str, Decimal, Decimal]] = []
        for each in sorted(due, key=lambda thing: (thing.label, thing.id)):
            rows += self._rows(each, now)
            shifted = self.faults.strikes("file_line_shifted", each.label) and len(self.files) == 0
            self.things[each.id] = replace(each, paid_out=None if shifted else name)
        rows += contested
        closing = sum((amount - fee for _, _, amount, fee in rows), opening)
        lines = [
            f"H,{name},MXN,{opening:.2f}",
            *(f"L,{id},{kind},{amount:.2f},{fee:.2f}" for id, kind, amount, fee in rows),
        ]
        self.files[name] = "\n".join([*lines, f"T,{closing:.2f}"]) + "\n"
        return name

    def _contested(self) -> list[Move]:
        """What disputes took and gave back."""
        return [each for each in self.moves if self.things[each.thing].act == "dispute"]

    def _dispute_row(self, move: Move) -> tuple[str, str, Decimal, Decimal]:
        """The line about what a dispute moved. What is taken costs a fee."""
        fee = DISPUTE_FEE if move.act == "chargeback" else Decimal("0.00")
        return move.thing, move.act, move.amount, fee

    def _filed(self, move: Move) -> str | None:
        """The file that has the line about what a dispute moved, if one has."""
        line = f"\nL,{move.thing},{move.act},"
        return next((name for name, text in self.files.items() if line in text), None)

    def _owed(self, name: str) -> Decimal:
        """What a file has left to be set off: its closing balance, if that is below zero."""
        return min(Decimal(self.files[name].rstrip().rpartition("T,")[2]), ZERO)

    def _rows(self, thing: Thing, now: datetime) -> list[tuple[str, str, Decimal, Decimal]]:
        amount = self.report(thing.id, now)
        fee = (amount * FEE).quantize(CENT) if amount > 0 else Decimal("0.00")
        row = (thing.id, thing.act, amount, fee)
        if self.faults.strikes("file_line_missing", thing.label):
            return []
        if self.faults.strikes("file_line_shifted", thing.label) and len(self.files) == 0:
            return []
        if self.faults.strikes("file_line_altered", thing.label):
            return [(thing.id, thing.act, amount + Decimal("0.10"), fee)]
        if self.faults.strikes("file_line_duplicated", thing.label):
            return [row, row]
        return [row]

    def statement(self) -> str:
        """The provider's own account of us: every movement and every payout, from zero to what it owes now."""
        rows = [f"M,{each.thing},{each.act},{each.amount:.2f},{each.at.isoformat()}" for each in self.moves]
        paid: dict[str, Decimal] = {}
        owed = ZERO
        for name in self.files:
            things = [each for each in self.things.values() if each.paid_out == name]
            moved = sum((self.report(each.id, LATEST) for each in things), owed)
            moved += sum((each.amount for each in self._contested() if self._filed(each) == name), ZERO)
            paid[name] = moved - self._owed(name)
            owed = self._owed(name)
        rows += [f"P,{name},payout,{-amount:.2f}," for name, amount in sorted(paid.items())]
        closing = sum((each.amount for each in self.moves), ZERO) - sum(paid.values(), ZERO)
        return "\n".join(["H,STATEMENT,MXN,0.00", *rows, f"T,{closing:.2f}"]) + "\n"

    def digest(self) -> str:
        """A hash of everything, that neither random keys nor the clock can change: the same seed and wishes, the
        same digest."""
        facts = sorted(
            f"{each.label}|{each.status}|{each.reason}|{each.amount}|{each.shown}|{each.currency}"
            for each in self.things.values()
        )
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def plain(thing: Thing) -> dict[str, str | None]:
    """A thing as the log keeps it."""
    return {name: None if value is None else str(value) for name, value in asdict(thing).items()}


def from_plain(fact: dict[str, str]) -> Thing:
    """A thing as the log told it."""

    def moment(name: str) -> datetime | None:
        return datetime.fromisoformat(fact[name]) if fact.get(name) else None

    created, ready = moment("created_at"), moment("ready_at")
    if created is None or ready is None:
        raise ValueError("a fact of the log has no time")
    return Thing(
        id=fact["id"],
        key=fact["key"],
        label=fact["label"],
        act=fact["act"],
        parent=fact["parent"],
        token=fact["token"],
        amount=Decimal(fact["amount"]),
        shown=Decimal(fact["shown"]),
        currency=fact["currency"],
        status=fact["status"],
        reason=fact["reason"],
        created_at=created,
        ready_at=ready,
        expires_at=moment("expires_at"),
        paid_out=fact["paid_out"],
        changed_at=moment("changed_at"),
    )


def _sum(things: Iterable[Thing]) -> Decimal:
    return sum((each.amount for each in things if each.status == "succeeded"), ZERO)


def _id(label: str, key: str, number: int) -> str:
    return "op_" + hashlib.sha256(f"{label}|{key}|{number}".encode()).hexdigest()[:24]
