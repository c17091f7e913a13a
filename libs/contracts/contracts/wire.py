"""The scalars of the wire and the two kinds of message, so that every contract spells them alike.

Money is a decimal *string*: JSON numbers become binary floats in most readers. The contracts check
only the shape; how many decimals a currency has is `common.money`'s to say.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)


def _not_zero(amount: str) -> str:
    if Decimal(amount) == 0:
        raise ValueError("must be greater than zero")
    return amount


def _text(pattern: str, *, max_length: int | None = None) -> StringConstraints:
    """Strict: text must arrive as text, never as a number that looks like it."""
    return StringConstraints(strict=True, pattern=pattern, max_length=max_length)


Amount = Annotated[str, _text(r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,8})?$")]
"""Zero or more, in major units: "0", "100.00". Canonical: no sign, exponent or leading zero."""

PositiveAmount = Annotated[Amount, AfterValidator(_not_zero)]
"""More than zero, in major units."""

SignedAmount = Annotated[str, _text(r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,8})?$")]
"""A balance: may be below zero."""

Currency = Annotated[str, _text(r"^[A-Z]{3}$")]
"""ISO 4217 alphabetic code."""

AccountPath = Annotated[str, _text(r"^[a-z0-9._-]+(/[a-z0-9._-]+)*$", max_length=200)]
"""An account's address in its chart, such as `players/<uuid>/held`. Lower case: one account, one spelling."""

EntryKind = Annotated[str, _text(r"^[a-z]+(\.[a-z]+)*$", max_length=64)]
"""A kind of entry, such as `bet.hold`. Which kinds exist is the chart's to say, not the contract's."""

IdempotencyKey = Annotated[str, _text(r"^[!-~]{1,255}$")]
"""Printable ASCII without blanks, at most 255 characters; names one command of one principal for ever."""

Reference = Annotated[str, _text(r"^[!-~]+$", max_length=200)]
"""The business object an entry is about, such as `offers/<uuid>`."""

Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
"""A short text for people."""

Sha256 = Annotated[str, _text(r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

Count = Annotated[int, Field(strict=True, ge=0)]
"""A whole number from zero."""

Ordinal = Annotated[int, Field(strict=True, ge=1)]
"""A whole number from one: a version, a sequence, a chunk."""

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)


def _as_written(moment: object) -> object:
    """Only text that says what it means: pydantic would read numbers as seconds since 1970, and cut off what is finer than a
    microsecond."""
    if isinstance(moment, datetime) or (isinstance(moment, str) and _RFC_3339.fullmatch(moment)):
        return moment
    raise ValueError(
        "a moment is written like 2036-06-07T12:10:00-06:00, with its offset, to the microsecond at most"
    )


Moment = Annotated[AwareDatetime, BeforeValidator(_as_written)]
"""A point in time with its offset; written in UTC by every service."""


class Wire(BaseModel):
    """Anything that crosses a process boundary: immutable, and tolerant of fields it does not know,
    because a newer publisher may add some within the same version."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(Wire):
    """Anything that asks for an effect: an unknown field is a misunderstanding, so it is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Wire):
    """Anything that travels in an envelope. `type` is its CloudEvents type, `service.noun.verb.v1`;
    the service is the one that owns the contract."""

    type: ClassVar[str]


class Event(Message):
    """A fact, in the past tense, told to whoever listens."""


class Command(Request, Message):
    """A wish addressed to one service."""
