"""The race card: which horses run against each other, and, for the simulation, how each race ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal[0, 1, "dead heat", "scratched"]
"""The index of the winning horse, or why there is none."""

CARD = Path(__file__).with_name("card.json")


@dataclass(frozen=True, slots=True)
class RaceOnCard:
    number: int
    distance_m: int
    horses: tuple[str, str]
    commission_bps: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Card:
    event: str
    venue: str
    permit: str
    races: tuple[RaceOnCard, ...]


def read_card(path: Path = CARD) -> Card:
    """The card in a JSON file. Raises KeyError or ValueError when it is not one."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    races = tuple(
        RaceOnCard(
            race["number"],
            race["distance_m"],
            (race["horses"][0], race["horses"][1]),
            race["commission_bps"],
            race["outcome"],
        )
        for race in raw["races"]
    )
    return Card(raw["event"]["name"], raw["event"]["venue"], raw["event"]["permit"], races)
