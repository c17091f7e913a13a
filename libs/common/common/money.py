"""Money: an exact decimal and its currency, and nothing that could round.

A `Money` always carries exactly its currency's decimals, so two equal amounts are equal objects and
`str()` is the one form that goes on the wire. There is no division and no multiplication here: whoever
divides says how it rounds and where the remainder goes, and does it in whole minor units (`minor`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from types import MappingProxyType
from typing import Final

EXPONENTS: Final[Mapping[str, int]] = MappingProxyType(
    {"BRL": 2, "CLP": 0, "COP": 2, "EUR": 2, "GTQ": 2, "JPY": 0, "KWD": 3, "MXN": 2, "PEN": 2, "USD": 2}
)
"""Decimals of each currency we can hold (ISO 4217). A currency that is not listed does not exist here."""

MAX_DIGITS: Final = 38
"""Digits an amount may have in all: far above any sum of the books, small enough to stay exact."""

_QUANTA: Final[Mapping[str, Decimal]] = MappingProxyType(
    {currency: Decimal(1).scaleb(-exponent) for currency, exponent in EXPONENTS.items()}
)
_EXACT: Final = Context(prec=MAX_DIGITS, traps=[Inexact, InvalidOperation, Overflow])
"""Arithmetic that raises where Python's default context would silently round at 28 digits."""


class MoneyError(ValueError):
    """An amount that is not money: not exact, not finite, too long, or of another currency."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency, signed, in the currency's main unit (pesos, not centavos).

    Raises `MoneyError` for anything but a finite `Decimal` with no more decimals than the currency has.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        quantum = _quantum(self.currency)
        if type(self.amount) is not Decimal:
            raise MoneyError(f"an amount is a Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise MoneyError("an amount is a finite number")
        try:
            exact = _EXACT.quantize(self.amount, quantum)
        except Inexact:
            raise MoneyError(f"{self.currency} has {EXPONENTS[self.currency]} decimals") from None
        except InvalidOperation:
            raise MoneyError(f"an amount has at most {MAX_DIGITS} digits") from None
        object.__setattr__(self, "amount", exact or exact.copy_abs())  # no negative zero

    @classmethod
    def parse(cls, text: str, currency: str) -> "Money":
        """Read a plain decimal such as "12.5" or "-3". No exponent, no plus sign, no spaces."""
        digits = text.removeprefix("-")
        whole, point, fraction = digits.partition(".")
        if not _is_digits(whole) or (point and not _is_digits(fraction)):
            raise MoneyError("an amount is a plain decimal number")
        if len(digits) > MAX_DIGITS:
            raise MoneyError(f"an amount has at most {MAX_DIGITS} digits")
        return cls(Decimal(text), currency)

    @classmethod
    def from_minor(cls, minor: int, currency: str) -> "Money":
        """Money of that many minor units (centavos)."""
        _quantum(currency)
        try:
            return cls(_EXACT.scaleb(Decimal(minor), -EXPONENTS[currency]), currency)
        except (Inexact, InvalidOperation):
            raise MoneyError(f"an amount has at most {MAX_DIGITS} digits") from None

    @classmethod
    def zero(cls, currency: str) -> "Money":
        """Nothing, in that currency: the start of a sum."""
        return cls(Decimal(0), currency)

    @property
    def minor(self) -> int:
        """The amount in minor units (centavos), exactly."""
        return int(self.amount.scaleb(EXPONENTS[self.currency], _EXACT))

    @property
    def is_zero(self) -> bool:
        """Whether this is neither owed nor owned."""
        return not self.amount

    @property
    def is_positive(self) -> bool:
        """Whether this is more than nothing."""
        return self.amount > 0

    def __add__(self, other: "Money") -> "Money":
        return self._with(_EXACT.add, other)

    def __sub__(self, other: "Money") -> "Money":
        return self._with(_EXACT.subtract, other)

    def __neg__(self) -> "Money":
        return Money(self.amount.copy_negate(), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.amount >= self._same(other)

    def __str__(self) -> str:
        return f"{self.amount:f}"

    def _same(self, other: "Money") -> Decimal:
        if self.currency != other.currency:
            raise MoneyError(f"{self.currency} and {other.currency} do not mix")
        return other.amount

    def _with(self, operation: Callable[[Decimal, Decimal], Decimal], other: "Money") -> "Money":
        try:
            return Money(operation(self.amount, self._same(other)), self.currency)
        except Inexact:
            raise MoneyError(f"an amount has at most {MAX_DIGITS} digits") from None


def _quantum(currency: str) -> Decimal:
    quantum = _QUANTA.get(currency)
    if quantum is None:
        raise MoneyError(f"unknown currency {currency!r}")
    return quantum


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
