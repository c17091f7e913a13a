"""Accounts: CLABEs at banks, paths in the ledger."""

from typing import NewType
from uuid import UUID

from clabe import compute_control_digit, validate_clabe

from payments.domain.refusals import InvalidClabe

Clabe = NewType("Clabe", str)
PlayerId = NewType("PlayerId", UUID)

SERIAL_DIGITS = 7
BANK = "bank/spei"
SUSPENSE = "suspense/spei"
LOSSES = "losses/disputes"


def parse_clabe(text: str, *, field: str = "clabe") -> Clabe:
    """Raises `InvalidClabe` unless it is 18 digits of a known bank with the right check digit."""
    if not (text.isascii() and validate_clabe(text)):
        raise InvalidClabe("a CLABE has 18 digits, of which the last is a check digit", field=field)
    return Clabe(text)


def is_clabe(text: str) -> bool:
    return text.isascii() and bool(validate_clabe(text))


def issue_clabe(prefix: str, serial: int) -> Clabe:
    """The CLABE with that serial under our participant's ten-digit prefix. Raises `InvalidClabe`."""
    if not 0 <= serial < 10**SERIAL_DIGITS:
        raise InvalidClabe(f"{serial} is no serial of a CLABE")
    body = f"{prefix}{serial:0{SERIAL_DIGITS}}"
    return parse_clabe(body + str(compute_control_digit(body)))


def available(player: PlayerId) -> str:
    """Where a player's spendable money is, in the ledger."""
    return f"players/{player}/available"


def uncleared(player: PlayerId) -> str:
    """Where money from a card waits until the provider has paid it out."""
    return f"players/{player}/uncleared"


def receivable(psp: str) -> str:
    """What a card provider owes us."""
    return f"psp/{psp}/receivable"


def contested(psp: str) -> str:
    """What a card provider has taken for disputes that are open, and does not owe us until they are won."""
    return f"disputes/{psp}/receivable"


def clearing(psp: str) -> str:
    """Where refunds wait for the provider's word."""
    return f"refunds/{psp}/clearing"


def withdrawing(player: PlayerId) -> str:
    """Where a player's money waits while the rail carries it out."""
    return f"players/{player}/withdrawing"
