"""Arrivals: money that came in and is nobody's yet. It is booked to suspense, and then people decide whose it is.

NOTED > SUSPENDED > ASSIGNING > ASSIGNED, or SUSPENDED > RETURN_SENDING > RETURN_SENT > RETURNING > RETURNED; where the
sources never agree on it, NOTED > QUARANTINED > REJECTED. The
return is an order of ours, and as careful as a withdrawal's: RETURN_UNKNOWN until the rail answers. One that the
rail will not carry out leads back to SUSPENDED, for people to decide anew; so does what nobody could attest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType
from uuid import UUID, uuid5

from common.money import Money

from payments.domain.accounts import PlayerId
from payments.domain.deposits import DepositId, IllegalStep, Transfer
from payments.domain.evidence import MEXICO_CITY
from payments.domain.orders import OWN_INSTITUTION, Order, RailOrder

ArrivalId = NewType("ArrivalId", UUID)

ARRIVALS: Final = UUID("8f1b7a3c-6f0d-5b7e-9f7e-3b1f6d2c4e5a")
"""The namespace of arrival ids: one transfer is one arrival."""

CAME_BACK: Final = "RETURNED:"
"""How the tracking key begins of what is no transfer of another's but an order of ours that came back."""
RETURN_CAME_BACK: Final = "return-came-back"
RETURNED_AMOUNT_DIFFERS: Final = "returned-amount-differs"

UNKNOWN_CLABE: Final = "unknown-clabe"
NAME_DIFFERS: Final = "name-differs"
DOCUMENT_DIFFERS: Final = "document-differs"
LIMITED: Final = ("limit-exceeded", "player-blocked")
"""Beyond what the player allows themselves, by the ledger's word."""
SUSPENDING: Final = (NAME_DIFFERS, DOCUMENT_DIFFERS, *LIMITED)
"""Why a deposit goes to suspense without anybody deciding so."""


class ArrivalState(StrEnum):
    """Where an arrival is."""

    NOTED = "NOTED"
    SUSPENDED = "SUSPENDED"
    ASSIGNING = "ASSIGNING"
    ASSIGNED = "ASSIGNED"
    RETURN_SENDING = "RETURN_SENDING"
    RETURN_UNKNOWN = "RETURN_UNKNOWN"
    RETURN_SENT = "RETURN_SENT"
    RETURNING = "RETURNING"
    RETURNED = "RETURNED"
    QUARANTINED = "QUARANTINED"
    REJECTED = "REJECTED"


_A = ArrivalState
STEPS: Final[Mapping[ArrivalState, frozenset[ArrivalState]]] = MappingProxyType(
    {
        _A.NOTED: frozenset({_A.SUSPENDED, _A.QUARANTINED}),
        _A.SUSPENDED: frozenset({_A.ASSIGNING, _A.RETURN_SENDING}),
        _A.ASSIGNING: frozenset({_A.ASSIGNED, _A.SUSPENDED}),
        _A.RETURN_SENDING: frozenset({_A.RETURN_UNKNOWN, _A.RETURN_SENT, _A.RETURNING, _A.SUSPENDED}),
        _A.RETURN_UNKNOWN: frozenset({_A.RETURN_SENDING, _A.RETURN_SENT, _A.RETURNING, _A.SUSPENDED}),
        _A.RETURN_SENT: frozenset({_A.RETURNING, _A.SUSPENDED}),
        _A.RETURNING: frozenset({_A.RETURNED, _A.SUSPENDED}),
        _A.ASSIGNED: frozenset(),
        _A.RETURNED: frozenset(),
        _A.QUARANTINED: frozenset({_A.NOTED, _A.REJECTED}),
        _A.REJECTED: frozenset(),
    }
)
"""Which state may follow which. The database holds the same."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A transfer to us that is nobody's, and what became of it. `deposit_id` is the claim it was taken from;
    `came_back`: it is an order of ours that the receiving bank has sent back."""

    id: ArrivalId
    transfer: Transfer
    beneficiary_clabe: str
    ordering_account: str
    ordering_name: str
    amount: Money
    reason: str
    state: ArrivalState
    noted_at: datetime
    deposit_id: DepositId | None = None
    came_back: bool = False
    player: PlayerId | None = None
    attention: str | None = None
    return_clave: str | None = None
    sends: int = 0
    sent_at: datetime | None = None
    tries: int = 0
    leases: int = 0

    def to(self, after: ArrivalState) -> "Arrival":
        """The arrival one step on. Raises `IllegalStep` for a step there is not."""
        if after not in STEPS[self.state]:
            raise IllegalStep(f"{self.state} does not lead to {after}")
        return replace(self, state=after, attention=None, tries=0)

    def returning(self) -> "Arrival":
        """To be sent back, under a clave that no order before had. Raises `IllegalStep` unless it is in suspense."""
        if self.state is not ArrivalState.SUSPENDED:
            raise IllegalStep(f"{self.state} is not in suspense")
        fresh = self.id if self.return_clave is None else uuid5(self.id, self.return_clave)
        clave = f"ED{fresh.hex.upper()[:28]}"
        return replace(self.to(ArrivalState.RETURN_SENDING), return_clave=clave, sends=0, sent_at=None)

    def sending(self, now: datetime) -> "Arrival":
        """About to be sent back."""
        again = self if self.state is ArrivalState.RETURN_SENDING else self.to(ArrivalState.RETURN_SENDING)
        return replace(again, sends=self.sends + 1, sent_at=now)

    @property
    def tracking_key(self) -> str:
        """What its receipts name it by: one transfer, or one order that came back, has one."""
        return CAME_BACK + self.transfer.clave.upper() if self.came_back else self.transfer.tracking_key

    @property
    def reference(self) -> str:
        """What all of its entries in the ledger refer to."""
        return f"arrivals/{self.id}"

    @property
    def order(self) -> Order:
        """The order that sends it back. Raises `IllegalStep` before that is decided."""
        if self.return_clave is None:
            raise IllegalStep(f"arrival {self.id} is not to be returned")
        return Order(
            clave=self.return_clave,
            clabe=self.ordering_account,
            beneficiary_name=self.ordering_name,
            amount=self.amount,
            concept="Devolucion",
            sends=self.sends,
            sent_at=self.sent_at,
            unknown=self.state is ArrivalState.RETURN_UNKNOWN,
        )


def arrival_id(tracking_key: str) -> ArrivalId:
    """One transfer is one arrival, and so is one order that came back."""
    return ArrivalId(uuid5(ARRIVALS, tracking_key))


def that_came_back(order: RailOrder, name: str, reason: str, now: datetime) -> Arrival:
    """What an order of ours brought back, that had gone to somebody of that `name`."""
    day = order.operation_date or now.astimezone(MEXICO_CITY).date()
    return Arrival(
        id=arrival_id(CAME_BACK + order.clave.upper()),
        transfer=Transfer(order.clave, day, OWN_INSTITUTION),
        beneficiary_clabe="",
        ordering_account=order.beneficiary_clabe,
        ordering_name=name,
        amount=order.amount,
        reason=reason,
        state=ArrivalState.NOTED,
        noted_at=now,
        came_back=True,
    )
