"""The rules of who may hold an account. Pure, so no fixtures."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from common.roles import Role
from hypothesis import given
from hypothesis import strategies as st
from identity.domain.documents import DocumentKind, HolderDocument, InvalidDocument
from identity.domain.passwords import (
    PASSWORD_MAX_CHARACTERS,
    WeakPassword,
    check_new_password,
    normal_form,
)
from identity.domain.people import (
    Applicant,
    BirthDateMismatch,
    Email,
    FullName,
    InvalidEmail,
    InvalidName,
    NotStaff,
    Underage,
    User,
    UserId,
    appoint,
    comes_of_age,
    open_account,
)

USER_ID = UserId(UUID(int=7))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BORN_1931 = "BOXW310820HNERXN09"
BORN_2008_FEB_29 = "LOGA080229MDFPRNA6"


def check(password: str, *, breached: frozenset[str]) -> None:
    who = applicant()
    documents = {who.document.value.lower()}
    check_new_password(
        password, email=who.email, full_name=who.full_name, documents=documents, breached=breached
    )


def curp(text: str) -> HolderDocument:
    return HolderDocument.parse(DocumentKind.CURP, text, field="curp")


def applicant(of: str = BORN_1931, *, birth_date: date | None = None) -> Applicant:
    return Applicant(curp(of), Email.parse("wanda@example.mx"), FullName.parse("Wanda Bolaños"), birth_date)


def bettor(of: str, now: datetime) -> User:
    return open_account(applicant(of), role=Role.BETTOR, user_id=USER_ID, now=now)


def test_a_curp_may_be_typed_in_any_case_and_with_separators() -> None:
    assert curp(" boxw310820-hnerxn09 ").value == BORN_1931


def test_a_curp_tells_the_birth_date() -> None:
    assert curp(BORN_1931).birth_date == date(1931, 8, 20)
    assert curp(BORN_2008_FEB_29).birth_date == date(2008, 2, 29)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BOXW310820HNERXN0",
        "BOXW310820HNERXN099",
        "BOXW310231HNERXN09",  # 31 February
        "BOXW310820HXXRXN09",  # no such state
        "BOXW310820ZNERXN09",  # no such sex
        "BOXW310820HNERXN0\N{ARABIC-INDIC DIGIT NINE}",
    ],
)
def test_a_curp_of_the_wrong_form_is_refused_by_name_of_its_field(text: str) -> None:
    with pytest.raises(InvalidDocument) as refusal:
        curp(text)
    assert refusal.value.field == "curp"


@given(st.sampled_from("012345678"))
def test_every_other_check_digit_is_refused(digit: str) -> None:
    with pytest.raises(InvalidDocument):
        curp(BORN_1931[:-1] + digit)


def test_an_email_has_one_spelling() -> None:
    assert Email.parse("Wanda@EXAMPLE.mx") == Email.parse("wanda@example.MX")


@pytest.mark.parametrize(
    "text", ["", "wanda", "wanda@", "@example.mx", "wanda@localhost", "wañda@example.mx", "a b@x.mx"]
)
def test_a_malformed_email_is_refused(text: str) -> None:
    with pytest.raises(InvalidEmail):
        Email.parse(text)


def test_a_name_is_composed_and_single_spaced() -> None:
    assert FullName.parse("  Maria\tJose\N{COMBINING ACUTE ACCENT}  ").value == "Maria José"


@pytest.mark.parametrize("text", ["", "X", "12345", "a" * 121, "Wanda\N{ZERO WIDTH SPACE}", "Wan\x00da"])
def test_a_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        FullName.parse(text)


@pytest.mark.parametrize(
    ("born", "of_age"),
    [
        (date(2000, 6, 15), date(2018, 6, 15)),
        (date(2008, 2, 29), date(2026, 3, 1)),
        (date(2006, 2, 28), date(2024, 2, 28)),
    ],
)
def test_coming_of_age(born: date, of_age: date) -> None:
    assert comes_of_age(born) == of_age


def test_an_adult_gets_an_account() -> None:
    user = bettor(BORN_1931, NOW)
    assert (user.role, user.birth_date) == (Role.BETTOR, date(1931, 8, 20))


def test_the_birthday_begins_at_midnight_in_central_mexico() -> None:
    midnight = datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert bettor(BORN_2008_FEB_29, midnight).id == USER_ID
    with pytest.raises(Underage):
        bettor(BORN_2008_FEB_29, midnight - timedelta(seconds=1))


def test_a_birth_date_that_contradicts_the_curp_is_refused() -> None:
    contradicting = applicant(birth_date=date(1931, 8, 21))
    with pytest.raises(BirthDateMismatch):
        open_account(contradicting, role=Role.BETTOR, user_id=USER_ID, now=NOW)


@pytest.mark.parametrize("role", [Role.OFFICIAL, Role.CASHIER, Role.AUDITOR, Role.ADMIN])
def test_staff_are_appointed_to_staff_roles(role: Role) -> None:
    assert appoint(applicant(), role=role, user_id=USER_ID, now=NOW).role is role


@pytest.mark.parametrize("role", [Role.BETTOR, Role.SERVICE])
def test_nobody_is_appointed_to_another_role(role: Role) -> None:
    with pytest.raises(NotStaff):
        appoint(applicant(), role=role, user_id=USER_ID, now=NOW)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "correcthorse",
        "CorrectHorse",
        "wanda@example.mx",
        "Wanda Bolaños",
        "wandabolaños",
        BORN_1931.lower(),
    ],
)
def test_a_short_breached_or_personal_password_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword) as refusal:
        check(password, breached=frozenset({"correcthorse"}))
    assert refusal.value.field == "password"
    assert password not in refusal.value.detail


def test_length_limits_are_inclusive() -> None:
    for length in (8, PASSWORD_MAX_CHARACTERS):
        check("ñ" * length, breached=frozenset())
    with pytest.raises(WeakPassword):
        check("ñ" * (PASSWORD_MAX_CHARACTERS + 1), breached=frozenset())


def test_a_password_typed_on_another_keyboard_is_the_same() -> None:
    assert normal_form("contrasen\N{COMBINING TILDE}a") == normal_form("contraseña")
