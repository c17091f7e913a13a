"""Identity's events: who exists, what changed about them, and which sessions and devices live. They carry no
personal data on purpose: events are kept for years by whoever listens."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from contracts.wire import Event, Moment


class StaffRole(StrEnum):
    """What an employee may be."""

    OFFICIAL = "official"
    CASHIER = "cashier"
    AUDITOR = "auditor"
    ADMIN = "admin"


class RevocationReason(StrEnum):
    """Why a session ended before its time. `renewed`: it goes on under another secret and name."""

    LOGOUT = "logout"
    REVOKED = "revoked"
    RENEWED = "renewed"
    PUSHED_OUT = "pushed-out"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a reason
    ACCOUNT_CLOSED = "account-closed"
    ROLE_CHANGED = "role-changed"
    EXCLUDED = "excluded"
    SESSION_LIMIT = "session-limit"


class UserRegistered(Event):
    """A bettor has an account: the document is valid and was not registered before."""

    type: ClassVar[str] = "identity.user.registered.v1"

    user_id: UUID
    registered_at: Moment


class StaffCreated(Event):
    """An employee can log in with a role."""

    type: ClassVar[str] = "identity.staff.created.v1"

    user_id: UUID
    role: StaffRole
    created_at: Moment


class ContactVerified(Event):
    """Somebody's e-mail address has answered."""

    type: ClassVar[str] = "identity.contact.verified.v1"

    user_id: UUID
    verified_at: Moment


class DocumentAdded(Event):
    """Somebody is known by a further document."""

    type: ClassVar[str] = "identity.document.added.v1"

    user_id: UUID
    kind: Literal["curp", "rfc", "cpf", "cnpj"]
    added_at: Moment


class ProfileChanged(Event):
    """Somebody's name or address is another one."""

    type: ClassVar[str] = "identity.profile.changed.v1"

    user_id: UUID
    fields: tuple[Literal["email", "full_name"], ...]
    changed_at: Moment


class PasswordChanged(Event):
    """Somebody has another password; `reset` if they had forgotten the old one."""

    type: ClassVar[str] = "identity.password.changed.v1"

    user_id: UUID
    how: Literal["changed", "reset"]
    changed_at: Moment


class SecondFactorEnrolled(Event):
    """An employee has a new second factor, in the place of any earlier one."""

    type: ClassVar[str] = "identity.totp.enrolled.v1"

    user_id: UUID
    enrolled_at: Moment


class AccountClosed(Event):
    """Somebody has left for good. What they are owed stays theirs to withdraw."""

    type: ClassVar[str] = "identity.account.closed.v1"

    user_id: UUID
    closed_at: Moment


class StaffChanged(Event):
    """An employee has another role, as two administrators agreed."""

    type: ClassVar[str] = "identity.staff.changed.v1"

    user_id: UUID
    role: StaffRole
    changed_at: Moment


class ApprovalRequested(Event):
    """One of the staff asks for something that another one must decide."""

    type: ClassVar[str] = "identity.approval.requested.v1"

    approval_id: UUID
    act: str
    requested_by: UUID
    requested_at: Moment


class ApprovalDecided(Event):
    """Another one of the staff has decided; what was approved has happened."""

    type: ClassVar[str] = "identity.approval.decided.v1"

    approval_id: UUID
    act: str
    approved: bool
    decided_by: UUID
    decided_at: Moment


class KycState(StrEnum):
    """How far somebody has come in showing who they are."""

    SUBMITTED = "SUBMITTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    SUPERSEDED = "SUPERSEDED"


class KycChanged(Event):
    """A case has been submitted, decided by two people, or is about a name that has changed."""

    type: ClassVar[str] = "identity.kyc.changed.v1"

    case_id: UUID
    user_id: UUID
    state: KycState
    changed_at: Moment


class PlayPolicyChanged(Event):
    """Somebody's limits of responsible gaming are others, or they have excluded themselves."""

    type: ClassVar[str] = "identity.policy.changed.v1"

    user_id: UUID
    excluded_until: Moment | None
    changed_at: Moment


class DeviceEnrolled(Event):
    """A device has a key to sign money calls with."""

    type: ClassVar[str] = "identity.device.enrolled.v1"

    device_id: UUID
    user_id: UUID
    enrolled_at: Moment


class DeviceRevoked(Event):
    """A device's key is worth nothing any more; whoever cached it drops it."""

    type: ClassVar[str] = "identity.device.revoked.v1"

    device_id: UUID
    user_id: UUID
    revoked_at: Moment


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
