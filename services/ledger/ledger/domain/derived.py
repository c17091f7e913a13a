"""Entries whose legs the ledger writes itself, from what stands in the journal: the mirror of an entry,
and what remains of a hold going back where it came from."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.domain import refusals
from ledger.domain.books import Books
from ledger.domain.chart import Kind
from ledger.domain.commands import Command, Leg

CLOCK = "ledger"
"""The principal in whose name holds expire."""


def check_derivation(command: Command, kind: Kind) -> None:
    """Whether `kind` may be asked for in this form.

    Raises:
        TemplateViolation: the command mirrors, drains or sets an expiry where its kind does not, or names
            legs of its own beside that.
        ExpiryPassed: the hold that it opens would be over.
        KindNotPermitted: a hold made to expire by anyone but the ledger.
    """
    if kind.mirror != (command.reverses is not None):
        word = "needs" if kind.mirror else "takes no"
        raise refusals.TemplateViolation(f"{kind.name} {word} entry to reverse", field="reverses")
    if command.expires_at is not None and not kind.expiring:
        raise refusals.TemplateViolation(f"no hold of {kind.name} expires", field="expires_at")
    if command.overdue:
        raise refusals.ExpiryPassed("the hold would have ended before it began", field="expires_at")
    if command.drains is not None and kind.draws not in ("release", "expire"):
        raise refusals.TemplateViolation(f"{kind.name} does not release a hold", field="drains")
    if (command.reverses or command.drains) and command.legs:
        raise refusals.TemplateViolation("the ledger writes these postings itself", field="postings")
    if kind.draws == "expire" and (command.principal != CLOCK or command.drains is None):
        raise refusals.KindNotPermitted("a hold expires of itself, when it is due", field="kind")


def legs_of(command: Command, books: Books) -> tuple[Leg, ...]:
    """The legs of a command that says what to mirror or to drain; its own otherwise.

    Raises:
        EntryNotReady, HoldNotReady: the entry or the hold has not arrived.
        NotReversible, AlreadyReversed, KindNotPermitted, TemplateViolation: see `_mirror`.
        HoldExhausted, HoldMismatch: nothing remains, or it was taken from several accounts.
    """
    if command.reverses:
        return _mirror(command, books)
    if command.drains:
        return _rest(command, books)
    return command.legs


def _mirror(command: Command, books: Books) -> tuple[Leg, ...]:
    """The original's legs with the sides exchanged, under its own reference."""
    original = books.originals.get(command.reverses) if command.reverses else None
    if original is None:
        raise refusals.EntryNotReady(f"entry {command.reverses} is not in the journal", field="reverses")
    if not books.chart.kinds[original.kind].reversible:
        raise refusals.NotReversible(f"a {original.kind} is not reversed", field="reverses")
    if original.kind not in books.permitted.get(command.principal, frozenset()):
        raise refusals.KindNotPermitted(f"{command.principal} may not post {original.kind}", field="reverses")
    if original.reference != command.reference:
        raise refusals.TemplateViolation("a reversal keeps its entry's reference", field="reference")
    if original.reversed:
        raise refusals.AlreadyReversed(f"entry {command.reverses} was reversed before", field="reverses")
    return tuple(Leg(leg.account, leg.currency, -leg.amount, leg.hold) for leg in original.legs)


def _rest(command: Command, books: Books) -> tuple[Leg, ...]:
    """All that remains of the hold, back to its origin."""
    hold = books.holds.get(command.drains) if command.drains else None
    if hold is None:
        raise refusals.HoldNotReady(f"hold {command.drains} has not been opened", field="drains")
    if hold.remaining == 0:
        raise refusals.HoldExhausted(f"nothing remains of hold {command.drains}", field="drains")
    if hold.origin is None:
        raise refusals.HoldMismatch(f"hold {command.drains} was taken from several accounts", field="drains")
    return (
        Leg(hold.account, hold.currency, hold.remaining, command.drains),
        Leg(hold.origin, hold.currency, -hold.remaining),
    )


def debt_of(account: str) -> str:
    """Where what is missing on a player's available account is booked; any other account is its own answer."""
    player, is_available, rest = account.rpartition("/available")
    return f"{player}/debt" if is_available and not rest else account


def with_debts(legs: Sequence[Leg], books: Books) -> tuple[Leg, ...]:
    """A recovery's legs: each player gives what is there, and owes the rest."""
    after: list[Leg] = []
    for leg in legs:
        account = books.accounts.get((leg.account, leg.currency))
        debt = debt_of(leg.account)
        if account is None or leg.amount <= 0 or debt == leg.account or -account.balance >= leg.amount:
            after.append(leg)
            continue
        if account.balance:
            after.append(Leg(leg.account, leg.currency, -account.balance))
        after.append(Leg(debt, leg.currency, leg.amount + account.balance))
    return tuple(after)
