"""Results: who declares them, when two declarations are one result, and what a result means for a market."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from betting.domain.errors import ResultAlreadyDeclared, ResultInvalid
from betting.domain.ids import RunnerId, UserId
from betting.domain.margins import Margin
from betting.domain.markets import Market, MarketKind, TieRule
from betting.domain.offers import Side
from betting.domain.races import Race, RaceStatus
from betting.domain.settlement import Outcome


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one official saw.

    `winner` and `margin` are None for a dead heat of the first. `places` has every runner that came in, the first
    first; runners of one group came in together. A runner in no group came in after all others. A match race needs
    no more than its winner.
    """

    winner: RunnerId | None
    margin: Margin | None
    off_time: datetime
    photo_sha256: bytes
    places: tuple[tuple[RunnerId, ...], ...] = ()

    def __post_init__(self) -> None:
        if (self.winner is None) != (self.margin is None):
            raise ResultInvalid("a winner has a margin and a dead heat has none", field="margin")

    def place_of(self, runner: RunnerId) -> int:
        """Its place, 1 for the first; a runner that did not come in shares the last."""
        for place, group in enumerate(self.places, start=1):
            if runner in group:
                return place
        return len(self.places) + 1

    def before(self, one: RunnerId, other: RunnerId) -> bool | None:
        """Whether one came in before the other; None if together."""
        mine, theirs = self.place_of(one), self.place_of(other)
        return None if mine == theirs else mine < theirs


def complete(race: Race, declared: Declaration) -> Declaration:
    """The declaration with its places, checked against who ran. Raises ResultInvalid."""
    ran = [runner.id for runner in race.runners if not runner.scratched]
    if declared.winner is not None and declared.winner not in ran:
        raise ResultInvalid("the winner did not run in this race", field="winner")
    places = declared.places
    if not places:
        if not race.is_match:
            raise ResultInvalid("a race of more than two needs its places", field="places")
        first, second = ran
        places = ((first, second),) if declared.winner is None else ((declared.winner,),)
    named = [runner for group in places for runner in group]
    if len(set(named)) != len(named) or not set(named) <= set(ran):
        raise ResultInvalid("a place names a runner of this race, once", field="places")
    if not all(places):
        raise ResultInvalid("a place without a runner is none", field="places")
    first_in = places[0]
    if (declared.winner is None) != (len(first_in) > 1) or declared.winner not in {None, first_in[0]}:
        raise ResultInvalid("the winner is who came in first, alone", field="places")
    ordered = tuple(tuple(sorted(group)) for group in places)
    return Declaration(declared.winner, declared.margin, declared.off_time, declared.photo_sha256, ordered)


def after_declaration(
    race: Race, official: UserId, declared: Declaration, earlier: Mapping[UserId, Declaration]
) -> list[Race]:
    """The states the race passes when `official` declares its result, given the `earlier` declarations.

    Two different officials declare blind; any difference between them is a dispute.
    Raises ResultAlreadyDeclared, RaceStateConflict.
    """
    if official in earlier:
        raise ResultAlreadyDeclared("a second, different official declares the result as well")
    if not earlier:
        return race.way_to(RaceStatus.DECLARED)
    agreed = all(other == declared for other in earlier.values())
    return [race.moved(RaceStatus.CONFIRMED if agreed else RaceStatus.DISPUTED)]


def outcome_of(market: Market, result: Declaration) -> Outcome:
    """What a final result means for a market's question."""
    terms = market.terms
    before = result.before(terms.runner_a, terms.runner_b)
    if before is None:
        if terms.kind is MarketKind.VENTAJA:
            return _ventaja(market, None, None)
        return Outcome.SPLIT if terms.tie_rule is TieRule.SPLIT_POT else Outcome.PUSH
    ahead = Side.A if before else Side.B
    if terms.kind is MarketKind.GANA:
        return Outcome(ahead)
    return _ventaja(market, ahead, result.margin)


def _ventaja(market: Market, ahead: Side | None, margin: Margin | None) -> Outcome:
    """The giver wins only by more than the line; exactly the line is a push; anything less is the taker's."""
    giver, line = market.terms.giver, market.terms.line
    if giver is None or line is None:  # the terms refuse this
        raise ResultInvalid("the market has no line")
    if ahead is giver and margin is not None:
        if margin.rank > line.rank:
            return Outcome(giver)
        if margin.rank == line.rank:
            return Outcome.PUSH
    return Outcome(giver.opposite)
