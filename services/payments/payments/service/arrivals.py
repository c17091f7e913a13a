"""Arrivals: what the participant's statement shows that no claim explains, and withdrawals that came back.

The statement is only a hint, as a claim is: the attestor looks at both sources before anything is booked.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4, uuid5

from common import pg

from payments.domain.accounts import BANK, SUSPENSE, PlayerId, withdrawing
from payments.domain.arrivals import (
    ARRIVALS,
    CAME_BACK,
    RETURN_CAME_BACK,
    RETURNED_AMOUNT_DIFFERS,
    UNKNOWN_CLABE,
    Arrival,
    ArrivalState,
    arrival_id,
    that_came_back,
)
from payments.domain.cases import Subject
from payments.domain.deposits import Deposit, DepositId, DepositState, can_be_noted
from payments.domain.evidence import RailStatus, StatementLine
from payments.domain.orders import Outcome, RailOrder, Resend, Settled, Wait, read_absence, read_order
from payments.domain.proofs import SPEI, Purpose, ask
from payments.domain.withdrawals import WithdrawalState
from payments.events import tell_deposit
from payments.rail import Rail, RailSilent, Unreadable
from payments.service.cases import open_case
from payments.service.pace import Clock, Pace
from payments.service.payouts import write_withdrawal
from payments.service.suspense import back_to_suspense, proof_about
from payments.store.arrivals import ArrivalStore
from payments.store.deposits import DepositStore
from payments.store.history import Answer, remember
from payments.store.proofs import ProofStore
from payments.store.withdrawals import WithdrawalStore

log = logging.getLogger(__name__)

LOOK_BACK: Final = timedelta(days=3)
"""How far back the statement is read when a process starts: whatever was missed meanwhile is found then."""
OVERLAP: Final = timedelta(minutes=10)
"""How far the statement is read anew each time: what it shows late, and what could not be noted yet."""


class Arrivals:
    """Reads the statement, and sends back what people decided to return."""

    def __init__(
        self,
        pool: pg.Pool,
        rail: Rail,
        *,
        grace: timedelta,
        deposit_window: timedelta,
        window: timedelta,
        pace: Pace,
        clock: Clock,
    ) -> None:
        """A player has `grace` to claim a transfer before it is noticed without; a return is looked for by our
        clave for `window` before it counts as lost."""
        self._pool = pool
        self._rail = rail
        self._grace = grace
        self._deposit_window = deposit_window
        self._window = window
        self._pace = pace
        self._clock = clock
        self._read_to = clock() - LOOK_BACK
        self._returns_from = self._read_to

    async def notice(self) -> int:
        """Read the statement once; returns how many transfers and returns were new. Raises `RailSilent`."""
        now = self._clock()
        found = 0
        since, until = self._read_to - OVERLAP, now - self._grace
        abonos = await self._rail.abonos(since, until)
        found += await self._tell_of_unreadable("abonos", abonos.unreadable)
        keys = [line.transfer.tracking_key for line, _ in abonos.read]
        async with pg.transaction(self._pool, readonly=True) as conn:
            undecided = await ArrivalStore(conn).undecided(keys)
            known = await ArrivalStore(conn).known(keys)
        for line, name in abonos.read:
            if line.status is RailStatus.LIQUIDATED and line.transfer.tracking_key not in known:
                found += await self._note(line, name)
        found += await self._note_returns(now)
        found += await self._take_refused()
        await self._tell_of_quarantined()
        # What somebody claims wrongly is noted once that is decided, and what cannot be read once it can be: until then the
        # statement is read again from the same moment.
        waits = undecided or abonos.unreadable
        self._read_to = max(self._read_to, now - LOOK_BACK) if waits else until
        return found

    async def _tell_of_unreadable(self, statement: str, lines: Sequence[Unreadable]) -> int:
        """A line that cannot be read takes no other with it, and is told to people, once; returns how many were new."""
        found = 0
        for line in lines:
            log.error("a line cannot be read", extra={"statement": statement, "line": str(line)})
            line_id = uuid5(ARRIVALS, f"{statement}:{line.raw}")
            async with pg.transaction(self._pool) as conn:
                found += await open_case(
                    conn, Subject.ARRIVAL, line_id, "line-cannot-be-read", self._clock(), once=True,
                    evidence={"statement": statement, "line": line.number, "field": line.field, "says": line.said,
                              "all of it": line.raw},
                )  # fmt: skip
        return found

    async def _note(self, line: StatementLine, name: str) -> bool:
        async with pg.transaction(self._pool) as conn:
            if not can_be_noted(line.transfer, line.amount):
                id = arrival_id(line.transfer.tracking_key)
                return await open_case(
                    conn, Subject.ARRIVAL, id, "cannot-be-noted", self._clock(), once=True,
                    evidence={"tracking_key": repr(line.transfer.tracking_key), "amount": str(line.amount),
                              "clabe": repr(line.beneficiary_clabe)},
                )  # fmt: skip
            player = await ArrivalStore(conn).player_of(line.beneficiary_clabe)
            if player is None:
                return await self._suspend(conn, line, name, UNKNOWN_CLABE, None)
            return await self._notice_deposit(conn, player, line)

    async def _notice_deposit(self, conn: pg.Connection, player: PlayerId, line: StatementLine) -> bool:
        now = self._clock()
        deposit = Deposit(
            id=DepositId(uuid4()),
            player=player,
            transfer=line.transfer,
            amount=line.amount,
            state=DepositState.CLAIMED,
            claimed_at=now,
            window_ends_at=now + self._deposit_window,
            noticed=True,
        )
        if not await DepositStore(conn).add_noticed(deposit):
            return False
        await remember(conn, "deposit", deposit.id, deposit.state, "noticed")
        await tell_deposit(conn, deposit, now)
        return True

    async def _suspend(
        self, conn: pg.Connection, line: StatementLine, name: str, reason: str, deposit: DepositId | None
    ) -> bool:
        """Have it attested and booked to suspense."""
        now = self._clock()
        arrival = Arrival(
            id=arrival_id(line.transfer.tracking_key),
            transfer=line.transfer,
            beneficiary_clabe=line.beneficiary_clabe,
            ordering_account=line.ordering_account,
            ordering_name=name,
            amount=line.amount,
            reason=reason,
            state=ArrivalState.NOTED,
            noted_at=now,
            deposit_id=deposit,
        )
        return await self._to_suspense(conn, arrival)

    async def _to_suspense(self, conn: pg.Connection, arrival: Arrival) -> bool:
        if not await ArrivalStore(conn).add(arrival):
            return False
        await remember(conn, "arrival", arrival.id, arrival.state, arrival.reason)
        await ProofStore(conn).ask(proof_about(arrival, Purpose.SUSPENSE, SUSPENSE, self._clock))
        return True

    async def _take_refused(self) -> int:
        """Deposits that somebody else has sent, or that go beyond their player's limits, go to suspense."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            refused = await ArrivalStore(conn).to_suspend(50)
        found = 0
        for deposit_id, transfer, reason in refused:
            abono = await self._rail.abono(transfer)
            if abono is not None:
                async with pg.transaction(self._pool) as conn:
                    found += await self._suspend(conn, *abono, reason, deposit_id)
        return found

    async def _tell_of_quarantined(self) -> None:
        async with pg.transaction(self._pool) as conn:
            for deposit_id, player, reason, amount in await ArrivalStore(conn).quarantined_without_case(50):
                await open_case(
                    conn, Subject.DEPOSIT, deposit_id, reason, self._clock(), player=player, amount=amount
                )

    async def take(self, conn: pg.Connection, deposit: Deposit, abono: tuple[StatementLine, str]) -> bool:
        """People have decided that a quarantined deposit goes to suspense, if both sources agree on it by now;
        False when it went there before."""
        return await self._suspend(conn, *abono, deposit.reason or "quarantined", deposit.id)

    async def abono_of(self, deposit_id: DepositId) -> tuple[StatementLine, str] | None:
        """What the statement shows of a deposit's transfer. Raises `RailSilent`."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            deposit = await DepositStore(conn).by_id(deposit_id)
        return None if deposit is None else await self._rail.abono(deposit.transfer)

    async def _note_returns(self, now: datetime) -> int:
        """What receiving banks have sent back. It is read from the same moment again until all of it could be noted."""
        lines = await self._rail.came_back(self._returns_from)
        unreadable = await self._tell_of_unreadable("devoluciones", lines.unreadable)
        noted = [await self._came_back(order) for order in lines.read]
        if None not in noted:
            kept = max(self._returns_from, now - LOOK_BACK)
            self._returns_from = kept if lines.unreadable else now - OVERLAP
        return unreadable + noted.count(True)

    async def _came_back(self, order: RailOrder) -> bool | None:
        """Whether it is news; None when it is not booked that it went out, so it cannot come back yet."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            withdrawal = await WithdrawalStore(conn).by_clave(order.clave)
            if withdrawal is not None and withdrawal.state in _GOING_OUT:
                return None
            if withdrawal is None:
                return await self._bounced(conn, order, now)
            if withdrawal.state is not WithdrawalState.BOOKED or await ProofStore(conn).is_given_up(
                Purpose.WITHDRAWAL_RETURNED, withdrawal.id
            ):
                return False
            if order.amount != withdrawal.amount:
                told = await open_case(
                    conn, Subject.WITHDRAWAL, withdrawal.id, RETURNED_AMOUNT_DIFFERS, now,
                    player=withdrawal.player, amount=order.amount.amount, once=True,
                )  # fmt: skip
                if order.amount > withdrawal.amount:
                    return told  # more than was sent: that is no return
                name, why = withdrawal.beneficiary_name, RETURNED_AMOUNT_DIFFERS
                return await self._to_suspense(conn, that_came_back(order, name, why, now))
            returning = withdrawal.to(WithdrawalState.RETURNING)
            await write_withdrawal(
                conn, withdrawal, returning, "came-back", {"order": order.status}, now, None
            )
            proof = ask(
                Purpose.WITHDRAWAL_RETURNED,
                rail=SPEI,
                tracking_key=CAME_BACK + order.clave.upper(),
                subject_id=withdrawal.id,
                account=withdrawing(withdrawal.player),
                amount=withdrawal.amount,
                reference=withdrawal.reference,
                now=now,
            )
            return await ProofStore(conn).ask(proof)

    async def _bounced(self, conn: pg.Connection, order: RailOrder, now: datetime) -> bool | None:
        """What was returned from suspense and has come back after all: once that is booked, it is in suspense again."""
        arrival = await ArrivalStore(conn).by_return_clave(order.clave)
        if arrival is None or arrival.state is ArrivalState.SUSPENDED:
            return False
        if arrival.state is not ArrivalState.RETURNED:
            return None
        if order.amount > arrival.amount:
            return await open_case(
                conn, Subject.ARRIVAL, arrival.id, RETURNED_AMOUNT_DIFFERS, now, amount=order.amount.amount,
                evidence={"clave": order.clave}, once=True,
            )  # fmt: skip
        again = that_came_back(order, arrival.ordering_name, RETURN_CAME_BACK, now)
        return await self._to_suspense(conn, again)

    async def lease(self, limit: int) -> Sequence[Arrival]:
        """Arrivals that are to be sent back, ours until the lease ends."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            return await ArrivalStore(conn).lease_due(now, self._pace.lease_end(now), limit)

    async def advance(self, arrival: Arrival) -> None:
        """Carry a return one step further. Raises `LeaseLost` if it took longer than the lease."""
        if arrival.state is ArrivalState.RETURN_SENDING and arrival.sends == 0:
            await self._send(arrival)
        elif arrival.state is ArrivalState.RETURN_SENDING:
            unknown = arrival.to(ArrivalState.RETURN_UNKNOWN)
            await self._save(arrival, unknown, "sender-died")
            await self._ask(unknown)
        else:
            await self._ask(arrival)

    async def _send(self, arrival: Arrival) -> None:
        sending = arrival.sending(self._clock())
        await self._save(arrival, sending, "sending")
        try:
            order = await self._rail.send(sending.order)
        except RailSilent as silence:
            unknown = sending.to(ArrivalState.RETURN_UNKNOWN)
            await self._save(sending, unknown, "rail-silent", {"error": str(silence)})
            return
        await self._read(sending, order)

    async def _ask(self, arrival: Arrival) -> None:
        try:
            order = await self._rail.find(arrival.order)
        except RailSilent as silence:
            await self._save(arrival, arrival, "rail-silent", {"error": str(silence)})
            return
        if order is None:
            outcome = read_absence(arrival.order, now=self._clock(), window=self._window)
            await self._act(arrival, outcome, {"order": None})
        else:
            await self._read(arrival, order)

    async def _read(self, arrival: Arrival, order: RailOrder) -> None:
        outcome = read_order(arrival.order, order)
        if isinstance(outcome, Settled) and order.status is RailStatus.RETURNED:
            # It went out and came back before either was booked: the money is where the books say.
            outcome = Settled("rejected", "came back")
        await self._act(arrival, outcome, {"order": order.status})

    async def _act(self, arrival: Arrival, outcome: Outcome, answer: Answer) -> None:
        match outcome:
            case Settled("sent"):
                sent = arrival.state is ArrivalState.RETURN_SENT
                after = arrival if sent else arrival.to(ArrivalState.RETURN_SENT)
                await self._save(arrival, after, "in-process", answer)
            case Settled("liquidated"):
                await self._returned(arrival, answer)
            case Settled(_, reason):
                now = self._clock()
                async with pg.transaction(self._pool) as conn:
                    await back_to_suspense(conn, arrival, f"return-rejected: {reason}"[:100], now, answer)
            case Resend():
                await self._send(arrival)
            case Wait(None):
                await self._save(arrival, _unknown(arrival), "no-answer-yet", answer)
            case Wait(attention):
                await self._attend(arrival, attention or "", answer)

    async def _returned(self, arrival: Arrival, answer: Answer) -> None:
        """It has left; the attestor looks too, and then it is booked out of suspense."""
        returning = arrival.to(ArrivalState.RETURNING)
        async with pg.transaction(self._pool) as conn:
            await ArrivalStore(conn).save(arrival, returning, None)
            await remember(conn, "arrival", arrival.id, returning.state, "liquidated", answer)
            await ProofStore(conn).ask(proof_about(arrival, Purpose.SUSPENSE_RETURN, BANK, self._clock))

    async def _attend(self, arrival: Arrival, attention: str, answer: Answer) -> None:
        """Leave it to a person, and ask on: it may clear up."""
        now = self._clock()
        after = replace(_unknown(arrival), attention=attention)
        async with pg.transaction(self._pool) as conn:
            await ArrivalStore(conn).save(arrival, after, self._pace.while_people_look(now))
            await remember(conn, "arrival", arrival.id, after.state, attention, answer)
            await open_case(conn, Subject.ARRIVAL, arrival.id, attention, now, amount=arrival.amount.amount)

    async def _save(self, before: Arrival, after: Arrival, event: str, answer: Answer | None = None) -> None:
        now = self._clock()
        sending = after.state is ArrivalState.RETURN_SENDING
        due_at = self._pace.lease_end(now) if sending else self._pace.next_try(now, after.tries)
        async with pg.transaction(self._pool) as conn:
            await ArrivalStore(conn).save(before, after, due_at)
            await remember(conn, "arrival", after.id, after.state, event, answer)


def _unknown(arrival: Arrival) -> Arrival:
    sending = arrival.state is ArrivalState.RETURN_SENDING
    return arrival.to(ArrivalState.RETURN_UNKNOWN) if sending else arrival


_GOING_OUT: Final = frozenset(
    {
        WithdrawalState.SENDING,
        WithdrawalState.SEND_UNKNOWN,
        WithdrawalState.SENT,
        WithdrawalState.LIQUIDATED,
    }
)
