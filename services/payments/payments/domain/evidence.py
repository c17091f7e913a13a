"""What the rail says about a transfer, from two sources, and what follows for a claim.

One source is our participant's statement of abonos, the other the central bank's receipt (CEP). The
claim itself proves nothing: it only says where to look.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final, Literal

from common.money import Money

from payments.domain.accounts import Clabe
from payments.domain.deposits import CURRENCY, Transfer
from payments.domain.holders import Holder, contradicts, is_same

MEXICO_CITY: Final = timezone(timedelta(hours=-6))
"""The rail's clock, which is also the cadena's. Mexico gave up summer time in 2022."""

CADENA_FIELDS: Final = 47
_CAPTURE_DATE, _CAPTURE_TIME = 4, 5
_ORDERING_ACCOUNT, _BENEFICIARY_CLABE, _AMOUNT = 10, 15, 19


class RailStatus(StrEnum):
    """How far a transfer is, in the rail's words."""

    IN_PROCESS = "en proceso"
    LIQUIDATED = "liquidado"
    REJECTED = "rechazado"
    CANCELLED = "cancelado"
    RETURNED = "devuelto"


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One abono on our participant's statement."""

    transfer: Transfer
    beneficiary_clabe: str
    ordering_account: str
    amount: Money
    status: RailStatus


@dataclass(frozen=True, slots=True)
class Document:
    """The CEP's document: what its XML says, beside the cadena original that the seal covers."""

    clave: str
    operation_date: date
    beneficiary_clabe: str
    ordering_account: str
    ordering_name: str
    amount: Money
    cadena: str
    ordering_document: str = ""
    """The sender's RFC or CURP, if the institution told it; often "ND"."""


@dataclass(frozen=True, slots=True)
class Cep:
    """The central bank's answer: a status and, once liquidated, the document."""

    status: RailStatus
    document: Document | None


@dataclass(frozen=True, slots=True)
class Cadena:
    """What the cadena original says. The clave de rastreo is in none of its fields."""

    occurred_at: datetime
    ordering_account: str
    beneficiary_clabe: str
    amount: Money


class UnreadableCadena(ValueError):
    """Not a cadena original as the rail writes it."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The money is in the player's own account, by both sources."""

    occurred_at: datetime
    beneficiary_clabe: str
    ordering_account: str
    ordering_name: str
    amount: Money
    cadena: str

    @property
    def document_sha256(self) -> bytes:
        """Over the cadena: the same document under another clave has the same hash."""
        return hashlib.sha256(self.cadena.encode()).digest()


@dataclass(frozen=True, slots=True)
class NotYet:
    """Nothing to decide on yet."""

    reason: Literal["not-found", "in-process", "holder-unknown"]


@dataclass(frozen=True, slots=True)
class Unfounded:
    """The claim is wrong, by both sources. The same transfer may be claimed again, correctly."""

    reason: str


@dataclass(frozen=True, slots=True)
class Contradictory:
    """The sources do not agree: nothing is booked, a person decides."""

    reason: str


@dataclass(frozen=True, slots=True)
class Misnamed:
    """The money is there, sent by somebody who is not the player: it goes to suspense."""

    ordering_name: str
    by: Literal["name", "document"] = "name"


Finding = Proven | NotYet | Unfounded | Contradictory | Misnamed

_OVER: Final = {
    RailStatus.REJECTED: "transfer-rejected",
    RailStatus.CANCELLED: "transfer-cancelled",
    RailStatus.RETURNED: "transfer-returned",
}


def judge(
    *,
    transfer: Transfer,
    claimed: Money,
    own: Clabe,
    line: StatementLine | None,
    cep: Cep | None,
    holder: Holder | None = None,
) -> Finding:
    """What the two sources make of a claim for `claimed` into the player's `own` CLABE.

    `holder` is the player as identity has verified them.
    """
    finding = _weigh(transfer, claimed, own, line, cep)
    if isinstance(finding, Proven):
        if holder is None:
            return NotYet("holder-unknown")
        if not is_same(holder, finding.ordering_name):
            return Misnamed(finding.ordering_name)
        if (
            cep is not None
            and cep.document is not None
            and contradicts(holder, cep.document.ordering_document)
        ):
            return Misnamed(finding.ordering_name, by="document")
    return finding


def _weigh(
    transfer: Transfer, claimed: Money, own: Clabe, line: StatementLine | None, cep: Cep | None
) -> Finding:
    if line is None or cep is None:
        return NotYet("not-found")
    if RailStatus.IN_PROCESS in (line.status, cep.status):
        return NotYet("in-process")
    if line.status is not cep.status:
        return Contradictory("status-differs")
    if line.status is not RailStatus.LIQUIDATED:
        return Unfounded(_OVER[line.status])
    if cep.document is None:
        return NotYet("in-process")
    return _compare(transfer, claimed, own, line, cep.document)


def _compare(
    transfer: Transfer, claimed: Money, own: Clabe, line: StatementLine, document: Document
) -> Finding:
    try:
        cadena = parse_cadena(document.cadena)
    except UnreadableCadena:
        return Contradictory("document-unreadable")
    if own not in (line.beneficiary_clabe, document.beneficiary_clabe, cadena.beneficiary_clabe):
        return Unfounded("not-your-clabe")
    found = agree(transfer, line, document)
    if isinstance(found, Proven) and found.amount != claimed:
        return Unfounded("amount-differs")
    return found


def agree(transfer: Transfer, line: StatementLine, document: Document) -> Proven | Contradictory:
    """What both sources say of this transfer, if they say the same and mean this one."""
    try:
        cadena = parse_cadena(document.cadena)
    except UnreadableCadena:
        return Contradictory("document-unreadable")
    beneficiaries = {line.beneficiary_clabe, document.beneficiary_clabe, cadena.beneficiary_clabe}
    named = Transfer(document.clave, document.operation_date, transfer.institution)
    if {line.transfer.tracking_key, named.tracking_key} != {transfer.tracking_key}:
        return Contradictory("transfer-differs")
    if len(beneficiaries) > 1:
        return Contradictory("beneficiary-differs")
    if len({line.amount, document.amount, cadena.amount}) > 1:
        return Contradictory("amount-differs-between-sources")
    if len({line.ordering_account, document.ordering_account, cadena.ordering_account}) > 1:
        return Contradictory("ordering-account-differs")
    return Proven(
        occurred_at=cadena.occurred_at,
        beneficiary_clabe=cadena.beneficiary_clabe,
        ordering_account=cadena.ordering_account,
        ordering_name=document.ordering_name,
        amount=cadena.amount,
        cadena=document.cadena,
    )


def parse_cadena(text: str) -> Cadena:
    """Read a cadena original. Raises `UnreadableCadena` unless it has its 47 fields and they make sense."""
    fields = text.split("|")
    if len(fields) != CADENA_FIELDS:
        raise UnreadableCadena(f"a cadena has {CADENA_FIELDS} fields, not {len(fields)}")
    try:
        captured = (
            datetime.strptime(fields[_CAPTURE_DATE] + fields[_CAPTURE_TIME], "%d%m%Y%H%M%S")
            .replace(tzinfo=MEXICO_CITY)
            .astimezone(UTC)
        )
        amount = Money.parse(fields[_AMOUNT], CURRENCY)
    except (ValueError, OverflowError) as error:
        raise UnreadableCadena(str(error)) from error
    if not amount.is_positive:
        raise UnreadableCadena("an amount is more than zero")
    return Cadena(
        occurred_at=captured,
        ordering_account=fields[_ORDERING_ACCOUNT],
        beneficiary_clabe=fields[_BENEFICIARY_CLABE],
        amount=amount,
    )
