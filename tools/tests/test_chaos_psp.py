"""The simulated card provider by itself: its fate is drawn from the seed, its truth adds up, its log is its book."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.chaos_psp.book import Book, PspError
from tools.chaos_psp.faults import ALL, FILES, Faults, everything
from tools.chaos_psp.log import Log

NOW = datetime(2026, 11, 21, tzinfo=UTC)
Script = list[tuple[str, Decimal]]


def play(book: Book, script: Script, order: random.Random | None = None) -> Book:
    """Authorise and capture each; half of them are refunded in part. The order, if given, shuffles who comes first."""
    wishes = list(script)
    if order is not None:
        order.shuffle(wishes)
    parents = {}
    for token, amount in wishes:
        made = book.create(
            key=str(uuid4()), act="authorize", amount=amount, token=token, parent=None, now=NOW
        )
        parents[token] = made[0].id
    for act, share in (("capture", Decimal(1)), ("refund", Decimal("0.5"))):
        for token, amount in wishes:
            part = (amount * share).quantize(Decimal("0.01"))
            try:
                book.create(
                    key=str(uuid4()), act=act, amount=part, token=None, parent=parents[token], now=NOW
                )
            except PspError:
                continue
    return book


SCRIPTS = st.lists(
    st.decimals(min_value=Decimal("1.00"), max_value=Decimal("999.99"), places=2),
    min_size=1,
    max_size=12,
    unique=True,
).map(lambda amounts: [(f"tok_{at}_ok", amount) for at, amount in enumerate(amounts)])


@given(SCRIPTS, st.integers(0, 1000), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_same_seed_and_wishes_have_the_same_fate_in_any_order(
    script: Script, seed: int, order: random.Random
) -> None:
    one = play(Book(everything(seed, lies=0.3)), script)
    other = play(Book(everything(seed, lies=0.3)), script, order)
    late = (one.come_late(NOW), other.come_late(NOW))
    assert [each.label for each in late[0]] == [each.label for each in late[1]]
    assert one.digest() == other.digest()


@given(SCRIPTS, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_every_file_adds_up_whatever_is_wrong_with_it(script: Script, seed: int) -> None:
    book = play(Book(Faults(seed, dict.fromkeys(FILES, 0.3))), script)
    while (name := book.pay_out(NOW)) is not None and len(book.files) < 5:
        rows = [row.split(",") for row in book.files[name].splitlines()]
        total = sum((Decimal(row[3]) - Decimal(row[4]) for row in rows[1:-1]), Decimal(rows[0][3]))
        assert Decimal(rows[-1][1]) == total


def test_the_statement_goes_from_nothing_to_what_is_owed() -> None:
    book = play(Book(), [("tok_1", Decimal("100.00")), ("tok_2", Decimal("50.00"))])
    book.pay_out(NOW)
    play(book, [("tok_3", Decimal("10.00"))])
    rows = [row.split(",") for row in book.statement().splitlines()]
    assert sum((Decimal(row[3]) for row in rows[1:-1]), Decimal(0)) == Decimal(rows[-1][1]) == Decimal("5.00")


def test_without_rates_nothing_strikes() -> None:
    assert not any(Faults(7).strikes(name, "x") for name in ALL)
    struck = {name for name in ALL if Faults(7, {name: 1.0}).strikes(name, "x")}
    assert struck == set(ALL), "and each can be switched on alone"


def test_an_expired_authorization_captures_nothing() -> None:
    book = Book()
    (thing,) = book.create(
        key="a", act="authorize", amount=Decimal(5), token="tok_expires", parent=None, now=NOW
    )
    later = NOW + timedelta(days=8)
    (capture,) = book.create(
        key="b", act="capture", amount=Decimal(5), token=None, parent=thing.id, now=later
    )
    assert (capture.status, capture.reason) == ("failed", "authorization_expired")
    assert book.moves == []


def test_a_key_is_done_once() -> None:
    book = Book()
    first = book.create(key="a", act="authorize", amount=Decimal(5), token="t", parent=None, now=NOW)
    assert book.create(key="a", act="authorize", amount=Decimal(5), token="t", parent=None, now=NOW) == []
    assert list(book.things.values()) == first
    with pytest.raises(PspError):
        book.create(key="b", act="capture", amount=Decimal(5), token=None, parent="op_nowhere", now=NOW)


def test_the_log_is_the_book(tmp_path: Path) -> None:
    log = Log(tmp_path / "psp.jsonl")
    book = play(Book(everything(3, lies=0.3)), [(f"tok_{at}", Decimal(at + 1)) for at in range(20)])
    log.things(book, list(book.things.values()))
    name = book.pay_out(NOW)
    assert name is not None
    log.things(book, [each for each in book.things.values() if each.paid_out == name])
    log.file(name, book.files[name])
    log.close()
    with (tmp_path / "psp.jsonl").open("a") as torn:
        torn.write('{"fact": "thi')
    again = Log(tmp_path / "psp.jsonl").replay()
    assert (again.things, again.moves, again.files) == (book.things, book.moves, book.files)
    assert replace(next(iter(again.things.values()))) in book.things.values()
