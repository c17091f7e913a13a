"""What identity tells the others, as envelopes for the outbox. No event carries personal data.

A new hash of the same password (rehash on login) is no change of identity and makes no event.
"""

from datetime import datetime
from uuid import UUID

from common.telemetry.traces import traceparent
from contracts.envelope import Envelope, envelope
from contracts.identity import (
    RevocationReason,
    SessionCreated,
    SessionRevoked,
    StaffCreated,
    StaffRole,
    UserRegistered,
)
from contracts.wire import Event

from identity.domain import User, UserId
from identity.sessions import Session

# A user is announced once; a session begins and ends. So their versions need no counter.
OPENED = 1
SESSION_ENDED = 2


def user_registered(user: User, *, event_id: UUID) -> Envelope:
    message = UserRegistered(user_id=user.id, registered_at=user.registered_at)
    return _about(f"users/{user.id}", OPENED, message, event_id=event_id, at=user.registered_at)


def staff_created(user: User, *, event_id: UUID) -> Envelope:
    message = StaffCreated(user_id=user.id, role=StaffRole(user.role.value), created_at=user.registered_at)
    return _about(f"users/{user.id}", OPENED, message, event_id=event_id, at=user.registered_at)


def session_created(session: Session, *, event_id: UUID, at: datetime) -> Envelope:
    message = SessionCreated(
        session_id=session.sid, user_id=session.user, created_at=at, expires_at=session.ends
    )
    return _about(f"sessions/{session.sid}", OPENED, message, event_id=event_id, at=at)


def session_ended(sid: UUID, user_id: UserId, *, event_id: UUID, at: datetime) -> Envelope:
    """The user logged out."""
    message = SessionRevoked(session_id=sid, user_id=user_id, reason=RevocationReason.LOGOUT, revoked_at=at)
    return _about(f"sessions/{sid}", SESSION_ENDED, message, event_id=event_id, at=at)


def _about(aggregate: str, version: int, message: Event, *, event_id: UUID, at: datetime) -> Envelope:
    return envelope(
        message, id=event_id, subject=aggregate, version=version, time=at, traceparent=traceparent()
    )
