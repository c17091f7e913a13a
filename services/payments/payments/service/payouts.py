"""Payouts: reserves a withdrawal in the ledger, has the rail carry it out and hears that it was booked.

Every step can be repeated after a crash. The rail is the only one that is never asked twice for the same
thing without first being asked what became of it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from common import pg
from common.client import RemoteProblem, Unreachable

from payments.domain.cases import Subject
from payments.domain.orders import Outcome, Resend, Settled, Wait, read_absence, read_order
from payments.domain.review import NOTIFIABLE, review
from payments.domain.windows import Windows
from payments.domain.withdrawals import CANCELLED, PayoutRail, Withdrawal, WithdrawalId, WithdrawalState
from payments.entries import done_command, release_command
from payments.events import command_ledger, tell_withdrawal
from payments.ledger import Ledger
from payments.people import People
from payments.rail import Rail, RailSilent
from payments.service.cases import open_case
from payments.service.pace import Clock, Pace
from payments.store.cases import CaseStore
from payments.store.history import Answer, remember
from payments.store.withdrawals import WithdrawalStore

log = logging.getLogger(__name__)

REFUSED_STATUS: Final = 422
KEY_REUSED: Final = "idempotency-key-reused"

_STATES: Final = {
    "sent": WithdrawalState.SENT,
    "liquidated": WithdrawalState.LIQUIDATED,
    "rejected": WithdrawalState.REJECTED,
}
"""What the rail's answer to an order makes of the withdrawal."""


class Payouts:
    """Takes withdrawals that are due and carries each one step further, or more."""

    def __init__(
        self,
        pool: pg.Pool,
        ledger: Ledger,
        people: People,
        rails: Mapping[PayoutRail, Rail],
        *,
        window: timedelta,
        pace: Pace,
        clock: Clock,
        ted_windows: Windows,
    ) -> None:
        """`window` is how long after a send the rail may still not know of the order. `ted_windows` is when the
        slow rail takes orders; outside of them its withdrawals queue."""
        self._pool = pool
        self._ledger = ledger
        self._people = people
        self._rails = rails
        self._ted_windows = ted_windows
        self._window = window
        self._pace = pace
        self._clock = clock

    async def lease(self, limit: int) -> Sequence[Withdrawal]:
        """Withdrawals that are due, ours until the lease ends."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            return await WithdrawalStore(conn).lease_due(now, self._pace.lease_end(now), limit)

    async def advance(self, withdrawal: Withdrawal) -> None:
        """Carry on from the state the withdrawal was left in.

        Raises `LeaseLost` if it took longer than the lease.
        """
        match withdrawal.state:
            case WithdrawalState.REQUESTED:
                await self._reserve(withdrawal)
            case WithdrawalState.RESERVED:
                await self._review(withdrawal)
            case WithdrawalState.APPROVED:
                await self._send_in_time(withdrawal)
            case WithdrawalState.SENDING:
                # Whoever began to send it did not live to tell how it went.
                unknown = withdrawal.to(WithdrawalState.SEND_UNKNOWN)
                lease_end = self._pace.lease_end(self._clock())
                await self._ask(await self._save(withdrawal, unknown, "sender-died", due_at=lease_end))
            case WithdrawalState.SEND_UNKNOWN | WithdrawalState.SENT:
                await self._ask(withdrawal)
            case (
                WithdrawalState.LIQUIDATED
                | WithdrawalState.REJECTED
                | WithdrawalState.REFUSED
                | WithdrawalState.BOOKED
                | WithdrawalState.RELEASED
                | WithdrawalState.REVIEW
                | WithdrawalState.RETURNING
                | WithdrawalState.RETURNED
            ):
                raise LookupError(f"withdrawal {withdrawal.id} is due and there is nothing to do")
            case _:
                assert_never(withdrawal.state)

    async def hear_booked(
        self, conn: pg.Connection, withdrawal_id: WithdrawalId, after: WithdrawalState
    ) -> None:
        """The ledger has booked what the rail did. In the transaction of the inbox."""
        store = WithdrawalStore(conn)
        withdrawal = await store.for_update(withdrawal_id)
        if withdrawal is None:
            log.error("the ledger booked an unknown withdrawal", extra={"withdrawal_id": str(withdrawal_id)})
        elif withdrawal.state is not after:
            await self._write(conn, withdrawal, withdrawal.to(after), "booked", None)

    async def hear_refused(self, conn: pg.Connection, withdrawal_id: WithdrawalId, problem: Answer) -> None:
        """The ledger refused to book what the rail did: a defect, for a person. The money stays reserved."""
        store = WithdrawalStore(conn)
        withdrawal = await store.for_update(withdrawal_id)
        log.error("the ledger refused a fact", extra={"withdrawal_id": str(withdrawal_id), **problem})
        if withdrawal is not None:
            await store.save(withdrawal, replace(withdrawal, attention="refused-by-ledger"), None)
            await remember(conn, "withdrawal", withdrawal_id, withdrawal.state, "refused-by-ledger", problem)
            await open_case(
                conn, Subject.WITHDRAWAL, withdrawal_id, "refused-by-ledger", self._clock(),
                player=withdrawal.player, amount=withdrawal.amount.amount, evidence=problem,
            )  # fmt: skip

    async def _reserve(self, withdrawal: Withdrawal) -> None:
        try:
            await self._ledger.reserve(withdrawal)
        except RemoteProblem as problem:
            answer: Answer = {"status": problem.status, "slug": problem.slug, "detail": problem.detail}
            if problem.status == REFUSED_STATUS and problem.slug != KEY_REUSED:
                refused = withdrawal.to(
                    WithdrawalState.REFUSED, reason=problem.slug, detail=problem.detail[:500]
                )
                await self._save(withdrawal, refused, problem.slug, answer)
            else:
                await self._wait(withdrawal, problem.slug, answer)
        except Unreachable as silence:
            await self._wait(withdrawal, silence.slug, {"error": silence.detail})
        else:
            reserved = withdrawal.to(WithdrawalState.RESERVED)
            await self._review(await self._save(withdrawal, reserved, "reserved"))

    async def _review(self, withdrawal: Withdrawal) -> None:
        """Hold the rules against it: pass it on, or leave it to people with what was found. What passes while its rail takes
        no orders waits, and is reviewed again when it does: much can happen to an account in a night."""
        if withdrawal.reason == CANCELLED:
            rejected = withdrawal.to(WithdrawalState.REJECTED, reason=CANCELLED)
            await self._save(withdrawal, rejected, CANCELLED)
            return
        try:
            has_played = await self._ledger.has_played(withdrawal.player)
            password_changed_at = await self._people.password_changed_at(withdrawal.player)
        except (RemoteProblem, Unreachable) as silence:
            await self._wait(withdrawal, "review-waits", {"error": str(silence)})
            return
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            cases = CaseStore(conn)
            rules = await cases.rules(now.date())
            facts = await cases.facts(
                withdrawal, rules, now, has_played=has_played, password_changed_at=password_changed_at
            )
            hits = review(facts, rules, now)
            for hit in hits:
                await open_case(
                    conn, Subject.WITHDRAWAL, withdrawal.id, hit.rule, now,
                    player=withdrawal.player, amount=withdrawal.amount.amount,
                    evidence={"found": hit.found, "threshold": hit.threshold},
                )  # fmt: skip
                if hit.rule in NOTIFIABLE:
                    await open_case(
                        conn, Subject.PLAYER, withdrawal.player, hit.rule, now,
                        player=withdrawal.player, amount=withdrawal.amount.amount,
                        evidence={"found": hit.found, "threshold": hit.threshold},
                    )  # fmt: skip
            opens_at = self._opens_at(withdrawal, now)
            if not hits and opens_at > now:
                await self._queue(conn, withdrawal, opens_at)
                return
            state = WithdrawalState.REVIEW if hits else WithdrawalState.APPROVED
            reviewed = withdrawal.to(state)
            await self._write(
                conn, withdrawal, reviewed, state.lower(), {"hits": ", ".join(h.rule for h in hits)}
            )
        if not hits:
            await self._send(reviewed)

    async def _send_in_time(self, withdrawal: Withdrawal) -> None:
        """Send what was approved, or have it queue until its rail takes orders."""
        now = self._clock()
        opens_at = self._opens_at(withdrawal, now)
        if opens_at <= now:
            await self._send(withdrawal)
        else:
            async with pg.transaction(self._pool) as conn:
                await self._queue(conn, withdrawal, opens_at)

    def _opens_at(self, withdrawal: Withdrawal, now: datetime) -> datetime:
        """When its rail takes orders: now, or later."""
        return self._ted_windows.opens_at(now) if withdrawal.rail is PayoutRail.TED else now

    async def _queue(self, conn: pg.Connection, withdrawal: Withdrawal, opens_at: datetime) -> None:
        told: Answer = {"opens_at": opens_at.isoformat()}
        await self._write(conn, withdrawal, withdrawal, "queued", told, due_at=opens_at)

    async def _send(self, withdrawal: Withdrawal) -> None:
        """Write down that, when and under which clave it is sent; then send it, once."""
        sending = await self._save(withdrawal, withdrawal.sending(self._clock()), "sending")
        try:
            order = await self._rails[sending.rail].send(sending.order)
        except RailSilent as silence:
            unknown = sending.to(WithdrawalState.SEND_UNKNOWN)
            await self._save(sending, unknown, "rail-silent", {"error": str(silence)})
            return
        await self._act(
            sending, read_order(sending.order, order), {"order": order.status, "reason": order.reason}
        )

    async def _ask(self, withdrawal: Withdrawal) -> None:
        """Ask the rail by our clave what became of the order."""
        try:
            order = await self._rails[withdrawal.rail].find(withdrawal.order)
        except RailSilent as silence:
            await self._wait(withdrawal, "rail-silent", {"error": str(silence)})
            return
        if order is None:
            outcome = read_absence(withdrawal.order, now=self._clock(), window=self._window)
            await self._act(withdrawal, outcome, {"order": None})
        else:
            outcome = read_order(withdrawal.order, order)
            await self._act(withdrawal, outcome, {"order": order.status, "reason": order.reason})

    async def _act(self, withdrawal: Withdrawal, outcome: Outcome, answer: Answer) -> None:
        match outcome:
            case Settled(told) if _STATES[told] is withdrawal.state:
                await self._wait(withdrawal, "in-process", answer)
            case Settled(told, reason):
                state = _STATES[told]
                await self._save(withdrawal, withdrawal.to(state, reason=reason), state.lower(), answer)
            case Resend():
                await self._send(withdrawal)
            case Wait(attention):
                await self._wait(withdrawal, attention or "no-answer-yet", answer, attention=attention)
            case _:
                assert_never(outcome)

    async def _wait(
        self, withdrawal: Withdrawal, event: str, answer: Answer, *, attention: str | None = None
    ) -> None:
        """Try again later. What a person must look into is tried on as well, in case it clears up."""
        if attention:
            log.error(
                "a withdrawal needs a person",
                extra={"withdrawal_id": str(withdrawal.id), "reason": attention},
            )
        sending = withdrawal.state is WithdrawalState.SENDING
        waiting = withdrawal.to(WithdrawalState.SEND_UNKNOWN) if sending else withdrawal
        now = self._clock()
        due_at = self._pace.while_people_look(now) if attention else self._pace.next_try(now, waiting.tries)
        async with pg.transaction(self._pool) as conn:
            if attention:
                await open_case(
                    conn, Subject.WITHDRAWAL, withdrawal.id, attention, self._clock(),
                    player=withdrawal.player, amount=withdrawal.amount.amount, evidence=answer,
                )  # fmt: skip
            after = replace(waiting, attention=attention)
            await self._write(conn, withdrawal, after, event, answer, due_at=due_at)

    async def _save(
        self,
        before: Withdrawal,
        after: Withdrawal,
        event: str,
        answer: Answer | None = None,
        *,
        due_at: datetime | None = None,
    ) -> Withdrawal:
        async with pg.transaction(self._pool) as conn:
            await self._write(conn, before, after, event, answer, due_at=due_at)
        return after

    async def _write(
        self,
        conn: pg.Connection,
        before: Withdrawal,
        after: Withdrawal,
        event: str,
        answer: Answer | None,
        *,
        due_at: datetime | None = None,
    ) -> None:
        now = self._clock()
        await write_withdrawal(conn, before, after, event, answer, now, due_at or self._due_at(after, now))

    def _due_at(self, withdrawal: Withdrawal, now: datetime) -> datetime | None:
        """When a withdrawal that came to this state is looked at again by itself."""
        match withdrawal.state:
            case WithdrawalState.SENT | WithdrawalState.SEND_UNKNOWN:
                return self._pace.next_try(now, withdrawal.tries)
            case (
                WithdrawalState.REQUESTED
                | WithdrawalState.RESERVED
                | WithdrawalState.APPROVED
                | WithdrawalState.SENDING
            ):
                return self._pace.lease_end(now)  # still in our hands: only a crash makes it due
            case _:
                return None


async def write_withdrawal(
    conn: pg.Connection,
    before: Withdrawal,
    after: Withdrawal,
    event: str,
    answer: Answer | None,
    now: datetime,
    due_at: datetime | None,
    *,
    person: str | None = None,
) -> None:
    """The new state, its place in the history, its event and, for a fact, the command to book it.

    Raises `LeaseLost`.
    """
    ended_at = now if after.state in _ENDS else None
    await WithdrawalStore(conn).save(before, after, due_at, ended_at)
    await remember(conn, "withdrawal", after.id, after.state, event, answer, person=person)
    if after.state is before.state:
        return
    await tell_withdrawal(conn, after, now)
    if after.state is WithdrawalState.LIQUIDATED:
        await command_ledger(conn, done_command(after), after.version, now)
    elif after.state is WithdrawalState.REJECTED:
        await command_ledger(conn, release_command(after), after.version, now)


_ENDS: Final = frozenset(
    {
        WithdrawalState.REFUSED,
        WithdrawalState.BOOKED,
        WithdrawalState.RELEASED,
        WithdrawalState.RETURNED,
    }
)
