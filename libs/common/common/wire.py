"""The base of every model that comes in, and how money is written on the wire."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializationInfo,
    StringConstraints,
)

from common.errors import Invalid
from common.money import Money, MoneyError

CANONICAL: Final = "canonical"
"""Serialisation context under which equal amounts are written alike ("1.50" as "1.5"), for fingerprints."""


def _write_amount(text: str, info: SerializationInfo[str | None]) -> str:
    return text.rstrip("0").rstrip(".") if info.context == CANONICAL and "." in text else text


AmountText = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"^(0|[1-9][0-9]{0,15})(\.[0-9]{1,4})?$", max_length=21),
    PlainSerializer(_write_amount, return_type=str, when_used="json"),
]
"""A decimal string of at most 20 digits: no sign, no exponent, no leading zero. Never a JSON number."""

CurrencyText = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{3}$")]
"""An ISO 4217 code."""


Moment = Annotated[
    AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))
]
"""A moment that a client names: with its offset, and so far from the calendar's ends that it has one in every zone."""


class Body(BaseModel):
    """What a client sends: nothing is coerced, unknown fields are refused, and it does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class View(BaseModel):
    """What we answer. Whoever reads it ignores fields it does not know: we may add some."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def money_in(amount: str, currency: str, *, field: str = "amount") -> Money:
    """The money a client named. Raises `Invalid` that names the field: more decimals than the
    currency has, a currency we do not hold, or nothing at all."""
    try:
        money = Money.parse(amount, currency)
    except MoneyError as error:
        raise Invalid(str(error), field=field) from None
    if not money.is_positive:
        raise Invalid("an amount is more than zero", field=field)
    return money
