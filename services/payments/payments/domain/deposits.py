"""Deposits: a player's claim that a transfer was sent, and the states it goes through.

CLAIMED > VERIFYING > ATTESTED > BOOKED. A claim that the rail does not confirm yet goes back and forth
between VERIFYING and NOT_FOUND_YET until its window ends, then is REJECTED. QUARANTINED is for a person:
the rail's two sources contradict each other, the sender has another's name, or the ledger would not take what was
attested. From there the money may go to suspense: SUSPENDED > ASSIGNED to its player or RETURNED to its sender.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType
from uuid import UUID, uuid5

from common.money import Money

from payments.domain.accounts import PlayerId
from payments.domain.refusals import InvalidClaim

DepositId = NewType("DepositId", UUID)

RECEIPTS: Final = UUID("0d5a4a0e-7d0a-5f3e-8f55-1c6a2f1f0c52")
"""The namespace of receipt ids: one transfer has one receipt id, however often it is attested."""

CURRENCY: Final = "MXN"
"""The only currency that SPEI moves."""

ZERO: Final = Decimal(0)
LIMIT: Final = Decimal(10) ** 15
"""No amount in pesos that comes or goes reaches it; the database holds the same."""

REVIEW_REJECTED: Final = "review-rejected"
"""Why something was rejected by people: their word is the last, whatever a statement goes on showing."""

_CLAVE: Final = re.compile(r"[A-Za-z0-9]{1,30}")
_INSTITUTION: Final = re.compile(r"[0-9]{5}")
OLDEST_CLAIM: Final = timedelta(days=90)


class IllegalStep(Exception):
    """A step that the states do not know: a defect of ours, never a player's."""


class DepositState(StrEnum):
    """Where a deposit is."""

    CLAIMED = "CLAIMED"
    VERIFYING = "VERIFYING"
    NOT_FOUND_YET = "NOT_FOUND_YET"
    ATTESTED = "ATTESTED"
    BOOKED = "BOOKED"
    REJECTED = "REJECTED"
    QUARANTINED = "QUARANTINED"
    SUSPENDED = "SUSPENDED"
    ASSIGNED = "ASSIGNED"
    RETURNED = "RETURNED"


STEPS: Final[Mapping[DepositState, frozenset[DepositState]]] = MappingProxyType(
    {
        DepositState.CLAIMED: frozenset({DepositState.VERIFYING}),
        DepositState.NOT_FOUND_YET: frozenset({DepositState.VERIFYING}),
        DepositState.VERIFYING: frozenset(
            {
                DepositState.NOT_FOUND_YET,
                DepositState.ATTESTED,
                DepositState.REJECTED,
                DepositState.QUARANTINED,
            }
        ),
        DepositState.ATTESTED: frozenset({DepositState.BOOKED, DepositState.QUARANTINED}),
        DepositState.QUARANTINED: frozenset(
            {DepositState.BOOKED, DepositState.SUSPENDED, DepositState.REJECTED}
        ),
        DepositState.SUSPENDED: frozenset({DepositState.ASSIGNED, DepositState.RETURNED}),
        DepositState.ASSIGNED: frozenset(),
        DepositState.RETURNED: frozenset(),
        DepositState.BOOKED: frozenset(),
        DepositState.REJECTED: frozenset(),
    }
)
"""Which state may follow which. The database holds the same, and whose doing each step is."""

RANKS: Final[Mapping[DepositState, int]] = MappingProxyType(
    {
        DepositState.CLAIMED: 1,
        DepositState.VERIFYING: 2,
        DepositState.NOT_FOUND_YET: 2,
        DepositState.ATTESTED: 3,
        DepositState.QUARANTINED: 4,
        DepositState.SUSPENDED: 5,
        DepositState.BOOKED: 6,
        DepositState.REJECTED: 6,
        DepositState.ASSIGNED: 6,
        DepositState.RETURNED: 6,
    }
)
"""No step goes down in rank: what has been decided is never undecided."""

TOLD: Final = frozenset({DepositState.ATTESTED, DepositState.BOOKED, DepositState.REJECTED})
"""The states whose coming is told as an event, beside the claim itself."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Which transfer on the rail is meant. The clave alone is not unique; date and institution belong to it."""

    clave: str
    operation_date: date
    institution: str

    @property
    def tracking_key(self) -> str:
        """The one spelling of this transfer's key."""
        return f"{self.operation_date:%Y%m%d}:{self.institution}:{self.clave.upper()}"

    @property
    def receipt_id(self) -> UUID:
        return uuid5(RECEIPTS, f"spei:{self.tracking_key}")


def name_transfer(clave: str, operation_date: date, institution: str, *, today: date) -> Transfer:
    """The transfer a player names. Raises `InvalidClaim` for one that cannot exist.

    `today` is the rail's day. Banks count the operations of the evening to the next banking day, so a date
    may lie a few days ahead.
    """
    if not _CLAVE.fullmatch(clave):
        raise InvalidClaim("a clave de rastreo has 1 to 30 letters and digits", field="tracking_key")
    if not _INSTITUTION.fullmatch(institution):
        raise InvalidClaim("an institution's code has five digits", field="sender_institution")
    if not today - OLDEST_CLAIM <= operation_date <= today + timedelta(days=5):
        raise InvalidClaim(
            f"the operation date lies within the last {OLDEST_CLAIM.days} days", field="operation_date"
        )
    return Transfer(clave, operation_date, institution)


def can_be_noted(transfer: Transfer, amount: Money) -> bool:
    """Whether a line of a statement can be a transfer to us at all."""
    formed = _CLAVE.fullmatch(transfer.clave) and _INSTITUTION.fullmatch(transfer.institution)
    return bool(formed) and amount.currency == CURRENCY and ZERO < amount.amount < LIMIT


@dataclass(frozen=True, slots=True)
class Deposit:
    """A claim and what became of it. `tries` counts the looks in the current state, `leases` all of them."""

    id: DepositId
    player: PlayerId
    transfer: Transfer
    amount: Money
    state: DepositState
    claimed_at: datetime
    window_ends_at: datetime
    reason: str | None = None
    receipt_id: UUID | None = None
    entry_id: UUID | None = None
    noticed: bool = False
    """The statement told of it before the player did."""
    version: int = 1
    tries: int = 0
    leases: int = 0

    def to(
        self,
        after: DepositState,
        *,
        reason: str | None = None,
        receipt_id: UUID | None = None,
        entry_id: UUID | None = None,
    ) -> "Deposit":
        """The deposit one step on. Raises `IllegalStep` for a step there is not."""
        if not may_step(self.state, after):
            raise IllegalStep(f"{self.state} does not lead to {after}")
        return replace(
            self,
            state=after,
            reason=reason,
            receipt_id=receipt_id or self.receipt_id,
            entry_id=entry_id or self.entry_id,
            version=self.version + (after in TOLD),
            tries=self.tries if RANKS[after] == RANKS[self.state] else 0,
        )


def may_step(before: DepositState, after: DepositState) -> bool:
    """Whether `after` may follow `before`."""
    return after in STEPS[before]
