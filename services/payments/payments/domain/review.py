"""The review of a withdrawal: rules with a date, and what they find.

Every rule is data, so that a new threshold is a new row and an old decision can be read by the rules of its
day. A rule that hits leaves the withdrawal to people; the money stays reserved meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

FOUR_EYES: Final = "four-eyes-amount"
LINKED_DEPOSITS: Final = "linked-deposits-sum"
PER_PLAYER: Final = "withdrawals-per-player"
PER_CLABE: Final = "withdrawals-per-clabe"
COOLING_OFF: Final = "clabe-cooling-off"
SHARED: Final = "clabe-shared"
WITHOUT_PLAY: Final = "deposit-without-play"

NOTIFIABLE: Final = frozenset({LINKED_DEPOSITS, WITHOUT_PLAY})
"""Hits that an authority may have to be told of."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold in force. `window` is over how much time things are counted or added up."""

    name: str
    threshold: Decimal
    window: timedelta


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a withdrawal when it is reviewed. Amounts in pesos; counts include the withdrawal."""

    amount: Decimal
    withdrawals_of_player: int
    withdrawals_to_clabe: int
    clabe_known_since: datetime
    clabes_of_player: int
    players_of_clabe: int
    deposited: Decimal
    """Within the window of the rule about linked deposits, from all rails."""
    has_played: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that a withdrawal has run into, and by what."""

    rule: str
    found: str
    threshold: str


def review(facts: Facts, rules: Mapping[str, Rule], now: datetime) -> Sequence[Hit]:
    """Every rule that the withdrawal runs into; none: it may pass. A rule that is not in force hits nothing."""
    found: dict[str, tuple[bool, str]] = {}

    def look(name: str, hit: bool, what: object) -> None:
        found[name] = (hit, str(what))

    for name, rule in rules.items():
        match name:
            case "four-eyes-amount":
                look(name, facts.amount >= rule.threshold, facts.amount)
            case "withdrawals-per-player":
                look(name, facts.withdrawals_of_player > rule.threshold, facts.withdrawals_of_player)
            case "withdrawals-per-clabe":
                look(name, facts.withdrawals_to_clabe > rule.threshold, facts.withdrawals_to_clabe)
            case "clabe-cooling-off":
                rested = now - facts.clabe_known_since >= rule.window
                look(name, facts.clabes_of_player > 1 and not rested, facts.clabe_known_since.isoformat())
            case "clabe-shared":
                look(name, facts.players_of_clabe > rule.threshold, facts.players_of_clabe)
            case "linked-deposits-sum":
                look(name, facts.deposited >= rule.threshold, facts.deposited)
            case "deposit-without-play":
                passing = not facts.has_played and facts.amount >= rule.threshold
                look(name, passing, facts.amount)
    return [Hit(name, what, str(rules[name].threshold)) for name, (hit, what) in sorted(found.items()) if hit]
