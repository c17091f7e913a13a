"""The base of every model that comes in, and how money is written on the wire."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
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

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)
_RFC_3339_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _moment_as_written(value: object) -> object:
    """Only text that says what it means: pydantic would read digits as seconds since 1970, and cut off what is finer than
    a microsecond."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        return value
    raise ValueError(
        "a moment is written like 2036-06-07T12:10:00-06:00, with its offset, to the microsecond at most"
    )


def _day_as_written(value: object) -> object:
    """Here, too, digits would be read as seconds."""
    if isinstance(value, str) and _RFC_3339_DAY.fullmatch(value):
        return value
    raise ValueError("a day is written like 2036-06-07")


Moment = Annotated[
    AwareDatetime,
    Field(strict=False, ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
    BeforeValidator(_moment_as_written),
]
"""A moment that a client names: with its offset, and so far from the calendar's ends that it has one in every zone."""

Day = Annotated[
    date,
    Field(strict=False, ge=date(2000, 1, 1), lt=date(9999, 1, 1)),
    BeforeValidator(_day_as_written),
]
"""A day that a client names, within the same bounds."""


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
