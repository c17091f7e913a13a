"""What the law withholds of winnings, and the two administrators that each rate takes.

One asks for a rate; another one approves or refuses it within a day. Who asked must still be an administrator then.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from common.roles import Role

from betting.domain.errors import ApprovalDecided, ApprovalEnded, AskerMayNot, FourEyesNeeded
from betting.domain.ids import UserId

RateApprovalId = NewType("RateApprovalId", UUID)


class ApprovalStatus(StrEnum):
    OPEN = "OPEN"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class TaxRate:
    """What the law of a state withholds of a bettor's profit from a day on, in basis points."""

    state: str
    valid_from: date
    name: str
    bps: int


@dataclass(frozen=True, slots=True)
class RateApproval:
    """A rate that somebody asked for, and what came of it. Nobody approves it from `ends_at` on."""

    id: RateApprovalId
    rate: TaxRate
    reason: str
    requested_by: UserId
    requested_at: datetime
    ends_at: datetime
    status: ApprovalStatus = ApprovalStatus.OPEN
    decided_by: UserId | None = None
    decided_at: datetime | None = None

    def check_decision(self, who: UserId, asker: Role | None, *, approve: bool, now: datetime) -> None:
        """Whether somebody may decide so. `asker` is what the role of whoever asked is today; None for no employee.

        Raises FourEyesNeeded, ApprovalDecided, ApprovalEnded, AskerMayNot.
        """
        if who == self.requested_by:
            raise FourEyesNeeded("whoever asked does not decide")
        if self.status is not ApprovalStatus.OPEN:
            raise ApprovalDecided(f"it was {self.status.lower()} already")
        if approve and now >= self.ends_at:
            raise ApprovalEnded("ask anew")
        if approve and asker is not Role.ADMIN:
            raise AskerMayNot("refuse it; an administrator can ask anew")
