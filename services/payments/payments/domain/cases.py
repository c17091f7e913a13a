"""Cases: what waits for a person, and what a person may decide about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from payments.domain.refusals import DecisionImpossible


class Subject(StrEnum):
    """What a case is about."""

    WITHDRAWAL = "withdrawal"
    DEPOSIT = "deposit"
    ARRIVAL = "arrival"
    CARD = "card"
    PROOF = "proof"
    PAYOUT_LINE = "payout_line"
    PLAYER = "player"


class Decision(StrEnum):
    """What people decide."""

    APPROVE = "approve"
    REJECT = "reject"
    ASSIGN = "assign"
    RETURN = "return"
    SUSPEND = "suspend"
    PAID = "paid"
    NEVER_PAID = "never-paid"
    REPORT = "report"
    ASK_AGAIN = "ask-again"
    CLOSE = "close"


DECISIONS: Final[Mapping[Subject, frozenset[Decision]]] = {
    Subject.WITHDRAWAL: frozenset(
        {Decision.APPROVE, Decision.REJECT, Decision.PAID, Decision.NEVER_PAID, Decision.CLOSE}
    ),
    Subject.DEPOSIT: frozenset({Decision.SUSPEND, Decision.REJECT, Decision.CLOSE}),
    Subject.ARRIVAL: frozenset({Decision.ASSIGN, Decision.RETURN, Decision.NEVER_PAID, Decision.CLOSE}),
    Subject.CARD: frozenset({Decision.NEVER_PAID, Decision.CLOSE}),
    Subject.PROOF: frozenset({Decision.ASK_AGAIN, Decision.CLOSE}),
    Subject.PAYOUT_LINE: frozenset({Decision.CLOSE}),
    Subject.PLAYER: frozenset({Decision.REPORT, Decision.CLOSE}),
}
"""What may be decided about each subject. What waits for people alone is decided, not closed."""


class CaseState(StrEnum):
    """Where a case is."""

    OPEN = "OPEN"
    PROPOSED = "PROPOSED"
    DECIDED = "DECIDED"


@dataclass(frozen=True, slots=True)
class Case:
    """Something for people. With `four_eyes` one proposes and another decides; else one does both."""

    id: UUID
    subject: Subject
    subject_id: UUID
    reason: str
    opened_at: datetime
    four_eyes: bool
    player: UUID | None = None
    amount: Decimal | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    state: CaseState = CaseState.OPEN
    decision: Decision | None = None
    note: str | None = None
    target: UUID | None = None
    proposed_by: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None


def check_decision(case: Case, decision: Decision, target: UUID | None) -> None:
    """Raises `DecisionImpossible` for what cannot be decided about this case."""
    if case.state is CaseState.DECIDED:
        raise DecisionImpossible("the case is decided", field="decision")
    if decision not in DECISIONS[case.subject]:
        raise DecisionImpossible(f"a {case.subject} is not decided by {decision}", field="decision")
    if (decision is Decision.ASSIGN) != (target is not None):
        raise DecisionImpossible("`player` goes with `assign`, and only with it", field="player")
