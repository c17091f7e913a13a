"""Who may hold an account and what a password must be: the rules, without I/O, clock or randomness."""

import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import NewType, Self
from uuid import UUID

from common.errors import Conflict, Invalid, Refused, Unauthenticated
from common.roles import Role
from email_validator import EmailNotValidError, validate_email
from stdnum.exceptions import ValidationError
from stdnum.mx import curp as curp_rules

UserId = NewType("UserId", UUID)

ADULT_YEARS = 18
PASSWORD_MIN_CHARACTERS = 8
PASSWORD_MAX_CHARACTERS = 128
NAME_MIN_CHARACTERS = 2
NAME_MAX_CHARACTERS = 120
STAFF_ROLES = frozenset({Role.OFFICIAL, Role.CASHIER, Role.AUDITOR, Role.ADMIN})

# Central Mexico has kept UTC-6 all year since daylight saving was abolished in 2022.
CENTRAL_MEXICO = timezone(-timedelta(hours=6))


class InvalidCurp(Invalid):
    slug = "invalid-curp"
    title = "Not a valid CURP"


class InvalidEmail(Invalid):
    slug = "invalid-email"
    title = "Not a valid e-mail address"


class InvalidName(Invalid):
    slug = "invalid-name"
    title = "Not a valid name"


class BirthDateMismatch(Invalid):
    slug = "birth-date-mismatch"
    title = "The birth date is not the CURP's"


class WeakPassword(Invalid):
    slug = "weak-password"
    title = "Choose another password"


class Underage(Refused):
    slug = "underage"
    title = "Only people of 18 or more may hold an account"


class NotStaff(Invalid):
    slug = "not-a-staff-role"
    title = "Not a staff role"


class AlreadyRegistered(Conflict):
    """The CURP or the e-mail belongs to an account. Which one is not told: anyone could test an e-mail."""

    slug = "already-registered"
    title = "An account with this CURP or e-mail exists already"


class BadCredentials(Unauthenticated):
    """Unknown e-mail and wrong password are one refusal, in text and in time."""

    slug = "bad-credentials"
    title = "The e-mail or the password is wrong"


class SessionEnded(Unauthenticated):
    slug = "session-ended"
    title = "The session has ended, log in again"


@dataclass(frozen=True, slots=True)
class Curp:
    """A population registry code (CURP) whose format, birth date, state and check digit hold."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Accept any case and the separators people type. Raises InvalidCurp."""
        try:
            return cls(curp_rules.validate(text))
        except ValidationError as error:
            raise InvalidCurp(
                f"{error} (a CURP has 18 characters, the last a check digit).", field="curp"
            ) from None

    @property
    def birth_date(self) -> date:
        return curp_rules.get_birth_date(self.value)

    def __str__(self) -> str:
        return self.value


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

    curp: Curp
    email: Email
    full_name: FullName
    birth_date: date | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account."""

    id: UserId
    email: Email
    full_name: FullName
    curp: Curp
    birth_date: date
    role: Role
    registered_at: datetime


def open_account(applicant: Applicant, *, role: Role, user_id: UserId, now: datetime) -> User:
    """Admit an adult. Raises BirthDateMismatch when the date given is not the CURP's, Underage below 18."""
    born = applicant.curp.birth_date
    if applicant.birth_date is not None and applicant.birth_date != born:
        raise BirthDateMismatch("The CURP carries another birth date.", field="birth_date")
    if now.astimezone(CENTRAL_MEXICO).date() < comes_of_age(born):
        raise Underage("The CURP's birth date is less than 18 years ago.", field="curp")
    return User(
        id=user_id,
        email=applicant.email,
        full_name=applicant.full_name,
        curp=applicant.curp,
        birth_date=born,
        role=role,
        registered_at=now,
    )


def appoint(applicant: Applicant, *, role: Role, user_id: UserId, now: datetime) -> User:
    """Open a staff account. As a CURP is unique, staff and bettors are different people.

    Raises NotStaff, BirthDateMismatch, Underage.
    """
    if role not in STAFF_ROLES:
        raise NotStaff(f"Staff roles are {', '.join(sorted(STAFF_ROLES))}.", field="role")
    return open_account(applicant, role=role, user_id=user_id, now=now)


def comes_of_age(born: date) -> date:
    """The eighteenth birthday. Someone born on 29 February comes of age on 1 March of a common year."""
    year = born.year + ADULT_YEARS
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def normal_form(password: str) -> str:
    """One spelling for what different keyboards compose differently (NIST SP 800-63B section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def check_new_password(password: str, applicant: Applicant, *, breached: Container[str]) -> None:
    """Length and known-bad lists, no composition rules (OWASP ASVS 5.0 V6.2). Raises WeakPassword.

    `password` is in normal form; `breached` holds lower-case passwords that attackers try first.
    """
    if len(password) < PASSWORD_MIN_CHARACTERS:
        raise WeakPassword(f"Use at least {PASSWORD_MIN_CHARACTERS} characters.", field="password")
    if len(password) > PASSWORD_MAX_CHARACTERS:
        raise WeakPassword(f"Use at most {PASSWORD_MAX_CHARACTERS} characters.", field="password")
    lowered = password.lower()
    if lowered in breached:
        raise WeakPassword("This password is in lists of breached passwords.", field="password")
    if lowered in _personal_words(applicant):
        raise WeakPassword("A password must not be the e-mail, the name or the CURP.", field="password")


def _personal_words(applicant: Applicant) -> frozenset[str]:
    email, name = applicant.email, applicant.full_name.value
    return frozenset(
        word.lower()
        for word in (email.value, email.local_part, name, name.replace(" ", ""), applicant.curp.value)
    )
