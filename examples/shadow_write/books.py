"""The team's own books: payments between accounts, each change in a feed written in the same transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

_TABLES = """
    CREATE TABLE IF NOT EXISTS payment (
        id TEXT PRIMARY KEY, version INTEGER NOT NULL, payer TEXT NOT NULL, payee TEXT NOT NULL, amount TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS change (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, version INTEGER NOT NULL,
        payer TEXT, payee TEXT, amount TEXT, UNIQUE (id, version));
"""


@dataclass(frozen=True, slots=True)
class Payment:
    """`amount` in pesos from one account to another."""

    payer: str
    payee: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a payment: from now on it is so, or, with None, it never was. Versions count from 1."""

    number: int
    id: str
    version: int
    payment: Payment | None


class Books:
    """The system that people work with. It knows nothing of the ledger."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file)
        self._database.executescript(_TABLES)

    def pay(self, id: str, payment: Payment) -> None:
        """Record a payment. Raises `sqlite3.IntegrityError` when there is one of that id."""
        with self._database as database:
            database.execute("INSERT INTO payment VALUES (?, 1, ?, ?, ?)", (id, *_written(payment)))
            self._tell(database, id, 1, payment)

    def amend(self, id: str, payment: Payment) -> None:
        """Say that it was another payment. Raises `LookupError`."""
        with self._database as database:
            version = self._version(database, id) + 1
            database.execute(
                "UPDATE payment SET version = ?, payer = ?, payee = ?, amount = ? WHERE id = ?",
                (version, *_written(payment), id),
            )
            self._tell(database, id, version, payment)

    def take_back(self, id: str) -> None:
        """Say that it never was. Raises `LookupError`."""
        with self._database as database:
            version = self._version(database, id) + 1
            database.execute("DELETE FROM payment WHERE id = ?", (id,))
            self._tell(database, id, version, None)

    def changes(self, after: int, limit: int = 100) -> list[Change]:
        """The feed beyond that number, oldest first."""
        rows = self._database.execute(
            "SELECT number, id, version, payer, payee, amount FROM change WHERE number > ? ORDER BY number LIMIT ?",
            (after, limit),
        )
        return [
            Change(number, id, version, _read(*rest) if rest[0] else None)
            for number, id, version, *rest in rows
        ]

    def payments(self) -> Iterator[tuple[str, int, Payment]]:
        """Every payment that counts, with its version."""
        for id, version, *rest in self._database.execute(
            "SELECT id, version, payer, payee, amount FROM payment"
        ):
            yield id, version, _read(*rest)

    def balances(self) -> dict[str, Decimal]:
        """What each account has received less what it has paid, by this system's own reckoning."""
        sums: dict[str, Decimal] = {}
        for _, _, payment in self.payments():
            sums[payment.payer] = sums.get(payment.payer, Decimal(0)) - payment.amount
            sums[payment.payee] = sums.get(payment.payee, Decimal(0)) + payment.amount
        return sums

    @contextmanager
    def behind_the_feed(self) -> Iterator[sqlite3.Connection]:
        """Write without telling anybody: how real books drift from what was made of them."""
        with self._database as database:
            yield database

    def _version(self, database: sqlite3.Connection, id: str) -> int:
        row = database.execute("SELECT version FROM payment WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise LookupError(id)
        return int(row[0])

    def _tell(self, database: sqlite3.Connection, id: str, version: int, payment: Payment | None) -> None:
        written = _written(payment) if payment else (None, None, None)
        database.execute(
            "INSERT INTO change (id, version, payer, payee, amount) VALUES (?, ?, ?, ?, ?)",
            (id, version, *written),
        )


def _written(payment: Payment) -> tuple[str, str, str]:
    return payment.payer, payment.payee, f"{payment.amount:.2f}"


def _read(payer: str, payee: str, amount: str) -> Payment:
    return Payment(payer, payee, Decimal(amount))
