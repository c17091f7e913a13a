"""A player's own CLABE, deposits and withdrawals."""

from datetime import date, datetime
from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from clabe import get_bank_name
from common.http import IDEMPOTENCY_KEY, Body, Role, Route, View, read, read_query, reply
from common.idempotency import Answer, KeyInFlight, KeyReused, fingerprint
from common.wire import AmountText, CurrencyText
from pydantic import StringConstraints

from payments.api.shared import Name, PageQuery, id_in, pesos, player_of
from payments.cursors import write_cursor
from payments.domain import refusals
from payments.domain.accounts import parse_clabe
from payments.domain.deposits import Deposit, DepositId
from payments.domain.overview import Payment, PaymentKind, PaymentStatus
from payments.domain.withdrawals import PayoutRail, Withdrawal, WithdrawalId
from payments.service.requests import Claim, Once, Payout, Requests
from payments.store.pages import Place

REQUESTS: Final = web.AppKey("requests", Requests)


DEVICE_HEADER: Final = "X-Signed-By-Device"


class DepositClaim(Body):
    """A transfer you sent to your own CLABE. `tracking_key` is its clave de rastreo, as your bank shows it."""

    tracking_key: Annotated[str, StringConstraints(strict=True, max_length=30)]
    operation_date: date
    sender_institution: Annotated[str, StringConstraints(strict=True, max_length=5)]
    amount: AmountText
    currency: CurrencyText


class WithdrawalRequest(Body):
    """Money to be paid out, to a CLABE that you have deposited from.

    `ted` is the slow rail: it takes orders in windows of the day, and the withdrawal queues until then.
    """

    clabe: Annotated[str, StringConstraints(strict=True, max_length=18)]
    beneficiary_name: Name
    amount: AmountText
    currency: CurrencyText
    rail: PayoutRail = PayoutRail.SPEI


class PaymentView(View):
    """A payment of any kind. `completed_at` is there once it is no longer PENDING."""

    id: UUID
    kind: PaymentKind
    amount: str
    currency: str
    state: str
    status: PaymentStatus
    created_at: datetime
    completed_at: datetime | None


class PaymentsView(View):
    """A page of payments, the latest first."""

    items: tuple[PaymentView, ...]
    next: str | None


class ClabeView(View):
    """The CLABE that is yours alone: what arrives on it is yours."""

    clabe: str
    bank: str


class DepositView(View):
    """A deposit and where it is. It can be bet once it is BOOKED."""

    id: UUID
    status: str
    tracking_key: str
    operation_date: date
    sender_institution: str
    amount: str
    currency: str
    reason: str | None
    receipt_id: UUID | None
    entry_id: UUID | None
    claimed_at: datetime

    @classmethod
    def of(cls, deposit: Deposit) -> "DepositView":
        return cls(
            id=deposit.id,
            status=deposit.state,
            tracking_key=deposit.transfer.clave,
            operation_date=deposit.transfer.operation_date,
            sender_institution=deposit.transfer.institution,
            amount=str(deposit.amount),
            currency=deposit.amount.currency,
            reason=deposit.reason,
            receipt_id=deposit.receipt_id,
            entry_id=deposit.entry_id,
            claimed_at=deposit.claimed_at,
        )


class DepositsView(View):
    """A page of deposits, the latest first."""

    items: tuple[DepositView, ...]
    next: str | None


class WithdrawalView(View):
    """A withdrawal and where it is. The bank has it at LIQUIDATED, the books say so at BOOKED."""

    id: UUID
    status: str
    clabe: str
    beneficiary_name: str
    amount: str
    currency: str
    tracking_key: str | None
    reason: str | None
    detail: str | None
    requested_at: datetime
    rail: PayoutRail = PayoutRail.SPEI

    @classmethod
    def of(cls, withdrawal: Withdrawal) -> "WithdrawalView":
        return cls(
            id=withdrawal.id,
            status=withdrawal.state,
            clabe=withdrawal.clabe,
            beneficiary_name=withdrawal.beneficiary_name,
            amount=str(withdrawal.amount),
            currency=withdrawal.amount.currency,
            tracking_key=withdrawal.clave,
            reason=withdrawal.reason,
            detail=withdrawal.detail,
            requested_at=withdrawal.requested_at,
            rail=withdrawal.rail,
        )


class WithdrawalsView(View):
    """A page of withdrawals, the latest first."""

    items: tuple[WithdrawalView, ...]
    next: str | None


async def own_clabe(request: web.Request) -> web.Response:
    """The CLABE to send your deposits to."""
    clabe = await request.app[REQUESTS].own_clabe(player_of(request))
    return reply(ClabeView(clabe=clabe, bank=get_bank_name(clabe)))


async def claim_deposit(request: web.Request) -> web.Response:
    """Claim a transfer you sent.

    The claim only makes us look: what is booked is what the rail says has arrived. A claim that turns out
    wrong is REJECTED, and the same transfer can be claimed again as it was.
    """
    wanted = await read(request, DepositClaim)
    claim = Claim(
        clave=wanted.tracking_key.strip(),
        operation_date=wanted.operation_date,
        institution=wanted.sender_institution,
        amount=pesos(wanted.amount, wanted.currency),
    )
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint("POST /v1/deposits", wanted))
    answer = await request.app[REQUESTS].claim_deposit(player_of(request), claim, asked, _claimed)
    return reply(answer)


async def list_deposits(request: web.Request) -> web.Response:
    """Your deposits, the latest first."""
    page = read_query(request, PageQuery)
    found = await request.app[REQUESTS].deposits(player_of(request), page.place, page.limit)
    full = len(found) == page.limit
    after = write_cursor(Place(found[-1].claimed_at, found[-1].id)) if full else None
    return reply(DepositsView(items=tuple(DepositView.of(each) for each in found), next=after))


async def show_deposit(request: web.Request) -> web.Response:
    """One of your deposits."""
    deposit_id = DepositId(id_in(request, refusals.NoSuchDeposit("that is no deposit's id")))
    return reply(DepositView.of(await request.app[REQUESTS].deposit(player_of(request), deposit_id)))


async def request_withdrawal(request: web.Request) -> web.Response:
    """Have money paid out.

    It is reserved first and then sent; it only goes to a CLABE that a booked deposit of yours came from.
    """
    wanted = await read(request, WithdrawalRequest)
    payout = Payout(
        clabe=parse_clabe(wanted.clabe),
        beneficiary_name=wanted.beneficiary_name,
        amount=pesos(wanted.amount, wanted.currency),
        rail=wanted.rail,
        device=_device_of(request),
    )
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint("POST /v1/withdrawals", wanted))
    answer = await request.app[REQUESTS].request_withdrawal(player_of(request), payout, asked, _requested)
    return reply(answer)


def _device_of(request: web.Request) -> UUID | None:
    """The device that signed the request, as the gateway has verified it."""
    try:
        return UUID(request.headers.get(DEVICE_HEADER, ""))
    except ValueError:
        return None


async def cancel_withdrawal(request: web.Request) -> web.Response:
    """Take a withdrawal back, while the rail has not heard of it.

    Its money is yours again once it is RELEASED.
    """
    withdrawal_id = WithdrawalId(id_in(request, refusals.NoSuchWithdrawal("that is no withdrawal's id")))
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint(f"POST /v1/withdrawals/{withdrawal_id}/cancellation"))
    answer = await request.app[REQUESTS].cancel_withdrawal(
        player_of(request), withdrawal_id, asked, _requested
    )
    return reply(answer)


async def list_payments(request: web.Request) -> web.Response:
    """Your payments of every kind, the latest first, each with one of four statuses."""
    page = read_query(request, PageQuery)
    found = await request.app[REQUESTS].payments(player_of(request), page.place, page.limit)
    full = len(found) == page.limit
    after = write_cursor(Place(found[-1].created_at, found[-1].id)) if full else None
    return reply(PaymentsView(items=tuple(_payment(each) for each in found), next=after))


async def list_withdrawals(request: web.Request) -> web.Response:
    """Your withdrawals, the latest first."""
    page = read_query(request, PageQuery)
    found = await request.app[REQUESTS].withdrawals(player_of(request), page.place, page.limit)
    full = len(found) == page.limit
    after = write_cursor(Place(found[-1].requested_at, found[-1].id)) if full else None
    return reply(WithdrawalsView(items=tuple(WithdrawalView.of(each) for each in found), next=after))


async def show_withdrawal(request: web.Request) -> web.Response:
    """One of your withdrawals."""
    withdrawal_id = WithdrawalId(id_in(request, refusals.NoSuchWithdrawal("that is no withdrawal's id")))
    found = await request.app[REQUESTS].withdrawal(player_of(request), withdrawal_id)
    return reply(WithdrawalView.of(found))


def _payment(payment: Payment) -> PaymentView:
    return PaymentView(
        id=payment.id,
        kind=payment.kind,
        amount=str(payment.amount),
        currency=payment.amount.currency,
        state=payment.state,
        status=payment.status,
        created_at=payment.created_at,
        completed_at=payment.completed_at,
    )


def _claimed(deposit: Deposit) -> Answer:
    return Answer.of(DepositView.of(deposit), status=202, resource=f"/v1/deposits/{deposit.id}")


def _requested(withdrawal: Withdrawal) -> Answer:
    return Answer.of(WithdrawalView.of(withdrawal), status=202, resource=f"/v1/withdrawals/{withdrawal.id}")


ROUTES: Final = (
    Route("GET", "/v1/clabe", own_clabe, returns=ClabeView, role=Role.BETTOR,
          refusals=(refusals.ClabesExhausted,)),
    Route("POST", "/v1/deposits", claim_deposit, body=DepositClaim, returns=DepositView, status=202,
          role=Role.BETTOR, idempotent=True,
          refusals=(refusals.InvalidClaim, refusals.InvalidCurrency, refusals.TransferClaimed,
                    refusals.NoClabeYet, KeyReused, KeyInFlight)),
    Route("GET", "/v1/deposits", list_deposits, query=PageQuery, returns=DepositsView, role=Role.BETTOR,
          refusals=(refusals.InvalidCursor,)),
    Route("GET", "/v1/deposits/{id}", show_deposit, returns=DepositView, role=Role.BETTOR,
          refusals=(refusals.NoSuchDeposit,)),
    Route("POST", "/v1/withdrawals", request_withdrawal, body=WithdrawalRequest, returns=WithdrawalView,
          status=202, role=Role.BETTOR, idempotent=True, step_up=True,
          refusals=(refusals.InvalidClabe, refusals.InvalidCurrency, refusals.UnknownPayoutClabe,
                    refusals.CardMoneyFirst, KeyReused, KeyInFlight)),
    Route("POST", "/v1/withdrawals/{id}/cancellation", cancel_withdrawal, returns=WithdrawalView, status=202,
          role=Role.BETTOR, idempotent=True,
          refusals=(refusals.NoSuchWithdrawal, refusals.CancelImpossible, KeyReused, KeyInFlight)),
    Route("GET", "/v1/payments", list_payments, query=PageQuery, returns=PaymentsView, role=Role.BETTOR,
          refusals=(refusals.InvalidCursor,)),
    Route("GET", "/v1/withdrawals", list_withdrawals, query=PageQuery, returns=WithdrawalsView,
          role=Role.BETTOR, refusals=(refusals.InvalidCursor,)),
    Route("GET", "/v1/withdrawals/{id}", show_withdrawal, returns=WithdrawalView, role=Role.BETTOR,
          refusals=(refusals.NoSuchWithdrawal,)),
)  # fmt: skip
