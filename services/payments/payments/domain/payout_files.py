"""The provider's settlement files: what it says that it has paid out, line by line."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from payments.domain.cards import Act, Operation, OperationState
from payments.domain.disputes import Dispute, DisputeState
from payments.domain.refusals import BadPayoutFile

ZERO: Final = Decimal(0)
CURRENCY: Final = "MXN"


class BreakClass(StrEnum):
    """Why a line and our books do not agree."""

    MISSING_INTERNAL = "MISSING_INTERNAL"
    MISSING_EXTERNAL = "MISSING_EXTERNAL"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    DUPLICATE = "DUPLICATE"
    TIMING_OR_STATE = "TIMING_OR_STATE"


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """One object in a payout: what it was for, its signed amount in our favour and the fee kept of it."""

    number: int
    psp_id: str
    kind: str
    amount: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class PayoutFile:
    """A file that adds up: opening + amounts - fees = closing.

    A closing above zero is paid out; one below it is owed to the provider, and the next file opens with it.
    """

    opening: Decimal
    closing: Decimal
    lines: tuple[PayoutLine, ...]


def parse_payout(text: str) -> PayoutFile:
    """Read a settlement file. Raises `BadPayoutFile` unless every row is as it must be and it adds up."""
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise BadPayoutFile(f"no rows can be read: {error}") from error
    if len(rows) < 2 or rows[0][0] != "H" or rows[-1][0] != "T":
        raise BadPayoutFile("a file begins with H and ends with T")
    try:
        opening, closing = _amount(rows[0][3]), _amount(rows[-1][1])
        lines = tuple(_line(at, row) for at, row in enumerate(rows[1:-1], 1))
    except IndexError as error:
        raise BadPayoutFile("a row is too short") from error
    total = opening + sum((line.amount - line.fee for line in lines), ZERO)
    if rows[0][2] != CURRENCY:
        raise BadPayoutFile(f"the file is in {rows[0][2]}, not in {CURRENCY}")
    if total != closing:
        raise BadPayoutFile(f"opening and lines make {total}, the file says {closing}")
    if opening > ZERO:
        raise BadPayoutFile(f"the file opens with {opening} in our favour, and none was left to be paid out")
    return PayoutFile(opening, closing, lines)


def _line(number: int, row: Sequence[str]) -> PayoutLine:
    if row[0] != "L":
        raise BadPayoutFile(f"row {number} is neither header, line nor trailer")
    return PayoutLine(number, row[1], row[2], _amount(row[3]), _amount(row[4]))


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
        in_centavos = amount.is_finite() and amount == amount.quantize(Decimal("0.01"))
    except InvalidOperation as error:  # no number, or one of more digits than money has
        raise BadPayoutFile(f"{text[:40]!r} is no amount") from error
    if not in_centavos:
        raise BadPayoutFile(f"{text[:40]!r} is no amount of pesos and centavos")
    return amount


def match(line: PayoutLine, operation: Operation | None, *, seen: bool) -> BreakClass | None:
    """How a line disagrees with the operation it names; None: it matches. `seen`: another line had it before."""
    if seen:
        return BreakClass.DUPLICATE
    if operation is None or line.kind not in _KINDS or _KINDS[line.kind][0] is not operation.act:
        return BreakClass.MISSING_INTERNAL
    _, sign, states = _KINDS[line.kind]
    if line.amount != sign * operation.amount.amount or not ZERO <= line.fee <= abs(line.amount):
        return BreakClass.AMOUNT_MISMATCH
    return None if operation.state in states else BreakClass.TIMING_OR_STATE


def match_dispute(
    line: PayoutLine, dispute: Dispute | None, counted: Mapping[str, Decimal]
) -> BreakClass | None:
    """How a line disagrees with the dispute it names; None: it matches. `counted` are the amounts of the lines about it that
    were counted before, by kind. What is taken is a part of what is disputed; what is given back, of what was taken."""
    if line.kind in counted:
        return BreakClass.DUPLICATE
    if dispute is None:
        return BreakClass.MISSING_INTERNAL
    if line.kind == CHARGEBACK:
        moved, most = -line.amount, dispute.amount
    elif dispute.state is DisputeState.WON and CHARGEBACK in counted:
        moved, most = line.amount, -counted[CHARGEBACK]
    else:
        return BreakClass.TIMING_OR_STATE
    fits = ZERO < moved <= most and ZERO <= line.fee <= MOST_DISPUTE_FEE
    return None if fits else BreakClass.AMOUNT_MISMATCH


def settled(opening: Decimal, gross: Decimal, fees: Decimal) -> Decimal:
    """What a file takes off the provider's account in pesos: what it pays out, and the fees it keeps.

    Nothing is paid out below zero: what the refunds exceed the captures by stays on that account, owed by us, and
    is set off against the next file, which opens with it.
    """
    return max(opening + gross - fees, ZERO) + fees


def contradicts(
    file: PayoutFile,
    counted: Sequence[tuple[PayoutLine, Operation | Dispute]],
    *,
    amount: Decimal,
    fees: Decimal,
) -> str | None:
    """Why the lines that were counted, each with what it was counted for, do not settle `amount`, `fees` of it
    kept, by this file; None: they do, line by line. How far an operation has come meanwhile is no matter."""
    lines = {line.number: line for line in file.lines}
    for kept, about in counted:
        if lines.get(kept.number) != kept:
            return "line-differs"
        if about.psp_id != kept.psp_id or _differs(kept, about) not in _AGREES:
            return "operation-differs"
    if sum((kept.fee for kept, _ in counted), ZERO) != fees:
        return "fee-differs"
    gross = sum((kept.amount for kept, _ in counted), ZERO)
    return "amount-differs" if settled(file.opening, gross, fees) != amount else None


def _differs(kept: PayoutLine, about: Operation | Dispute) -> BreakClass | None:
    if isinstance(about, Operation):
        return match(kept, about, seen=False)
    return match_dispute(kept, about, {} if kept.kind == CHARGEBACK else {CHARGEBACK: -about.amount})


CHARGEBACK: Final = "chargeback"
OF_DISPUTES: Final = frozenset({CHARGEBACK, "chargeback_reversal"})
"""Kinds of lines that are about a dispute: its money is taken, with a fee; and given back."""
MOST_DISPUTE_FEE: Final = Decimal(2000)
"""In pesos: what is kept beyond this is for people. It is a fee for the work, and may exceed what is disputed."""

_AGREES: Final = frozenset({None, BreakClass.TIMING_OR_STATE})

_S = OperationState
_KINDS: Final = {
    "capture": (Act.CAPTURE, 1, frozenset({_S.BOOKED})),
    "refund": (Act.REFUND, -1, frozenset({_S.BOOKED, _S.REVERSING, _S.REVERSED})),
    "refund_failure": (Act.REFUND, 1, frozenset({_S.REVERSED})),
}
"""What a kind of line is about, its sign in our favour, and where our side must be."""

UNDER_WAY: Final = frozenset(
    {_S.REQUESTED, _S.RESERVED, _S.SENDING, _S.UNKNOWN, _S.PENDING, _S.CONFIRMED, _S.REVERSING}
)
"""States in which our side has not caught up yet: the file waits a while for it."""
