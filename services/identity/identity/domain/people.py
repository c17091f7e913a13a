"""Who may hold an account, and how an account changes."""

import hashlib
import unicodedata
from dataclasses import dataclass, replace
from datetime import MAXYEAR, date, datetime, timedelta, timezone
from typing import Final, NewType, Self
from uuid import UUID

from common.errors import Conflict, Forbidden, Invalid, Refused, Unauthenticated
from common.roles import Role
from email_validator import EmailNotValidError, validate_email

from identity.domain.documents import HolderDocument, NotAPersonsDocument

UserId = NewType("UserId", UUID)

ADULT_YEARS: Final = 18
NAME_MIN_CHARACTERS: Final = 2
NAME_MAX_CHARACTERS: Final = 120
ENCODED_WORD: Final = "=?"
"""How a word begins that a mail program decodes before it reads it (RFC 2047)."""
STAFF_ROLES: Final = frozenset({Role.OFFICIAL, Role.CASHIER, Role.AUDITOR, Role.ADMIN})

# Central Mexico has kept UTC-6 all year since daylight saving was abolished in 2022.
CENTRAL_MEXICO: Final = timezone(-timedelta(hours=6))


class InvalidEmail(Invalid):
    slug = "invalid-email"
    title = "Not a valid e-mail address"


class InvalidName(Invalid):
    slug = "invalid-name"
    title = "Not a valid name"


class BirthDateMissing(Invalid):
    slug = "birth-date-missing"
    title = "The birth date is needed"


class BirthDateMismatch(Invalid):
    slug = "birth-date-mismatch"
    title = "The birth date is not the document's"


class Underage(Refused):
    slug = "underage"
    title = "Only people of 18 or more may hold an account"


class NotStaff(Invalid):
    slug = "not-a-staff-role"
    title = "Not a staff role"


class AlreadyRegistered(Conflict):
    """The document or the e-mail belongs to an account. Which one is not told: anyone could test an e-mail."""

    slug = "already-registered"
    title = "An account with this document or e-mail exists already"


class SessionEnded(Unauthenticated):
    slug = "session-ended"
    title = "The session has ended, log in again"


class AccountClosed(Forbidden):
    slug = "account-closed"
    title = "The account is closed"


@dataclass(frozen=True, slots=True)
class Email:
    """An address in its one canonical spelling, ASCII and lower case: unique means one mailbox."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check the syntax; that the mailbox exists is for a confirmation to show. Raises InvalidEmail."""
        try:
            # "test_environment" admits the reserved .test domain; nothing is ever looked up or sent here.
            checked = validate_email(
                text, check_deliverability=False, allow_smtputf8=False, test_environment=True
            )
        except EmailNotValidError as error:
            raise InvalidEmail(str(error), field="email") from None
        if ENCODED_WORD in checked.local_part:
            raise InvalidEmail("A mail program would read it as another address.", field="email")
        return cls((checked.ascii_email or checked.normalized).lower())

    @property
    def local_part(self) -> str:
        return self.value.partition("@")[0]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class FullName:
    """A person's name in composed Unicode, single-spaced, printable."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidName."""
        value = " ".join(unicodedata.normalize("NFC", text).split())
        if not NAME_MIN_CHARACTERS <= len(value) <= NAME_MAX_CHARACTERS:
            limits = f"{NAME_MIN_CHARACTERS} to {NAME_MAX_CHARACTERS}"
            raise InvalidName(f"A name has {limits} characters.", field="full_name")
        if not value.isprintable() or not any(character.isalpha() for character in value):
            raise InvalidName("A name is made of letters.", field="full_name")
        return cls(value)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asks for an account, before the rules have been applied."""

    document: HolderDocument
    email: Email
    full_name: FullName
    birth_date: date | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account. `version` counts the changes; each leaves as an event. `proof` counts those of what a session
    stands on (password, second factor, role, being open): the database does, so nothing else can forget to."""

    id: UserId
    email: Email
    full_name: FullName
    birth_date: date
    role: Role
    registered_at: datetime
    version: int = 1
    email_verified_at: datetime | None = None
    password_changed_at: datetime | None = None
    closed_at: datetime | None = None
    totp_generation: int = 0
    proof: int = 1

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF_ROLES


def open_account(applicant: Applicant, *, role: Role, user_id: UserId, now: datetime) -> User:
    """Admit an adult.

    Raises NotAPersonsDocument, BirthDateMissing when neither the document nor the applicant tells it,
    BirthDateMismatch when they differ, Underage below 18.
    """
    born = _birth_date(applicant)
    if now.astimezone(CENTRAL_MEXICO).date() < comes_of_age(born):
        raise Underage("The birth date is less than 18 years ago.", field="birth_date")
    return User(
        id=user_id,
        email=applicant.email,
        full_name=applicant.full_name,
        birth_date=born,
        role=role,
        registered_at=now,
    )


def appoint(applicant: Applicant, *, role: Role, user_id: UserId, now: datetime) -> User:
    """Open a staff account. As a document is unique, staff and bettors are different people.

    Raises NotStaff and what `open_account` does.
    """
    if role not in STAFF_ROLES:
        raise NotStaff(f"Staff roles are {', '.join(sorted(STAFF_ROLES))}.", field="role")
    return open_account(applicant, role=role, user_id=user_id, now=now)


def with_first_totp(user: User) -> User:
    """A new employee, whose second factor is part of the appointment."""
    return replace(user, totp_generation=1)


def change_profile(user: User, *, email: Email | None, full_name: FullName | None) -> User:
    """The user with another address or name; the same user when nothing differs.

    A new address is nobody's until it has been verified. Raises AccountClosed.
    """
    changed = replace(user, email=email or user.email, full_name=full_name or user.full_name)
    if changed == user:
        return user
    if changed.email != user.email:
        changed = replace(changed, email_verified_at=None)
    return next_version(changed)


def verify_email(user: User, *, now: datetime) -> User:
    """The user whose address has answered. Raises AccountClosed."""
    return next_version(replace(user, email_verified_at=now))


def change_password(user: User, *, now: datetime) -> User:
    """The user with another password. Also for a closed account: its holder may still come for their money."""
    return replace(user, password_changed_at=now, version=user.version + 1)


def enrol_totp(user: User) -> User:
    """The user with a new second factor; codes of the old one are worth nothing. Raises AccountClosed."""
    return next_version(replace(user, totp_generation=user.totp_generation + 1))


def change_role(user: User, role: Role) -> User:
    """The employee in another role. Raises NotStaff, AccountClosed."""
    if role not in STAFF_ROLES:
        raise NotStaff(f"Staff roles are {', '.join(sorted(STAFF_ROLES))}.", field="role")
    return next_version(replace(user, role=role))


def close_account(user: User, *, now: datetime) -> User:
    """Closed for good: the document cannot register again. Raises AccountClosed when it is closed already."""
    return replace(next_version(user), closed_at=now)


def next_version(user: User) -> User:
    """What every change of an open account has in common. Raises AccountClosed."""
    if user.closed_at is not None:
        raise AccountClosed("The account was closed and does not change any more.")
    return replace(user, version=user.version + 1)


def account_name(email: str) -> str:
    """A name for an account that is guessed at or written to, whether it exists or not; not the address itself. However a
    mailbox is spelt it is one account."""
    try:
        spelt = Email.parse(email).value
    except InvalidEmail:
        spelt = email.strip().lower()
    return hashlib.sha256(spelt.encode()).hexdigest()


def comes_of_age(born: date) -> date:
    """The eighteenth birthday, or the last year there is. Someone born on 29 February comes of age on 1 March of a common
    year."""
    year = min(born.year + ADULT_YEARS, MAXYEAR)
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _birth_date(applicant: Applicant) -> date:
    document = applicant.document
    if not document.is_a_persons:
        raise NotAPersonsDocument(
            "Register with a document of yours: a CURP, an RFC or a CPF.", field="document"
        )
    born = applicant.birth_date or document.birth_date
    if born is None:
        raise BirthDateMissing(f"A {document.kind.upper()} does not tell it.", field="birth_date")
    if not document.may_be_of(born):
        raise BirthDateMismatch("The document carries another birth date.", field="birth_date")
    return born
