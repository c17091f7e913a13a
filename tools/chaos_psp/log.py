"""The provider's log: one JSON line a change, on disk before the answer goes out; reading it back is the book."""

import json
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from tools.chaos_psp.book import Book, Move, Thing, from_plain, plain


class Log:
    """An append-only file of facts."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        if path.exists():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)  # a torn last line was told to nobody
        self._descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._moves = 0

    def replay(self) -> Book:
        """The book as the log tells it."""
        book = Book()
        with self._path.open(encoding="utf-8") as lines:
            for line in lines:
                fact = json.loads(line)
                if fact["fact"] == "thing":
                    thing = from_plain(fact)
                    book.things[thing.id] = thing
                elif fact["fact"] == "move":
                    at = datetime.fromisoformat(fact["at"])
                    book.moves.append(Move(fact["thing"], fact["act"], Decimal(fact["amount"]), at))
                else:
                    book.files[fact["name"]] = fact["text"]
        self._moves = len(book.moves)
        return book

    def things(self, book: Book, things: list[Thing]) -> None:
        """These have changed, and the movements that are new with them."""
        lines = [json.dumps({"fact": "thing", **plain(each)}) for each in things]
        for move in book.moves[self._moves :]:
            fact = {
                "thing": move.thing,
                "act": move.act,
                "amount": str(move.amount),
                "at": move.at.isoformat(),
            }
            lines.append(json.dumps({"fact": "move", **fact}))
        self._moves = len(book.moves)
        self._write(lines)

    def file(self, name: str, text: str) -> None:
        self._write([json.dumps({"fact": "file", "name": name, "text": text})])

    def forget(self) -> None:
        """Nothing has ever happened."""
        os.ftruncate(self._descriptor, 0)
        self._moves = 0

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, lines: list[str]) -> None:
        if lines:
            os.write(self._descriptor, "".join(f"{line}\n" for line in lines).encode())
            os.fsync(self._descriptor)
