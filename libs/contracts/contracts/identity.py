"""Identity's events: who exists, and which sessions live. They carry no personal data on purpose:
events are kept for years by whoever listens."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from contracts.wire import Event, Moment


class StaffRole(StrEnum):
    """What an employee may be."""

    OFFICIAL = "official"
    CASHIER = "cashier"
    AUDITOR = "auditor"
    ADMIN = "admin"


class RevocationReason(StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "logout"
    REVOKED = "revoked"


class UserRegistered(Event):
    """A bettor has an account: the CURP is valid and was not registered before."""

    type: ClassVar[str] = "identity.user.registered.v1"

    user_id: UUID
    registered_at: Moment


class StaffCreated(Event):
    """An employee can log in with a role."""

    type: ClassVar[str] = "identity.staff.created.v1"

    user_id: UUID
    role: StaffRole
    created_at: Moment


class SessionCreated(Event):
    """Somebody logged in. `session_id` names the session; it is not the secret that opens it."""

    type: ClassVar[str] = "identity.session.created.v1"

    session_id: UUID
    user_id: UUID
    created_at: Moment
    expires_at: Moment


class SessionRevoked(Event):
    """A session opens nothing any more; whoever cached a token for it drops the token."""

    type: ClassVar[str] = "identity.session.revoked.v1"

    session_id: UUID
    user_id: UUID
    reason: RevocationReason
    revoked_at: Moment
