"""The rail's truth log: one JSON line a fact, on disk before the answer goes out.

A process killed while it writes leaves a torn last line; nobody was told of that fact, so reading back
drops it.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

from tools.rail.book import Book, Movement, Status

MovementFact = Literal["transfer", "order"]
AccountFact = Literal["account-closed", "account-opened"]
_RETURNED: Final = "order-returned"
_LIE: Final = "central-bank-lies"
_TRANSFER: Final = "transfer"
_ORDER: Final = "order"
_CLOSED: Final = "account-closed"
_FORGOTTEN: Final = "forgotten"


class TruthReader:
    """The same file, read by another process: whatever was added since the last look is applied."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0
        self.book = Book()

    def refresh(self) -> Book:
        """The book as the log tells it now. A last line that is still being written is left for later."""
        if self._path.exists():
            with self._path.open("rb") as lines:
                lines.seek(self._read_to)
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    _apply(self.book, json.loads(line))
                    self._read_to += len(line)
        return self.book


class TruthLog:
    """An append-only file of facts. `open` replays it; every write is synced before it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._cut_torn_line()
        self._descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def replay(self) -> Book:
        """The book as the log tells it."""
        book = Book()
        for fact in self._facts():
            _apply(book, fact)
        return book

    def record_movement(self, kind: MovementFact, movement: Movement) -> None:
        self._append({"fact": kind, **{name: _plain(value) for name, value in asdict(movement).items()}})

    def record_account(self, kind: AccountFact, clabe: str) -> None:
        self._append({"fact": kind, "clabe": clabe})

    def record_return(self, clave: str, at: datetime) -> None:
        self._append({"fact": _RETURNED, "clave": clave, "at": at.isoformat()})

    def record_lie(self, key: tuple[date, str, str], status: str) -> None:
        day, institution, clave = key
        self._append(
            {
                "fact": _LIE,
                "date": day.isoformat(),
                "institution": institution,
                "clave": clave,
                "status": status,
            }
        )

    def record_forgetting(self) -> None:
        """What was written before tells nothing any more."""
        self._append({"fact": _FORGOTTEN})

    def close(self) -> None:
        os.close(self._descriptor)

    def _append(self, fact: dict[str, str | None]) -> None:
        os.write(self._descriptor, json.dumps(fact, ensure_ascii=False).encode() + b"\n")
        os.fsync(self._descriptor)

    def _facts(self) -> Iterator[dict[str, str | None]]:
        with self._path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)

    def _cut_torn_line(self) -> None:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self._path, whole)


def _plain(value: str | date | datetime | Decimal | None) -> str | None:
    if isinstance(value, date):
        return value.isoformat()
    return None if value is None else str(value)


def _apply(book: Book, fact: dict[str, str | None]) -> None:
    if fact["fact"] == _TRANSFER:
        movement = _movement(fact)
        book.transfers[movement.key] = movement
    elif fact["fact"] == _ORDER:
        movement = _movement(fact)
        book.orders[movement.clave.upper()] = movement
    elif fact["fact"] == _RETURNED:
        book.returned[_text(fact, "clave").upper()] = datetime.fromisoformat(_text(fact, "at"))
    elif fact["fact"] == _LIE:
        key = (date.fromisoformat(_text(fact, "date")), _text(fact, "institution"), _text(fact, "clave"))
        book.lies[key] = _text(fact, "status")
    elif fact["fact"] == _FORGOTTEN:
        book.forget()
    elif fact["fact"] == _CLOSED:
        book.closed_accounts.add(_text(fact, "clabe"))
    else:
        book.closed_accounts.discard(_text(fact, "clabe"))


def _movement(fact: dict[str, str | None]) -> Movement:
    lie = fact["statement_amount"]
    return Movement(
        clave=_text(fact, "clave"),
        operation_date=date.fromisoformat(_text(fact, "operation_date")),
        institution=_text(fact, "institution"),
        ordering_clabe=_text(fact, "ordering_clabe"),
        ordering_name=_text(fact, "ordering_name"),
        beneficiary_clabe=_text(fact, "beneficiary_clabe"),
        beneficiary_name=_text(fact, "beneficiary_name"),
        amount=Decimal(_text(fact, "amount")),
        concept=_text(fact, "concept"),
        accepted_at=datetime.fromisoformat(_text(fact, "accepted_at")),
        ends_at=datetime.fromisoformat(_text(fact, "ends_at")),
        ends_as=Status(_text(fact, "ends_as")),
        reason=fact["reason"],
        statement_amount=None if lie is None else Decimal(lie),
        ordering_document=fact.get("ordering_document") or "ND",
    )


def _text(fact: dict[str, str | None], name: str) -> str:
    value = fact[name]
    if value is None:
        raise ValueError(f"a fact of the truth log has no {name}")
    return value
