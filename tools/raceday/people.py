"""The people of a simulated day: bettors and officials with papers that check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pyotp
from stdnum.mx import curp

CONSONANTS = "BCDFGJKLMNPQRSTVXZ"
NAMES = ("Guadalupe", "Ramón", "Ximena", "Chuy", "Lupita", "Nacho", "Meche", "Beto", "Toña", "Pancho")
SURNAMES = (
    "Gómez",
    "López",
    "Ramírez",
    "Ortega",
    "Salazar",
    "Valdez",
    "Ibarra",
    "Quintero",
    "Félix",
    "Rentería",
)


BORN_LATER = {"bettor": 0, "cashier": 300}
"""Days by which a role's people are younger, so that no two roles share a CURP."""


@dataclass(frozen=True, slots=True)
class Person:
    """`number` is stable between runs; ids are not. `totp` is what an authenticator was told, if there is one."""

    number: int
    full_name: str
    email: str
    password: str
    curp: str
    totp: str | None = None

    def codes(self) -> Iterator[dict[str, str]]:
        """What goes with the password: for staff each code that is good now, one after the other."""
        if self.totp is None:
            yield {}
            return
        authenticator = pyotp.TOTP(self.totp)
        for drift_seconds in (-30, 0, 30):
            yield {"code": authenticator.at(datetime.now(UTC) + timedelta(seconds=drift_seconds))}

    def with_authenticator(self, uri: str) -> Person:
        """With the second factor of an `otpauth:` address."""
        read = pyotp.parse_uri(uri)
        return replace(self, totp=read.secret)


def person(number: int, role: str = "bettor") -> Person:
    """The `number`-th person of a role; always the same one."""
    name = NAMES[number % len(NAMES)]
    surname = SURNAMES[number // len(NAMES) % len(SURNAMES)]
    return Person(
        number,
        f"{name} {surname}",
        f"{role}-{number:04d}@demo.elcarril.mx",
        f"Carril-{role}-{number:04d}-2026",
        _curp(number, offset=BORN_LATER.get(role, 200)),
    )


def _curp(number: int, offset: int) -> str:
    born = date(1970, 1, 1) + timedelta(days=(number * 37 + offset) % 10_000)
    letters = "".join(CONSONANTS[(number // len(CONSONANTS) ** at) % len(CONSONANTS)] for at in range(3))
    sex = "HM"[number % 2]
    stem = f"{'GOLR' if offset == 0 else 'OFLX'}{born:%y%m%d}{sex}SL{letters}0"
    return stem + curp.calc_check_digit(stem)
