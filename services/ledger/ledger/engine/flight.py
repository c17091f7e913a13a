"""Groups on their way to the journal, and those who wait for their answers."""

from __future__ import annotations

import asyncio

from common.errors import DomainError

from ledger.domain import refusals
from ledger.domain.commands import Group
from ledger.engine.batch import Answer

Answers = tuple[Answer, ...]
"""One group's, in its order."""


class Party:
    """Whoever waits for the answers of some groups: one future for all of them. It is their own, so a caller that
    goes away takes nobody else's answers along."""

    __slots__ = ("_answers", "_left", "arrived")

    def __init__(self, groups: int) -> None:
        self._answers: list[Answers] = [()] * groups
        self._left = groups
        self.arrived: asyncio.Future[list[Answers]] = asyncio.get_running_loop().create_future()

    def tell(self, place: int, answers: Answers) -> None:
        """The answers of the group at `place`."""
        self._answers[place] = answers
        self._left -= 1
        if not self._left and not self.arrived.done():
            self.arrived.set_result(self._answers)


class Flight:
    """A group on its way to the journal, and the parties that wait for it: its own and those that came later."""

    __slots__ = ("_joined", "_party", "_place", "group", "since")

    def __init__(self, group: Group, party: Party, place: int, since: float) -> None:
        self.group = group
        self.since = since
        self._party = party
        self._place = place
        self._joined: list[tuple[Party, int]] = []

    def join(self, group: Group, party: Party, place: int) -> None:
        """Wait as well, if `group` is the same request; one that only has a key in common is told so."""
        if [each.fingerprint for each in self.group] == [each.fingerprint for each in group]:
            self._joined.append((party, place))
            return
        reused = refusals.KeyReused("a key is in flight for another request")
        party.tell(place, tuple(Answer(reused) for _ in group))

    def land(self, answers: Answers) -> None:
        """Answer all who wait."""
        self._party.tell(self._place, answers)
        for party, place in self._joined:
            party.tell(
                place,
                tuple(
                    Answer(each.outcome, replayed=not isinstance(each.outcome, DomainError))
                    for each in answers
                ),
            )
