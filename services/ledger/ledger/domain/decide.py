"""Deciding a command: yes with the postings it becomes, or no with the reason.

Every rule here stands a second time in the database (migrations/*_rules.sql), which refuses what
slips through. The order is from the entry's own shape to the state of the books, so that a malformed
command always gets the same answer, whatever the balances.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from ledger.domain import limits, refusals
from ledger.domain.amounts import LARGEST
from ledger.domain.books import Account, AccountKey, Books, Hold
from ledger.domain.chart import Chart, Kind, Side
from ledger.domain.commands import Command, Leg
from ledger.domain.derived import check_derivation, legs_of, with_debts
from ledger.domain.lines import Line, lines_of
from ledger.domain.settling import (
    MARKETS,
    ZERO,
    into_market,
    returned_stakes,
    settlement_after,
    shares_after,
    stakes_after,
)
from ledger.domain.standings import Standing

OWNERS = ("player", "account")
"""Whose money a kind may bind to each other. A market owns nothing."""


class Posting(NamedTuple):
    """A leg decided: the account's state after it."""

    account: Account
    amount: Decimal
    hold: UUID | None


@dataclass(frozen=True, slots=True)
class Decision:
    """An accepted command and its postings, in leg order."""

    command: Command
    postings: tuple[Posting, ...]


def accounts_of(decisions: Iterable[Decision]) -> set[AccountKey]:
    """Every account that `decisions` post on."""
    return {
        (posting.account.path, posting.account.currency) for each in decisions for posting in each.postings
    }


def decide(command: Command, books: Books) -> Decision:
    """Accept `command` and move `books` forward, or leave `books` untouched.

    Raises:
        DomainError: a refusal of `refusals.STORED`, which answers the command for ever.
        NotReady: something the command refers to has not arrived yet.
    """
    kind = _permitted_kind(command, books)
    check_derivation(command, kind)
    legs = command.legs if command.plain else legs_of(command, books)
    if kind.settlement == "recover":
        legs = with_debts(legs, books)
    lines = lines_of(legs, books)
    _check_template(command, kind, lines)
    _check_balance(legs, books.chart)
    _check_bindings(command, kind, lines)
    _check_effect(command, books)
    holds = _holds_after(command, kind, lines, books)
    _check_receipt(command, kind, books)
    stakes = stakes_after(command, kind, lines, books)
    settlement = settlement_after(command, kind, lines, books)
    if settlement:
        stakes = returned_stakes(command, kind, lines, books)
    shares = shares_after(command, kind, lines, books) if settlement else {}
    postings = _post(lines, books.chart)
    standings = _standings_after(command, kind, lines, books)

    for posting in postings:
        books.accounts[posting.account.path, posting.account.currency] = posting.account
    books.holds.update(holds)
    books.stakes.update(stakes)
    books.shares.update(shares)
    books.standings.update(standings)
    if kind.stake:
        books.escrowed[command.reference] = books.escrowed.get(command.reference, ZERO) + into_market(lines)
    if settlement:
        books.settlements[command.reference] = settlement
    if command.receipt:
        books.receipts[command.receipt] = replace(books.receipts[command.receipt], spent=True)
    if command.reverses:
        books.originals[command.reverses] = replace(books.originals[command.reverses], reversed=True)
    return Decision(command, postings)


def _permitted_kind(command: Command, books: Books) -> Kind:
    kind = books.chart.kinds.get(command.kind)
    if kind is None:
        raise refusals.UnknownKind(f"kind {command.kind} is not in the chart", field="kind")
    if command.kind not in books.permitted.get(command.principal, frozenset()):
        raise refusals.KindNotPermitted(f"{command.principal} may not post {command.kind}", field="kind")
    return kind


def _check_effect(command: Command, books: Books) -> None:
    """A closed day stays as it was closed: what comes late takes effect in the open one."""
    if command.effective_at and books.closed_until and command.effective_at < books.closed_until:
        raise refusals.PeriodClosed(
            f"entries take effect from {books.closed_until.isoformat()} on; the days before are closed",
            field="effective_at",
        )


def _check_template(command: Command, kind: Kind, lines: list[Line]) -> None:
    if len(lines) < 2:
        raise refusals.TemplateViolation("an entry has at least 2 postings", field="postings")
    for line in lines:
        side = Side.DEBIT if line.amount > 0 else Side.CREDIT
        if (side, line.account.cls.name) not in kind.template and not kind.mirror:
            raise refusals.TemplateViolation(
                f"{kind.name} does not {side.word} {line.account.path}", field=f"{line.field}.account"
            )
        if line.account.cls.requires_hold != (line.hold is not None):
            word = "needs" if line.account.cls.requires_hold else "takes no"
            raise refusals.TemplateViolation(f"{line.account.path} {word} hold", field=f"{line.field}.hold")
    if kind.receipt != (command.receipt is not None):
        raise refusals.TemplateViolation(
            f"{kind.name} {'needs a' if kind.receipt else 'takes no'} receipt", field="receipt"
        )
    if (kind.settlement is not None) != (command.settlement is not None):
        raise refusals.TemplateViolation(
            f"{kind.name} {'needs a' if kind.settlement else 'takes no'} settlement", field="settlement"
        )


def _check_balance(legs: Sequence[Leg], chart: Chart) -> None:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for leg in legs:
        sums[leg.currency] += leg.amount
    for currency, rest in sums.items():
        if rest:
            raise refusals.UnbalancedEntry(
                f"debits exceed credits by {chart.money(rest, currency)}"
                if rest > 0
                else f"credits exceed debits by {chart.money(-rest, currency)}",
                field="postings",
            )


def _check_bindings(command: Command, kind: Kind, lines: list[Line]) -> None:
    if kind.players is not None:
        owners = {line.account.owner for line in lines if line.account.cls.owner_kind in OWNERS}
        if len(owners) != kind.players:
            raise refusals.TemplateViolation(
                f"{kind.name} is between {kind.players} owner(s), not {len(owners)}", field="postings"
            )
    for line in lines:
        if line.account.cls.owner_kind == "market" and command.reference != f"{MARKETS}{line.account.owner}":
            raise refusals.TemplateViolation(
                f"the reference names another market than {line.account.path}", field="reference"
            )


def _holds_after(command: Command, kind: Kind, lines: list[Line], books: Books) -> dict[UUID, Hold]:
    after: dict[UUID, Hold] = {}
    for line in lines:
        if line.hold is None:
            continue
        known = after.get(line.hold) or books.holds.get(line.hold)
        if kind.hold == "open":
            if known is not None:
                raise refusals.HoldExists(f"hold {line.hold} exists", field=f"{line.field}.hold")
            giver = None if line.account.owner else _only_player(lines)
            after[line.hold] = Hold(
                line.account.id,
                command.reference,
                -line.amount,
                giver,
                line.account.path,
                _origin(lines, line.account.currency),
                line.account.currency,
            )
            continue
        if known is None:
            raise refusals.HoldNotReady(f"hold {line.hold} has not been opened", field=f"{line.field}.hold")
        if (known.account_id, known.reference) != (line.account.id, command.reference):
            raise refusals.HoldMismatch(
                f"hold {line.hold} is not on {line.account.path} for {command.reference}",
                field=f"{line.field}.hold",
            )
        if known.player and any(each.account.owner not in (None, known.player) for each in lines):
            raise refusals.HoldMismatch(f"hold {line.hold} was not taken from that player", field="postings")
        if known.remaining < line.amount:
            raise refusals.HoldExhausted(
                f"hold {line.hold} has {books.chart.money(known.remaining, line.account.currency)} remaining",
                field=f"{line.field}.amount",
            )
        after[line.hold] = replace(known, remaining=known.remaining - line.amount)
    return after


def _origin(lines: list[Line], currency: str) -> str | None:
    """The one account that the money held in this currency was taken from."""
    origins = {line.account.path for line in lines if line.amount > 0 and line.account.currency == currency}
    return origins.pop() if len(origins) == 1 else None


def _only_player(lines: list[Line]) -> str | None:
    return next((line.account.owner for line in lines if line.account.cls.owner_kind == "player"), None)


def _check_receipt(command: Command, kind: Kind, books: Books) -> None:
    if command.receipt is None:
        return
    receipt = books.receipts.get(command.receipt)
    if receipt is None:
        raise refusals.ReceiptNotReady(f"receipt {command.receipt} is not here yet", field="receipt")
    if receipt.spent:
        raise refusals.ReceiptSpent(f"receipt {command.receipt} was spent before", field="receipt")
    if not receipt.ready:
        raise refusals.ReceiptNotReady("the receipt it stems from is not booked yet", field="receipt")
    debits = {account.replace("{rail}", receipt.rail) for account in kind.receipt_debits}
    attested = [(receipt.account, receipt.currency, -receipt.amount)]
    if (
        receipt.purpose != kind.name
        or [(leg.account, leg.currency, leg.amount) for leg in command.legs if leg.amount < 0] != attested
        or not all(leg.account in debits for leg in command.legs if leg.amount > 0)
    ):
        raise refusals.ReceiptMismatch(
            f"the receipt attests {receipt.purpose} of {books.chart.money(receipt.amount, receipt.currency)} "
            f"to {receipt.account}",
            field="receipt",
        )


def _post(lines: list[Line], chart: Chart) -> tuple[Posting, ...]:
    """The accounts after each leg; refuses any step that crosses a floor, or goes beyond what an account can hold."""
    after: dict[int, Account] = {}
    postings = []
    for line in lines:
        account = after.get(line.account.id, line.account)
        balance = account.balance + line.amount
        if account.cls.floored and balance * account.cls.side < 0:
            raise refusals.InsufficientFunds(
                f"{account.path} holds {chart.money(abs(account.balance), account.currency)}",
                field=f"{line.field}.amount",
            )
        if abs(balance) >= LARGEST:
            raise refusals.BalanceTooLarge(
                f"{account.path} holds {chart.money(abs(account.balance), account.currency)} and has no room for "
                f"{chart.money(abs(line.amount), account.currency)}",
                field=f"{line.field}.amount",
            )
        account = account.after(balance)
        after[account.id] = account
        postings.append(Posting(account, line.amount, line.hold))
    return tuple(postings)


def _standings_after(command: Command, kind: Kind, lines: list[Line], books: Books) -> Mapping[str, Standing]:
    """Where players with a policy stand. Most have none, and for them this is a look at each leg."""
    if not any(line.account.limited for line in lines):
        return {}
    counting = books.chart.kinds[books.originals[command.reverses].kind] if command.reverses else kind
    moves = [(line.account, line.amount) for line in lines]
    return limits.after(counting, moves, books.standings, books.chart, capped=kind.capped)
