"""What the rail knows: transfers that came in, orders that went out, and how each of them ends.

Pure: the time is passed in. A movement's end is decided when it is accepted and reached when its time has
come, so nothing has to run in between and a restart changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from clabe import BANK_NAMES, BANKS, validate_clabe

PARTICIPANT = "90646"
"""The institution that holds El Carril's account: every virtual CLABE and every order is its."""


class Status(StrEnum):
    """How far a movement is, in the words of the central bank's receipts."""

    IN_PROCESS = "en proceso"
    LIQUIDATED = "liquidado"
    REJECTED = "rechazado"
    CANCELLED = "cancelado"
    RETURNED = "devuelto"


class RailError(Exception):
    """The rail refuses: `code` is for machines, the text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ClaveReusedError(RailError):
    """The clave was used before, for something else."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money from one account to another. `ends_as` is reached at `ends_at`; until then it is in process."""

    clave: str
    operation_date: date
    institution: str
    ordering_clabe: str
    ordering_name: str
    beneficiary_clabe: str
    beneficiary_name: str
    amount: Decimal
    concept: str
    accepted_at: datetime
    ends_at: datetime
    ends_as: Status
    reason: str | None = None
    statement_amount: Decimal | None = None
    ordering_document: str = "ND"
    """The sender's RFC or CURP, if their bank tells it."""

    @property
    def key(self) -> tuple[date, str, str]:
        """What makes a movement unique on the rail. Claves do not differ by case alone."""
        return self.operation_date, self.institution, self.clave.upper()

    def status(self, now: datetime) -> Status:
        return self.ends_as if now >= self.ends_at else Status.IN_PROCESS

    def same_wish(self, other: "Movement") -> bool:
        """Whether both ask for the same thing, whenever they were asked."""
        return (self.key, self.ordering_clabe, self.beneficiary_clabe, self.amount) == (
            other.key,
            other.ordering_clabe,
            other.beneficiary_clabe,
            other.amount,
        )


@dataclass
class Behaviour:
    """How the rail is told to behave.

    `delay_seconds` passes between accepting a movement and its end. `lose_orders` drops the connection on
    new orders: "before" the order takes effect, or "after" it has. The slow rail clears all that it has accepted
    whenever `clears_every_seconds` are over.
    """

    delay_seconds: float = 0.0
    lose_orders: str | None = None
    clears_every_seconds: float = 2.0
    chaos_seed: int | None = None
    chaos_rate: float = 0.0
    hold_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class AccountLine:
    """A line of the client's account's statement: an abono, an order, or one that came back. Positive is money in."""

    what: str
    movement: Movement
    amount: Decimal
    at: datetime


@dataclass
class Book:
    """Everything that ever happened on the rail."""

    transfers: dict[tuple[date, str, str], Movement] = field(default_factory=dict)
    orders: dict[str, Movement] = field(default_factory=dict)
    closed_accounts: set[str] = field(default_factory=set)
    returned: dict[str, datetime] = field(default_factory=dict)
    """Orders that were carried out and sent back by the receiving bank, by their clave."""
    lies: dict[tuple[date, str, str], str] = field(default_factory=dict)
    """Statuses that the central bank tells of transfers, against what the statement says."""

    def forget(self) -> None:
        """Begin anew: nothing has ever happened."""
        for kept in (self.transfers, self.orders, self.closed_accounts, self.returned, self.lies):
            kept.clear()

    def new_transfer(self, wish: Movement) -> Movement | None:
        """The transfer to accept, or None if it was accepted before. Raises `RailError`."""
        check_clabe(wish.ordering_clabe)
        check_clabe(wish.beneficiary_clabe)
        return self._unless_known(self.transfers.get(wish.key), wish)

    def new_order(self, wish: Movement) -> Movement | None:
        """The order to accept, or None if it was accepted before. Raises `RailError`."""
        check_clabe(wish.beneficiary_clabe)
        return self._unless_known(self.orders.get(wish.clave.upper()), wish)

    def verdict(self, beneficiary_clabe: str) -> tuple[Status, str | None]:
        """How an order to that account ends."""
        if beneficiary_clabe in self.closed_accounts:
            return Status.REJECTED, "cuenta cancelada"
        return Status.LIQUIDATED, None

    def order_status(self, order: Movement, now: datetime) -> Status:
        """How far an order of the participant's is."""
        if order.clave.upper() in self.returned:
            return Status.RETURNED
        return order.status(now)

    def account_lines(self, now: datetime) -> list["AccountLine"]:
        """Everything that has moved the client's account, by time."""
        lines = [
            AccountLine("abono", each, each.statement_amount or each.amount, each.ends_at)
            for each in self.transfers.values()
            if each.status(now) is Status.LIQUIDATED
        ]
        for clave, order in self.orders.items():
            if order.status(now) is Status.LIQUIDATED:
                lines.append(AccountLine("orden", order, -order.amount, order.ends_at))
            if clave in self.returned:
                lines.append(AccountLine("devolucion", order, order.amount, self.returned[clave]))
        return sorted(lines, key=lambda line: line.at)

    def totals(self, now: datetime) -> dict[str, Decimal]:
        """The rail's own truth: what it has liquidated to the participant's customers and for it."""
        return {
            "received": _liquidated(self.transfers.values(), now),
            "paid": _liquidated((each for key, each in self.orders.items() if key not in self.returned), now),
        }

    @staticmethod
    def _unless_known(known: Movement | None, wish: Movement) -> Movement | None:
        if known is None:
            return wish
        if not known.same_wish(wish):
            raise ClaveReusedError("clave-repetida", "La clave de rastreo ya se usó para otra operación")
        return None


def _liquidated(movements: Iterable[Movement], now: datetime) -> Decimal:
    amounts = (each.amount for each in movements if each.status(now) is Status.LIQUIDATED)
    return sum(amounts, start=Decimal("0.00"))


def ends_at(now: datetime, delay_seconds: float) -> datetime:
    return now + timedelta(seconds=delay_seconds)


def check_clabe(clabe: str) -> None:
    if not validate_clabe(clabe):
        raise RailError("clabe-invalida", f"{clabe} no es una CLABE")


def institution_of(clabe: str) -> str:
    """The five-digit code of the institution a CLABE belongs to."""
    return BANKS[clabe[:3]]


def institution_name(code: str) -> str:
    return BANK_NAMES.get(code, code)
