"""Deciding linked commands: all of them, in order, or none."""

from __future__ import annotations

from common.errors import DomainError, NotReady

from ledger.domain import refusals
from ledger.domain.books import Books
from ledger.domain.commands import Command, Group
from ledger.domain.decide import Decision, decide


def decide_group(group: Group, books: Books) -> tuple[Decision, ...]:
    """Accept every command of `group`, in order, or none of them. `books` move forward only when all are
    accepted.

    Raises:
        LinkRefused: which of several was refused and why, to be stored for each of them.
        DomainError, NotReady: as `decide` does, for a group of one; NotReady for a group of any size.
    """
    if len(group) == 1:
        return (decide(group[0], books),)
    trial = books.trial()
    decisions = []
    for command in group:
        try:
            decisions.append(decide(command, trial))
        except NotReady:
            raise
        except DomainError as why:
            raise LinkRefused(command, why) from why
    books.adopt(trial)
    return tuple(decisions)


class LinkRefused(Exception):
    """One of several linked commands was refused, so none of them is posted."""

    def __init__(self, guilty: Command, why: DomainError) -> None:
        super().__init__(why.detail)
        self.guilty = guilty
        self.why = why

    def verdict(self, command: Command) -> DomainError:
        """The answer to one command of the group: the reason, or that another one was refused."""
        if command.id == self.guilty.id:
            return self.why
        return refusals.LinkedRefused(f"{self.guilty.key} was refused: {self.why.detail}")
