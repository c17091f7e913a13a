"""What a player asks for: an own CLABE, a deposit to be looked for, money to be paid out."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final
from uuid import UUID, uuid4

from common import pg
from common.idempotency import Answer, once
from common.money import Money

from payments.domain.accounts import Clabe, PlayerId, issue_clabe
from payments.domain.deposits import CURRENCY, Deposit, DepositId, DepositState, name_transfer
from payments.domain.evidence import MEXICO_CITY
from payments.domain.overview import Payment
from payments.domain.refusals import CancelImpossible, CardMoneyFirst, NoSuchDeposit, NoSuchWithdrawal
from payments.domain.withdrawals import (
    CANCELLABLE,
    CANCELLED,
    PayoutRail,
    Withdrawal,
    WithdrawalId,
    WithdrawalState,
)
from payments.events import tell_deposit, tell_withdrawal
from payments.service.pace import Clock
from payments.service.payouts import write_withdrawal
from payments.store.cards import CardStore
from payments.store.deposits import DepositStore
from payments.store.history import remember
from payments.store.overview import payments_of
from payments.store.pages import Place
from payments.store.withdrawals import WithdrawalStore


@dataclass(frozen=True, slots=True)
class Once:
    """The player's idempotency key and what it was used for."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """Which transfer a player says was sent, and how much it was."""

    clave: str
    operation_date: date
    institution: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Payout:
    """Where a player wants how much."""

    clabe: Clabe
    beneficiary_name: str
    amount: Money
    rail: PayoutRail = PayoutRail.SPEI
    device: UUID | None = None


CARD_MONEY_STAYS: Final = timedelta(days=90)
"""For so long money from a card goes back to the card before it goes anywhere else."""


class Requests:
    """Use cases of one transaction each; the workers carry on from what they leave."""

    def __init__(self, pool: pg.Pool, *, clabe_prefix: str, deposit_window: timedelta, clock: Clock) -> None:
        """A claim that the rail has never heard of is given up after `deposit_window`."""
        self._pool = pool
        self._clabe_prefix = clabe_prefix
        self._deposit_window = deposit_window
        self._clock = clock

    async def own_clabe(self, player: PlayerId) -> Clabe:
        """The CLABE that is this player's alone; given out at the first call and the same ever after."""
        async with pg.transaction(self._pool) as conn:
            store = DepositStore(conn)
            known = await store.clabe_of(player)
            if known is not None:
                return known
            fresh = issue_clabe(self._clabe_prefix, await store.next_serial())
            await store.keep_clabe(player, fresh)
            return await store.clabe_of(player) or fresh

    async def claim_deposit(
        self, player: PlayerId, claim: Claim, asked: Once, show: Callable[[Deposit], Answer]
    ) -> Answer:
        """Note the claim; the attestor looks for the transfer. One that the statement told of before is that one.

        Raises `InvalidClaim`. `TransferClaimed` and `NoClabeYet` come back as answers.
        """
        now = self._clock()
        transfer = name_transfer(
            claim.clave, claim.operation_date, claim.institution, today=now.astimezone(MEXICO_CITY).date()
        )
        deposit = Deposit(
            id=DepositId(uuid4()),
            player=player,
            transfer=transfer,
            amount=claim.amount,
            state=DepositState.CLAIMED,
            claimed_at=now,
            window_ends_at=now + self._deposit_window,
        )
        async with pg.transaction(self._pool) as conn:

            async def work() -> Answer:
                noticed = await DepositStore(conn).noticed(player, transfer)
                if noticed is not None and noticed.amount == claim.amount:
                    return show(noticed)
                await DepositStore(conn).add(deposit)
                await remember(conn, "deposit", deposit.id, deposit.state, "claimed")
                await tell_deposit(conn, deposit, now)
                return show(deposit)

            return await _once(conn, player, asked, work)

    async def request_withdrawal(
        self, player: PlayerId, payout: Payout, asked: Once, show: Callable[[Withdrawal], Answer]
    ) -> Answer:
        """Note the request; the worker reserves the money, reviews it and sends it.

        `UnknownPayoutClabe` and `CardMoneyFirst` come back as answers.
        """
        now = self._clock()
        withdrawal = Withdrawal(
            id=WithdrawalId(uuid4()),
            player=player,
            clabe=payout.clabe,
            beneficiary_name=payout.beneficiary_name,
            amount=payout.amount,
            state=WithdrawalState.REQUESTED,
            requested_at=now,
            rail=payout.rail,
            device=payout.device,
        )
        async with pg.transaction(self._pool) as conn:

            async def work() -> Answer:
                if (left := await CardStore(conn).unrefunded(player, now - CARD_MONEY_STAYS)) > 0:
                    money = Money(left, CURRENCY)
                    raise CardMoneyFirst(f"{money} {CURRENCY} came from a card: refund it to the card first")
                await WithdrawalStore(conn).add(withdrawal)
                await remember(conn, "withdrawal", withdrawal.id, withdrawal.state, "requested")
                await tell_withdrawal(conn, withdrawal, now)
                return show(withdrawal)

            return await _once(conn, player, asked, work)

    async def cancel_withdrawal(
        self,
        player: PlayerId,
        withdrawal_id: WithdrawalId,
        asked: Once,
        show: Callable[[Withdrawal], Answer],
    ) -> Answer:
        """Take a withdrawal back, while the rail has not heard of it.

        Raises `NoSuchWithdrawal`. `CancelImpossible` comes back as an answer.
        """
        now = self._clock()
        async with pg.transaction(self._pool) as conn:

            async def work() -> Answer:
                store = WithdrawalStore(conn)
                found = await store.for_update(withdrawal_id)
                if found is None or found.player != player:
                    raise NoSuchWithdrawal(f"you have no withdrawal {withdrawal_id}")
                if found.state not in CANCELLABLE:
                    raise CancelImpossible(f"it is {found.state}")
                if found.state is WithdrawalState.REQUESTED:
                    # Somebody may be reserving it right now: whoever comes next gives it back.
                    await store.cancel(withdrawal_id, now)
                    await remember(conn, "withdrawal", found.id, found.state, CANCELLED)
                    return show(replace(found, reason=CANCELLED))
                rejected = found.to(WithdrawalState.REJECTED, reason=CANCELLED)
                await write_withdrawal(conn, found, rejected, CANCELLED, None, now, None)
                return show(rejected)

            return await _once(conn, player, asked, work)

    async def deposit(self, player: PlayerId, deposit_id: DepositId) -> Deposit:
        """Raises `NoSuchDeposit` for one that is not this player's."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            found = await DepositStore(conn).of_player(player, deposit_id)
        if found is None:
            raise NoSuchDeposit(f"you have no deposit {deposit_id}")
        return found

    async def deposits(self, player: PlayerId, after: Place | None, limit: int) -> Sequence[Deposit]:
        async with pg.transaction(self._pool, readonly=True) as conn:
            return await DepositStore(conn).page(player, after, limit)

    async def payments(self, player: PlayerId, after: Place | None, limit: int) -> Sequence[Payment]:
        """A player's payments of every kind."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            return await payments_of(conn, player, after, limit)

    async def withdrawal(self, player: PlayerId, withdrawal_id: WithdrawalId) -> Withdrawal:
        """Raises `NoSuchWithdrawal` for one that is not this player's."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            found = await WithdrawalStore(conn).of_player(player, withdrawal_id)
        if found is None:
            raise NoSuchWithdrawal(f"you have no withdrawal {withdrawal_id}")
        return found

    async def withdrawals(self, player: PlayerId, after: Place | None, limit: int) -> Sequence[Withdrawal]:
        async with pg.transaction(self._pool, readonly=True) as conn:
            return await WithdrawalStore(conn).page(player, after, limit)


async def _once(
    conn: pg.Connection, player: PlayerId, asked: Once, work: Callable[[], Awaitable[Answer]]
) -> Answer:
    return await once(conn, principal=str(player), key=asked.key, fingerprint=asked.fingerprint, work=work)
