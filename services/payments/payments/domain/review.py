"""The review of a withdrawal: rules with a date, and what they find.

Every rule is data, so that a new threshold is a new row and an old decision can be read by the rules of its
day. A rule that hits leaves the withdrawal to people; the money stays reserved meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final

FOUR_EYES: Final = "four-eyes-amount"
LINKED_DEPOSITS: Final = "linked-deposits-sum"
PER_PLAYER: Final = "withdrawals-per-player"
PER_CLABE: Final = "withdrawals-per-clabe"
COOLING_OFF: Final = "clabe-cooling-off"
SHARED: Final = "clabe-shared"
PER_DEVICE: Final = "withdrawals-per-device"
DEVICE_SHARED: Final = "device-shared"
NEW_PASSWORD: Final = "password-cooling-off"  # noqa: S105 - a rule's name
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
    withdrawals_by_device: int = 0
    players_of_device: int = 0
    password_changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that a withdrawal has run into, and by what."""

    rule: str
    found: str
    threshold: str


Look = Callable[[Facts, Rule, datetime], tuple[bool, object]]
"""Whether a rule hits, and what was held against its threshold."""


def _new_clabe(facts: Facts, rule: Rule, now: datetime) -> tuple[bool, object]:
    rested = now - facts.clabe_known_since >= rule.window
    return facts.clabes_of_player > 1 and not rested, facts.clabe_known_since.isoformat()


def _new_password(facts: Facts, rule: Rule, now: datetime) -> tuple[bool, object]:
    changed_at = facts.password_changed_at
    return changed_at is not None and now - changed_at < rule.window, changed_at


def _without_play(facts: Facts, rule: Rule, _: datetime) -> tuple[bool, object]:
    return not facts.has_played and facts.amount >= rule.threshold, facts.amount


def _reaches(what: Callable[[Facts], Decimal]) -> Look:
    return lambda facts, rule, _: (what(facts) >= rule.threshold, what(facts))


def _exceeds(what: Callable[[Facts], int]) -> Look:
    return lambda facts, rule, _: (what(facts) > rule.threshold, what(facts))


_LOOKS: Final[Mapping[str, Look]] = MappingProxyType(
    {
        FOUR_EYES: _reaches(lambda facts: facts.amount),
        LINKED_DEPOSITS: _reaches(lambda facts: facts.deposited),
        PER_PLAYER: _exceeds(lambda facts: facts.withdrawals_of_player),
        PER_CLABE: _exceeds(lambda facts: facts.withdrawals_to_clabe),
        PER_DEVICE: _exceeds(lambda facts: facts.withdrawals_by_device),
        SHARED: _exceeds(lambda facts: facts.players_of_clabe),
        DEVICE_SHARED: _exceeds(lambda facts: facts.players_of_device),
        COOLING_OFF: _new_clabe,
        NEW_PASSWORD: _new_password,
        WITHOUT_PLAY: _without_play,
    }
)


def review(facts: Facts, rules: Mapping[str, Rule], now: datetime) -> Sequence[Hit]:
    """Every rule that the withdrawal runs into; none: it may pass. A rule that is not in force hits nothing."""
    hits = []
    for name in sorted(rules.keys() & _LOOKS.keys()):
        hit, found = _LOOKS[name](facts, rules[name], now)
        if hit:
            hits.append(Hit(name, str(found), str(rules[name].threshold)))
    return hits
