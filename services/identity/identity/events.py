"""What identity tells the others, as envelopes for the outbox. No event carries personal data.

A new hash of the same password (rehash on login) is no change of identity and makes no event.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from common.telemetry.traces import traceparent
from contracts import identity as told
from contracts.envelope import Envelope, envelope
from contracts.wire import Event

from identity.domain.approvals import Approval, ApprovalState
from identity.domain.devices import Device
from identity.domain.documents import HolderDocument
from identity.domain.kyc import Case
from identity.domain.people import User, UserId
from identity.domain.play import PlayPolicy
from identity.sessions import Session

# A session and a device begin and end, so their versions need no counter. A user's is their own.
BEGUN = 1
ENDED = 2


def user_registered(user: User, *, event_id: UUID) -> Envelope:
    message = told.UserRegistered(user_id=user.id, registered_at=user.registered_at)
    return _about_user(user, message, event_id=event_id, at=user.registered_at)


def staff_created(user: User, *, event_id: UUID) -> Envelope:
    role = told.StaffRole(user.role.value)
    message = told.StaffCreated(user_id=user.id, role=role, created_at=user.registered_at)
    return _about_user(user, message, event_id=event_id, at=user.registered_at)


def contact_verified(user: User, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.ContactVerified(user_id=user.id, verified_at=at)
    return _about_user(user, message, event_id=event_id, at=at)


def document_added(user: User, document: HolderDocument, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.DocumentAdded(user_id=user.id, kind=document.kind.value, added_at=at)
    return _about_user(user, message, event_id=event_id, at=at)


def profile_changed(
    user: User, fields: Sequence[Literal["email", "full_name"]], *, event_id: UUID, at: datetime
) -> Envelope:
    message = told.ProfileChanged(user_id=user.id, fields=tuple(fields), changed_at=at)
    return _about_user(user, message, event_id=event_id, at=at)


def password_changed(
    user: User, how: Literal["changed", "reset"], *, event_id: UUID, at: datetime
) -> Envelope:
    message = told.PasswordChanged(user_id=user.id, how=how, changed_at=at)
    return _about_user(user, message, event_id=event_id, at=at)


def totp_enrolled(user: User, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.SecondFactorEnrolled(user_id=user.id, enrolled_at=at)
    return _about_user(user, message, event_id=event_id, at=at)


def account_closed(user: User, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.AccountClosed(user_id=user.id, closed_at=at)
    return _about_user(user, message, event_id=event_id, at=at)


def staff_changed(user: User, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.StaffChanged(user_id=user.id, role=told.StaffRole(user.role.value), changed_at=at)
    return _about_user(user, message, event_id=event_id, at=at)


def approval_requested(approval: Approval, *, event_id: UUID) -> Envelope:
    message = told.ApprovalRequested(
        approval_id=approval.id,
        act=approval.act.value,
        requested_by=approval.requested_by,
        requested_at=approval.requested_at,
    )
    aggregate = f"approvals/{approval.id}"
    return _about(aggregate, BEGUN, message, event_id=event_id, at=approval.requested_at)


def approval_decided(approval: Approval, *, event_id: UUID) -> Envelope:
    """Raises ValueError for one that has not been decided."""
    if approval.decided_by is None or approval.decided_at is None:
        raise ValueError(f"request {approval.id} has not been decided")
    message = told.ApprovalDecided(
        approval_id=approval.id,
        act=approval.act.value,
        approved=approval.state is ApprovalState.APPROVED,
        decided_by=approval.decided_by,
        decided_at=approval.decided_at,
    )
    return _about(f"approvals/{approval.id}", ENDED, message, event_id=event_id, at=approval.decided_at)


def kyc_changed(case: Case, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.KycChanged(
        case_id=case.id, user_id=case.user, state=told.KycState(case.state.value), changed_at=at
    )
    return _about(f"kyc/{case.id}", case.version, message, event_id=event_id, at=at)


def play_changed(policy: PlayPolicy, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.PlayPolicyChanged(user_id=policy.user, excluded_until=policy.blocked_until, changed_at=at)
    return _about(f"policies/{policy.user}", policy.version, message, event_id=event_id, at=at)


def device_enrolled(device: Device, *, event_id: UUID) -> Envelope:
    message = told.DeviceEnrolled(device_id=device.id, user_id=device.user, enrolled_at=device.enrolled_at)
    return _about(f"devices/{device.id}", BEGUN, message, event_id=event_id, at=device.enrolled_at)


def device_revoked(device: Device, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.DeviceRevoked(device_id=device.id, user_id=device.user, revoked_at=at)
    return _about(f"devices/{device.id}", ENDED, message, event_id=event_id, at=at)


def session_created(session: Session, *, event_id: UUID, at: datetime) -> Envelope:
    message = told.SessionCreated(
        session_id=session.sid, user_id=session.user, created_at=at, expires_at=session.ends
    )
    return _about(f"sessions/{session.sid}", BEGUN, message, event_id=event_id, at=at)


def session_ended(
    sid: UUID, user_id: UserId, reason: told.RevocationReason, *, event_id: UUID, at: datetime
) -> Envelope:
    message = told.SessionRevoked(session_id=sid, user_id=user_id, reason=reason, revoked_at=at)
    return _about(f"sessions/{sid}", ENDED, message, event_id=event_id, at=at)


def _about_user(user: User, message: Event, *, event_id: UUID, at: datetime) -> Envelope:
    return _about(f"users/{user.id}", user.version, message, event_id=event_id, at=at)


def _about(aggregate: str, version: int, message: Event, *, event_id: UUID, at: datetime) -> Envelope:
    return envelope(
        message, id=event_id, subject=aggregate, version=version, time=at, traceparent=traceparent()
    )
