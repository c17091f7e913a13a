"""What a client may write for an amount, a currency and a body."""

from datetime import UTC, date, datetime

import pytest
from common.errors import Invalid
from common.money import Money
from common.wire import CANONICAL, AmountText, Body, CurrencyText, Day, Moment, money_in
from pydantic import TypeAdapter, ValidationError

AMOUNT: TypeAdapter[str] = TypeAdapter(AmountText)
MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
DAY: TypeAdapter[date] = TypeAdapter(Day)


class Order(Body):
    """A body of the tests."""

    amount: AmountText
    currency: CurrencyText = "MXN"


@pytest.mark.parametrize("text", ["0", "0.5", "1.50", "100", "9999999999999999.9999"])
def test_plain_decimals_are_amounts_and_stay_as_written(text: str) -> None:
    assert AMOUNT.validate_python(text) == text
    assert AMOUNT.dump_python(text, mode="json") == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", "01", "1.", ".5", "1e2", "1E2", "0x1", "NaN", "Infinity", "1,5", " 1", "1\n", "٣"),
        *("1.23456", "12345678901234567"),
    ],
)
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_python(text)


@pytest.mark.parametrize("number", ["1", "1.5", "true", "null"])
def test_a_number_is_no_amount(number: str) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate_json(f'{{"amount": {number}}}')


@pytest.mark.parametrize(
    ("text", "canonical"), [("1.50", "1.5"), ("1.00", "1"), ("100", "100"), ("0.0", "0")]
)
def test_for_fingerprints_equal_amounts_are_written_alike(text: str, canonical: str) -> None:
    assert Order(amount=text).model_dump(mode="json", context=CANONICAL)["amount"] == canonical


def test_a_body_refuses_unknown_fields_and_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Order.model_validate({"amount": "1", "tip": "2"})
    order = Order(amount="1")
    with pytest.raises(ValidationError):
        order.amount = "2"  # type: ignore[misc]  # the point of the test


def test_money_comes_in_whole_and_positive() -> None:
    assert money_in("12.5", "MXN") == Money.parse("12.50", "MXN")


@pytest.mark.parametrize(
    ("amount", "currency"), [("0.001", "MXN"), ("0", "MXN"), ("0.00", "MXN"), ("1", "XXX")]
)
def test_money_that_is_not_names_its_field(amount: str, currency: str) -> None:
    with pytest.raises(Invalid) as refused:
        money_in(amount, currency, field="postings.0.amount")
    assert refused.value.field == "postings.0.amount"


@pytest.mark.parametrize(
    "text",
    [
        "2036-06-07T18:00:00Z",
        "2036-06-07t18:00z",
        "2036-06-07 12:00:00.000000-06:00",
        "2036-06-07T12:00:00-0600",
    ],
)
def test_a_moment_is_written_with_its_offset(text: str) -> None:
    assert MOMENT.validate_json(f'"{text}"') == datetime(2036, 6, 7, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *(
            '"2096474400"',
            '"2096474400000"',
            "2096474400",
            '"2036-06-07T18:00:00.1234567Z"',
            '"2036-06-07T18:00:00"',
        ),
        *(
            '"2036-06-07"',
            '"1999-12-31T23:59:59Z"',
            '"9999-01-01T00:00:00Z"',
            '"2036-02-30T00:00:00Z"',
            "null",
        ),
    ],
)
def test_nothing_else_is_read_as_one_or_cut_off_to_one(text: str) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_json(text)


def test_a_day_is_written_as_one() -> None:
    assert DAY.validate_json('"2036-06-07"') == date(2036, 6, 7)
    for text in (
        '"2096409600"',
        "2096409600",
        '"2036-06-07T00:00:00Z"',
        '"1999-12-31"',
        '"9999-01-01"',
        '"2036-02-30"',
    ):
        with pytest.raises(ValidationError):
            DAY.validate_json(text)
