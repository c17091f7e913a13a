"""Four eyes: what one of the staff asks for, another one decides."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

from common.errors import Conflict, Forbidden, Invalid, NotFound
from common.roles import Role

from identity.domain.people import User, UserId

ApprovalId = NewType("ApprovalId", UUID)

REASON_MAX_CHARACTERS: Final = 500


class Act(StrEnum):
    """What takes two people."""

    APPOINT = "staff.appoint"
    CHANGE_ROLE = "staff.role"
    DISMISS = "staff.dismiss"
    SECOND_FACTOR = "staff.second-factor"
    APPROVE_KYC = "kyc.approve"
    REJECT_KYC = "kyc.reject"


WHO_MAY: Final[Mapping[Act, frozenset[Role]]] = {
    Act.APPOINT: frozenset({Role.ADMIN}),
    Act.CHANGE_ROLE: frozenset({Role.ADMIN}),
    Act.DISMISS: frozenset({Role.ADMIN}),
    Act.SECOND_FACTOR: frozenset({Role.ADMIN}),
    Act.APPROVE_KYC: frozenset({Role.CASHIER, Role.ADMIN}),
    Act.REJECT_KYC: frozenset({Role.CASHIER, Role.ADMIN}),
}
"""Whose asking, and whose deciding, counts."""


class ApprovalState(StrEnum):
    OPEN = "OPEN"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"


class NoSuchApproval(NotFound):
    slug = "no-such-approval"
    title = "There is no such request"


class ApprovalOpen(Conflict):
    slug = "approval-open"
    title = "The same is asked for already"


class ApprovalDecided(Conflict):
    slug = "approval-decided"
    title = "The request has been decided"


class FourEyesNeeded(Forbidden):
    """Who asked does not decide, and nobody decides about themselves."""

    slug = "four-eyes-needed"
    title = "Somebody else must decide"


class NotYourAct(Forbidden):
    slug = "not-your-act"
    title = "Not for this role"


class AskerMayNot(Conflict):
    """Whoever asked was dismissed or moved since, and one pair of eyes is not two."""

    slug = "asker-may-not"
    title = "Whoever asked may not ask for this any more"


class InvalidReason(Invalid):
    slug = "invalid-reason"
    title = "A reason is needed"


@dataclass(frozen=True, slots=True)
class Approval:
    """A request and what came of it. `details` say what exactly was asked for."""

    id: ApprovalId
    act: Act
    subject: str
    details: Mapping[str, str]
    reason: str
    requested_by: UserId
    requested_at: datetime
    state: ApprovalState = ApprovalState.OPEN
    decided_by: UserId | None = None
    decided_at: datetime | None = None


def check_request(who: User, act: Act, *, subject: str, reason: str) -> str:
    """Whether somebody may ask for an act; gives the reason as it is kept.

    Raises NotYourAct, FourEyesNeeded for one about oneself, InvalidReason.
    """
    if not _may(who, act):
        raise NotYourAct("Your role may not ask for this.")
    if subject == str(who.id):
        raise FourEyesNeeded("Nobody asks this for themselves.")
    reason = " ".join(reason.split())
    if not 1 <= len(reason) <= REASON_MAX_CHARACTERS:
        raise InvalidReason(f"Give a reason of at most {REASON_MAX_CHARACTERS} characters.", field="reason")
    return reason


def decide(approval: Approval, who: User, asker: User, *, approve: bool, now: datetime) -> Approval:
    """The decided request. Anybody's may be refused, that of somebody who could not ask for it today is not approved.

    Raises NotYourAct, FourEyesNeeded, ApprovalDecided, AskerMayNot.
    """
    if not _may(who, approval.act):
        raise NotYourAct("Your role may not decide this.")
    if who.id == approval.requested_by or str(who.id) == approval.subject:
        raise FourEyesNeeded("Whoever asked, or is concerned, does not decide.")
    if approval.state is not ApprovalState.OPEN:
        raise ApprovalDecided(f"It was {approval.state.lower()} already.")
    if approve and not _may(asker, approval.act):
        raise AskerMayNot("Refuse it; somebody who may can ask anew.")
    state = ApprovalState.APPROVED if approve else ApprovalState.REFUSED
    return replace(approval, state=state, decided_by=who.id, decided_at=now)


def _may(who: User, act: Act) -> bool:
    return who.role in WHO_MAY[act] and who.closed_at is None
