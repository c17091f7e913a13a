"""What cashiers see and decide: the queue of cases, the evidence, and the history of every payment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final
from uuid import UUID

from common import pg
from common.client import RemoteProblem, Unreachable
from common.idempotency import Answer, once

from payments.domain.accounts import PlayerId
from payments.domain.arrivals import ArrivalState
from payments.domain.cards import OperationId, OperationState
from payments.domain.cases import (
    Case,
    CaseState,
    Clerk,
    Decision,
    Proposal,
    Subject,
    check_approval,
    check_decision,
)
from payments.domain.deposits import REVIEW_REJECTED, DepositId, DepositState, IllegalStep
from payments.domain.evidence import StatementLine
from payments.domain.proofs import ReceiptId
from payments.domain.refusals import DecisionImpossible, NoSuchCase, NoSuchPayment
from payments.domain.withdrawals import WithdrawalId, WithdrawalState
from payments.events import tell_deposit
from payments.people import People
from payments.rail import RailSilent
from payments.service import card_effects, conflicts, suspense
from payments.service.arrivals import Arrivals
from payments.service.last_look import OUTCOMES, LastLook
from payments.service.pace import Clock
from payments.service.payouts import write_withdrawal
from payments.service.requests import Once
from payments.store.arrivals import ArrivalStore
from payments.store.cards import CardStore
from payments.store.cases import CaseStore
from payments.store.deposits import DepositStore
from payments.store.errors import LeaseLost
from payments.store.history import Line, history_of, remember
from payments.store.pages import Place
from payments.store.withdrawals import WithdrawalStore

Abono = tuple[StatementLine, str] | None
"""A line of the statement and the sender's name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person says about a case, and why. `player` goes with an assignment."""

    decision: Decision
    note: str
    player: UUID | None = None


class Cashier:
    """Use cases of one transaction each; the workers carry on from what is decided."""

    def __init__(
        self,
        pool: pg.Pool,
        arrivals_service: Arrivals,
        people: People,
        last_look: LastLook,
        *,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._arrivals = arrivals_service
        self._people = people
        self._last_look = last_look
        self._clock = clock

    async def queue(self, subject: Subject | None, after: Place | None, limit: int) -> Sequence[Case]:
        """Cases that wait for a person, the oldest first."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            return await CaseStore(conn).queue(subject, after, limit)

    async def case(self, case_id: UUID) -> tuple[Case, Sequence[Line]]:
        """A case with everything that happened to what it is about. Raises `NoSuchCase`."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            case = await CaseStore(conn).by_id(case_id)
            if case is None:
                raise NoSuchCase(f"no case {case_id}")
            return case, await history_of(conn, [case.id, case.subject_id])

    async def history(self, payment_id: UUID) -> Sequence[Line]:
        """Every attempt and every answer of a payment, in order; of a card payment, of all its operations.

        Raises `NoSuchPayment`: from its first moment a payment has a history.
        """
        async with pg.transaction(self._pool, readonly=True) as conn:
            operations = await CardStore(conn).ids_of(payment_id)
            lines = await history_of(conn, [payment_id, *operations])
        if not lines:
            raise NoSuchPayment(f"no payment {payment_id}")
        return lines

    async def notices(self, since: date, until: date) -> Sequence[Case]:
        """What people decided to report to the authority, by day of the decision."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            return await CaseStore(conn).reported(since, until)

    async def propose(
        self, case_id: UUID, verdict: Verdict, by: Clerk, asked: Once, show: Callable[[Case], Answer]
    ) -> Answer:
        """Propose a decision; where two eyes suffice, it is the decision.

        Raises `NoSuchCase`. `DecisionImpossible` comes back as an answer.
        """
        abono = await self._abono(await self._glance(case_id))
        async with pg.transaction(self._pool) as conn:

            async def work() -> Answer:
                return show(await self._propose(conn, case_id, verdict, by, abono))

            return await once(conn, principal=by.id, key=asked.key, fingerprint=asked.fingerprint, work=work)

    async def _propose(
        self, conn: pg.Connection, case_id: UUID, verdict: Verdict, by: Clerk, abono: Abono
    ) -> Case:
        case = await self._locked(conn, case_id)
        check_decision(case, verdict.decision, verdict.player)
        proposed = replace(
            case,
            state=CaseState.PROPOSED,
            decision=verdict.decision,
            note=verdict.note,
            target=verdict.player,
            proposed_by=by.id,
            proposed_on=by.proof,
        )
        proposed = await CaseStore(conn).save(proposed)
        told = {"decision": verdict.decision, "note": verdict.note[:500]}
        if verdict.player is not None:
            told["player"] = str(verdict.player)
        await remember(conn, "case", case.id, proposed.state, "proposed", told, person=by.id)
        if not case.four_eyes:
            return await self._decide(conn, proposed, by.id, abono)
        return proposed

    async def approve(
        self, case_id: UUID, seen: Proposal, by: Clerk, asked: Once, show: Callable[[Case], Answer]
    ) -> Answer:
        """Make what somebody else proposed the decision, and have it carried out. It must still be what was `seen`: a
        proposal can be replaced at any moment, and nobody approves what they have not looked at. Both pairs of eyes count
        now: identity is asked about both people first.

        Raises `NoSuchCase`, `FourEyes`, `NoCashierNow`. `DecisionImpossible` and `ProposerMayNot` come back as answers.
        """
        found = await self._glance(case_id)
        abono, standing = await self._abono(found), await self._standing(found, by)
        await self._last_look.at(found, seen.decision)
        async with pg.transaction(self._pool) as conn:

            async def work() -> Answer:
                case = await self._locked(conn, case_id)
                check_approval(case, seen, by, standing)
                confirmed = replace(case, confirmed_on=standing.get(case.proposed_by or ""))
                return show(await self._decide(conn, confirmed, by.id, abono))

            return await once(conn, principal=by.id, key=asked.key, fingerprint=asked.fingerprint, work=work)

    async def _standing(self, case: Case | None, by: Clerk) -> Mapping[str, int | None]:
        """What identity names now for who has proposed and who approves. Raises `DecisionImpossible` while it cannot be asked."""
        try:
            people = {by.id} if case is None or case.proposed_by is None else {by.id, case.proposed_by}
            return {each: await self._people.cashier(each) for each in people}
        except (RemoteProblem, Unreachable) as silence:
            raise DecisionImpossible("who works here cannot be asked now", retry_after=5) from silence

    async def _glance(self, case_id: UUID) -> Case | None:
        async with pg.transaction(self._pool, readonly=True) as conn:
            return await CaseStore(conn).by_id(case_id)

    async def _locked(self, conn: pg.Connection, case_id: UUID) -> Case:
        case = await CaseStore(conn).for_update(case_id)
        if case is None:
            raise NoSuchCase(f"no case {case_id}")
        return case

    async def _decide(self, conn: pg.Connection, case: Case, person: str, abono: Abono) -> Case:
        now = self._clock()
        decided = replace(case, state=CaseState.DECIDED, decided_by=person, decided_at=now)
        decided = await CaseStore(conn).save(decided)
        await remember(conn, "case", case.id, decided.state, "decided", person=person)
        try:
            await self._carry_out(conn, decided, person, now, abono)
        except (IllegalStep, LeaseLost) as moved:
            raise DecisionImpossible(f"it has moved on meanwhile: {moved}") from moved
        return decided

    async def _carry_out(
        self, conn: pg.Connection, case: Case, person: str, now: datetime, abono: Abono
    ) -> None:
        match case.subject:
            case Subject.WITHDRAWAL:
                await self._withdrawal(conn, case, person, now)
            case Subject.DEPOSIT:
                await self._deposit(conn, case, person, now, abono)
            case Subject.ARRIVAL:
                await self._arrival(conn, case, person, now)
            case Subject.PROOF if case.decision is Decision.ASK_AGAIN:
                await conflicts.ask_again(conn, ReceiptId(case.subject_id), now, person)
            case Subject.PROOF:
                await conflicts.give_up(conn, ReceiptId(case.subject_id), now, person)
            case Subject.CARD if case.decision is Decision.NEVER_PAID:
                await self._card(conn, case, person, now)
            case _:
                return

    async def _withdrawal(self, conn: pg.Connection, case: Case, person: str, now: datetime) -> None:
        """Approve or reject what is under review; or say what became of an order that nobody answers for.

        What is under review is not closed: nobody would let it go, or give its money back.
        """
        before = await WithdrawalStore(conn).for_update(WithdrawalId(case.subject_id))
        if before is None:
            raise LeaseLost("no such withdrawal")
        reviewing = before.state is WithdrawalState.REVIEW
        if case.decision in OUTCOMES and before.attention is None:
            raise LeaseLost("the rail has answered")
        match case.decision:
            case Decision.APPROVE if reviewing:
                if await CaseStore(conn).others_open(case):
                    return  # the last of its cases to be decided lets it go
                after = before.to(WithdrawalState.APPROVED)
            case Decision.REJECT if reviewing:
                after = before.to(WithdrawalState.REJECTED, reason=REVIEW_REJECTED, detail=case.reason)
            case Decision.CLOSE if not reviewing:
                return
            case Decision.PAID if before.state in _SENT:
                after = before.to(WithdrawalState.LIQUIDATED)
            case Decision.NEVER_PAID if before.state in _SENT:
                after = before.to(WithdrawalState.REJECTED, reason="never-paid")
            case _:
                raise DecisionImpossible(
                    f"a withdrawal that is {before.state} is not decided by {case.decision}"
                )
        due_at = now if after.state is WithdrawalState.APPROVED else None
        await write_withdrawal(
            conn, before, after, f"decided:{case.decision}", None, now, due_at, person=person
        )

    async def _abono(self, case: Case | None) -> Abono:
        """What the statement shows of the deposit a case is about, read before any lock is taken.

        Raises `DecisionImpossible` while the statement cannot be read.
        """
        if case is None or case.subject is not Subject.DEPOSIT:
            return None
        try:
            return await self._arrivals.abono_of(DepositId(case.subject_id))
        except RailSilent as silence:
            raise DecisionImpossible("the statement cannot be read now", retry_after=5) from silence

    async def _deposit(
        self, conn: pg.Connection, case: Case, person: str, now: datetime, abono: Abono
    ) -> None:
        store = DepositStore(conn)
        deposit = await store.for_update(DepositId(case.subject_id))
        if case.decision is Decision.CLOSE:
            if deposit is not None and deposit.state is DepositState.QUARANTINED:
                raise DecisionImpossible("it is in quarantine until it is decided on", field="decision")
            return
        if deposit is None or deposit.state is not DepositState.QUARANTINED:
            raise LeaseLost("the deposit is not in quarantine")
        if case.decision is Decision.REJECT:
            rejected = deposit.to(DepositState.REJECTED, reason=REVIEW_REJECTED)
            await store.decide(deposit, rejected, None)
            await remember(conn, "deposit", deposit.id, rejected.state, "decided:reject", person=person)
            await tell_deposit(conn, rejected, now)
            return
        if abono is None or not await self._arrivals.take(conn, deposit, abono):
            raise DecisionImpossible("the statement does not show this transfer")

    async def _arrival(self, conn: pg.Connection, case: Case, person: str, now: datetime) -> None:
        arrival = await ArrivalStore(conn).for_update(case.subject_id)
        if case.decision is Decision.CLOSE:
            if arrival is not None and arrival.state is ArrivalState.SUSPENDED:
                raise DecisionImpossible("its money is in suspense until it is decided on", field="decision")
            return
        if arrival is None:
            raise LeaseLost("no such arrival")
        if case.decision is Decision.ASSIGN and case.target is not None:
            if await DepositStore(conn).clabe_of(PlayerId(case.target)) is None:
                raise DecisionImpossible("that is no player with a CLABE", field="player")
            await suspense.assign(conn, arrival, PlayerId(case.target), self._clock, person)
        elif case.decision is Decision.NEVER_PAID:
            await suspense.never_left(conn, arrival, now, person)
        else:
            await suspense.give_back(conn, arrival, self._clock, person)

    async def _card(self, conn: pg.Connection, case: Case, person: str, now: datetime) -> None:
        """An operation that the provider will never know of is over."""
        store = CardStore(conn)
        found = await store.operation(OperationId(case.subject_id))
        if found is None:
            raise LeaseLost("no such operation")
        payment = await store.payment_for_update(found.payment_id)
        operation = await store.operation(found.id)
        if payment is None or operation is None or operation.state is not OperationState.UNKNOWN:
            raise DecisionImpossible("its outcome is known")
        if operation.attention is None:
            raise DecisionImpossible("the provider is still being asked")
        failed = operation.to(OperationState.FAILED, reason="never-arrived")
        await card_effects.write(
            conn, payment, operation, failed, "decided:never-paid", None, now, None, person
        )


_SENT: Final = frozenset({WithdrawalState.SEND_UNKNOWN, WithdrawalState.SENT})
