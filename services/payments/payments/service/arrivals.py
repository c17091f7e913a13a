"""Arrivals: what the participant's statement shows that no claim explains, and withdrawals that came back.

The statement is only a hint, as a claim is: the attestor looks at both sources before anything is booked.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from common import pg

from payments.domain.accounts import BANK, SUSPENSE, PlayerId, available, is_clabe, withdrawing
from payments.domain.arrivals import (
    UNKNOWN_CLABE,
    Arrival,
    ArrivalState,
    arrival_id,
)
from payments.domain.cases import Subject
from payments.domain.deposits import Deposit, DepositId, DepositState
from payments.domain.evidence import RailStatus, StatementLine
from payments.domain.orders import Outcome, RailOrder, Resend, Settled, Wait, read_absence, read_order
from payments.domain.proofs import SPEI, Proof, Purpose, ask, receipt_id
from payments.domain.withdrawals import WithdrawalState
from payments.events import tell_deposit
from payments.rail import Rail, RailSilent
from payments.service.cases import open_case
from payments.service.pace import Clock, Pace
from payments.service.payouts import write_withdrawal
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
        async with pg.transaction(self._pool) as conn:
            known = await ArrivalStore(conn).known([line.transfer.tracking_key for line, _ in abonos])
        for line, name in abonos:
            if line.status is RailStatus.LIQUIDATED and line.transfer.tracking_key not in known:
                found += await self._note(line, name)
        found += await self._note_returns(now)
        found += await self._take_refused()
        await self._tell_of_quarantined()
        self._read_to = until
        return found

    async def _note(self, line: StatementLine, name: str) -> bool:
        async with pg.transaction(self._pool) as conn:
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
            id=arrival_id(line.transfer),
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
        if not await ArrivalStore(conn).add(arrival):
            return False
        await remember(conn, "arrival", arrival.id, arrival.state, reason)
        await ProofStore(conn).ask(_proof(arrival, Purpose.SUSPENSE, SUSPENSE, self._clock))
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
        noted = [await self._came_back(order) for order in await self._rail.came_back(self._returns_from)]
        if None not in noted:
            self._returns_from = now - OVERLAP
        return noted.count(True)

    async def _came_back(self, order: RailOrder) -> bool | None:
        """Whether it is news; None when it is not booked that it went out, so it cannot come back yet."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            withdrawal = await WithdrawalStore(conn).by_clave(order.clave)
            if withdrawal is not None and withdrawal.state in _GOING_OUT:
                return None
            if withdrawal is None or withdrawal.state is not WithdrawalState.BOOKED:
                return False
            if order.amount != withdrawal.amount:
                return await open_case(
                    conn, Subject.WITHDRAWAL, withdrawal.id, "returned-amount-differs", now,
                    player=withdrawal.player, amount=order.amount.amount,
                )  # fmt: skip
            returning = withdrawal.to(WithdrawalState.RETURNING)
            await write_withdrawal(
                conn, withdrawal, returning, "came-back", {"order": order.status}, now, None
            )
            proof = ask(
                Purpose.WITHDRAWAL_RETURNED,
                rail=SPEI,
                tracking_key=f"RETURNED:{order.clave.upper()}",
                subject_id=withdrawal.id,
                account=withdrawing(withdrawal.player),
                amount=withdrawal.amount,
                reference=withdrawal.reference,
                now=now,
            )
            return await ProofStore(conn).ask(proof)

    async def lease(self, limit: int) -> Sequence[Arrival]:
        """Arrivals that are to be sent back, ours until the lease ends."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            return await ArrivalStore(conn).lease_due(now, self._pace.lease_end(now), limit)

    async def advance(self, arrival: Arrival) -> None:
        """Carry a return one step further. Raises `LeaseLost` if it took longer than the lease."""
        if not is_clabe(arrival.ordering_account):
            await self._attend(arrival, "sender-has-no-clabe", {})
        elif arrival.state is ArrivalState.RETURN_SENDING and arrival.sends == 0:
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
        await self._act(sending, read_order(sending.order, order), {"order": order.status})

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
            await self._act(arrival, read_order(arrival.order, order), {"order": order.status})

    async def _act(self, arrival: Arrival, outcome: Outcome, answer: Answer) -> None:
        match outcome:
            case Settled("sent"):
                sent = arrival.state is ArrivalState.RETURN_SENT
                after = arrival if sent else arrival.to(ArrivalState.RETURN_SENT)
                await self._save(arrival, after, "in-process", answer)
            case Settled("liquidated"):
                await self._returned(arrival, answer)
            case Settled(_, reason):
                await self._attend(arrival, f"return-rejected: {reason}"[:100], answer)
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
            await ProofStore(conn).ask(_proof(arrival, Purpose.SUSPENSE_RETURN, BANK, self._clock))

    async def _attend(self, arrival: Arrival, attention: str, answer: Answer) -> None:
        now = self._clock()
        after = replace(_unknown(arrival), attention=attention)
        async with pg.transaction(self._pool) as conn:
            await ArrivalStore(conn).save(arrival, after, None)
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


def _proof(arrival: Arrival, purpose: Purpose, account: str, clock: Clock) -> Proof:
    """What is to be attested about an arrival. What takes it out of suspense stems from what put it there."""
    key = arrival.transfer.tracking_key
    return ask(
        purpose,
        rail=SPEI,
        tracking_key=key,
        subject_id=arrival.id,
        account=account,
        amount=arrival.amount,
        reference=arrival.reference,
        now=clock(),
        origin=None if purpose is Purpose.SUSPENSE else receipt_id(Purpose.SUSPENSE, SPEI, key),
    )


async def assign(conn: pg.Connection, arrival: Arrival, player: PlayerId, clock: Clock, person: str) -> None:
    """People have decided whose it is. Raises `LeaseLost`, `IllegalStep`."""
    assigning = replace(arrival.to(ArrivalState.ASSIGNING), player=player)
    await ArrivalStore(conn).save(arrival, assigning, None)
    await remember(conn, "arrival", arrival.id, assigning.state, "assigned", person=person)
    await ProofStore(conn).ask(_proof(assigning, Purpose.SUSPENSE_ASSIGN, available(player), clock))


async def give_back(conn: pg.Connection, arrival: Arrival, clock: Clock, person: str) -> None:
    """People have decided to return it. Raises `LeaseLost`, `IllegalStep`."""
    returning = arrival.returning()
    await ArrivalStore(conn).save(arrival, returning, clock())
    await remember(conn, "arrival", arrival.id, returning.state, "to-be-returned", person=person)


async def booked(conn: pg.Connection, proof: Proof, now: datetime) -> None:
    """The ledger has booked a proof about an arrival."""
    arrival = await ArrivalStore(conn).for_update(proof.subject_id)
    if arrival is None:
        return
    after = arrival.to(_BOOKED[proof.purpose])
    await ArrivalStore(conn).save(arrival, after, None)
    await remember(conn, "arrival", arrival.id, after.state, "booked")
    if arrival.deposit_id is not None:
        await DepositStore(conn).follow_arrival(arrival.deposit_id, _DEPOSITS[after.state])
        await remember(conn, "deposit", arrival.deposit_id, _DEPOSITS[after.state], "suspense")
    if after.state is ArrivalState.SUSPENDED:
        await open_case(
            conn, Subject.ARRIVAL, arrival.id, arrival.reason, now, amount=arrival.amount.amount,
            evidence={"sender": arrival.ordering_name, "clabe": arrival.beneficiary_clabe,
                      "tracking_key": arrival.transfer.tracking_key},
        )  # fmt: skip


async def contradicted(conn: pg.Connection, proof: Proof, reason: str) -> None:
    """The two sources do not agree on an arrival: nothing is booked."""
    arrival = await ArrivalStore(conn).for_update(proof.subject_id)
    if arrival is not None and arrival.state is ArrivalState.NOTED:
        after = arrival.to(ArrivalState.QUARANTINED)
        await ArrivalStore(conn).save(arrival, after, None)
        await remember(conn, "arrival", arrival.id, after.state, reason)


_GOING_OUT: Final = frozenset(
    {
        WithdrawalState.SENDING,
        WithdrawalState.SEND_UNKNOWN,
        WithdrawalState.SENT,
        WithdrawalState.LIQUIDATED,
    }
)
_BOOKED: Final = {
    Purpose.SUSPENSE: ArrivalState.SUSPENDED,
    Purpose.SUSPENSE_ASSIGN: ArrivalState.ASSIGNED,
    Purpose.SUSPENSE_RETURN: ArrivalState.RETURNED,
}
_DEPOSITS: Final = {
    ArrivalState.SUSPENDED: DepositState.SUSPENDED,
    ArrivalState.ASSIGNED: DepositState.ASSIGNED,
    ArrivalState.RETURNED: DepositState.RETURNED,
}
