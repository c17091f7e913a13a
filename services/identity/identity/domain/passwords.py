"""What a password must be: length and known-bad lists, no composition rules (OWASP ASVS 5.0 V6.2)."""

import unicodedata
from collections.abc import Container
from typing import Final

from common.errors import Invalid, Unauthenticated

from identity.domain.people import Email, FullName

PASSWORD_MIN_CHARACTERS: Final = 8
PASSWORD_MAX_CHARACTERS: Final = 128


class WeakPassword(Invalid):
    slug = "weak-password"
    title = "Choose another password"


class BadCredentials(Unauthenticated):
    """Unknown e-mail and wrong password are one refusal, in text and in time."""

    slug = "bad-credentials"
    title = "The e-mail or the password is wrong"


def normal_form(password: str) -> str:
    """One spelling for what different keyboards compose differently (NIST SP 800-63B section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def check_new_password(
    password: str, *, email: Email, full_name: FullName, documents: Container[str], breached: Container[str]
) -> None:
    """Raises WeakPassword.

    `password` is in normal form; `documents` and `breached` hold lower-case texts: the person's own
    document numbers, and passwords that attackers try first.
    """
    if len(password) < PASSWORD_MIN_CHARACTERS:
        raise WeakPassword(f"Use at least {PASSWORD_MIN_CHARACTERS} characters.", field="password")
    if len(password) > PASSWORD_MAX_CHARACTERS:
        raise WeakPassword(f"Use at most {PASSWORD_MAX_CHARACTERS} characters.", field="password")
    lowered = password.lower()
    if lowered in breached:
        raise WeakPassword("This password is in lists of breached passwords.", field="password")
    if lowered in documents or lowered in _personal_words(email, full_name):
        raise WeakPassword("A password must not be the e-mail, the name or a document.", field="password")


def _personal_words(email: Email, full_name: FullName) -> frozenset[str]:
    name = full_name.value
    return frozenset(word.lower() for word in (email.value, email.local_part, name, name.replace(" ", "")))
