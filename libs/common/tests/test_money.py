"""Money is exact, closed under what it offers, and refuses everything else."""

from decimal import Decimal, localcontext

import pytest
from common.money import EXPONENTS, MAX_DIGITS, Money, MoneyError
from hypothesis import given
from hypothesis import strategies as st

CURRENCIES = st.sampled_from(sorted(EXPONENTS))
MINORS = st.integers(min_value=-(10**34), max_value=10**34)


@given(MINORS, CURRENCIES)
def test_minor_units_and_text_lose_nothing(minor: int, currency: str) -> None:
    money = Money.from_minor(minor, currency)
    assert money.minor == minor
    assert Money.parse(str(money), currency) == money
    assert len(str(money).partition(".")[2]) == EXPONENTS[currency]


@given(MINORS, MINORS, CURRENCIES)
def test_arithmetic_is_that_of_whole_minor_units(left: int, right: int, currency: str) -> None:
    a, b = Money.from_minor(left, currency), Money.from_minor(right, currency)
    assert (a + b).minor == left + right
    assert (a - b).minor == left - right
    assert (-a).minor == -left
    assert a - b + b == a
    assert (a < b, a <= b, a > b, a >= b) == (left < right, left <= right, left > right, left >= right)
    assert (a.is_zero, a.is_positive) == (left == 0, left > 0)


@given(MINORS, MINORS)
def test_the_ambient_decimal_context_does_not_matter(left: int, right: int) -> None:
    with localcontext() as context:
        context.prec = 2
        total = Money.from_minor(left, "MXN") + Money.from_minor(right, "MXN")
        assert total.minor == left + right
        assert (-total).minor == -(left + right)


@given(st.text(max_size=12))
def test_any_text_is_plain_decimal_or_refused(text: str) -> None:
    try:
        money = Money.parse(text, "MXN")
    except MoneyError:
        return
    assert set(text) <= set("-.0123456789")
    assert money.amount == Decimal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "5.",
        ".5",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "1e2",
        "1E2",
        "NaN",
        "Infinity",
        "--1",
        "1.2.3",
        "٣",
        "1,5",
    ],
)
def test_text_that_is_not_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        Money.parse(text, "MXN")


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0.001", "MXN"),
        ("1.5", "JPY"),
        ("0.0001", "KWD"),
        ("NaN", "MXN"),
        ("sNaN", "MXN"),
        ("Infinity", "MXN"),
    ],
)
def test_inexact_and_unreal_amounts_are_refused(amount: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        Money(Decimal(amount), currency)


def test_only_a_decimal_is_an_amount() -> None:
    for amount in (1, 1.0, "1", True, None):
        with pytest.raises(MoneyError):
            Money(amount, "MXN")  # type: ignore[arg-type]  # the point of the test


def test_trailing_zeros_beyond_the_exponent_are_not_decimals() -> None:
    assert Money(Decimal("1.5000"), "MXN") == Money.parse("1.50", "MXN")
    assert str(Money(Decimal("15E+1"), "MXN")) == "150.00"


def test_there_is_no_negative_zero() -> None:
    for zero in (Money.parse("-0", "MXN"), -Money.zero("MXN"), Money(Decimal("-0.00"), "MXN")):
        assert str(zero) == "0.00"
        assert zero == Money.zero("MXN")


def test_currencies_do_not_mix() -> None:
    pesos, dollars = Money.parse("1", "MXN"), Money.parse("1", "USD")
    assert pesos != dollars
    for mix in (
        lambda: pesos + dollars,
        lambda: pesos - dollars,
        lambda: pesos < dollars,
        lambda: pesos >= dollars,
    ):
        with pytest.raises(MoneyError):
            mix()


@pytest.mark.parametrize("currency", ["mxn", "XXX", "", "MXN "])
def test_unknown_currencies_are_refused(currency: str) -> None:
    with pytest.raises(MoneyError):
        Money.zero(currency)


def test_an_amount_too_long_to_stay_exact_is_refused() -> None:
    most = Money.from_minor(10**MAX_DIGITS - 1, "MXN")
    with pytest.raises(MoneyError):
        most + Money.from_minor(1, "MXN")
    with pytest.raises(MoneyError):
        Money.parse("9" * (MAX_DIGITS - 1), "MXN")
    with pytest.raises(MoneyError):
        Money.from_minor(10**MAX_DIGITS, "MXN")


def test_money_is_a_value() -> None:
    money = Money.parse("1.50", "MXN")
    assert {money, Money.parse("1.5", "MXN")} == {money}
    with pytest.raises(AttributeError):
        money.amount = Decimal(2)  # type: ignore[misc]  # the point of the test
