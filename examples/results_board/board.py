"""The board itself: what is shown, and the two memories that keep it right. SQLite, so that it runs anywhere.

One transaction holds the id of the event, the version it brought, and what it changed on the board. So a
crash leaves all or nothing, an event that comes twice changes nothing, and one that comes late overwrites
nothing newer.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from contracts.betting import MarketSettled, MarketVoided
from contracts.envelope import Envelope

TABLES: Final = """
    CREATE TABLE IF NOT EXISTS inbox (event_id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS shown (
        market TEXT PRIMARY KEY, version INTEGER NOT NULL, ending TEXT NOT NULL, paid TEXT NOT NULL);
"""


class UnknownEvent(Exception):
    """The queue brought what nobody here asked for."""


class Board:
    """The markets that have ended, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as database:
            database.executescript(TABLES)

    def apply(self, event: Envelope) -> bool:
        """Show what the event tells. False when it was known already or something newer is shown.

        Raises UnknownEvent, or pydantic's ValidationError when the event is not what its type says.
        """
        market, ending, paid = _told(event)
        with closing(self._open()) as database, database:
            if not _changed(database, "INSERT OR IGNORE INTO inbox VALUES (?)", str(event.id)):
                return False
            return _changed(
                database,
                "INSERT INTO shown VALUES (?, ?, ?, ?) ON CONFLICT (market) DO UPDATE"
                " SET version = excluded.version, ending = excluded.ending, paid = excluded.paid"
                " WHERE excluded.version > version",
                market,
                event.sequence,
                ending,
                paid,
            )

    def shown(self) -> dict[str, tuple[str, str]]:
        """How each market ended, and what was paid."""
        with closing(self._open()) as database:
            return {
                row[0]: (row[1], row[2]) for row in database.execute("SELECT market, ending, paid FROM shown")
            }

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=5)


def _told(event: Envelope) -> tuple[str, str, str]:
    match event.type:
        case MarketSettled.type:
            settled = event.read(MarketSettled)
            winner = "dead heat" if settled.winner is None else f"won by {settled.winner}"
            return str(settled.market_id), winner, f"{settled.total} {settled.currency}"
        case MarketVoided.type:
            voided = event.read(MarketVoided)
            return str(voided.market_id), f"void: {voided.reason}", f"{voided.total} {voided.currency}"
        case unknown:
            raise UnknownEvent(unknown)


def _changed(database: sqlite3.Connection, statement: str, *values: object) -> bool:
    return database.execute(statement, values).rowcount == 1
