"""Payments over HTTP: a player's own CLABE, deposits and withdrawals."""

from datetime import date, datetime
from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from clabe import get_bank_name
from common.errors import NotFound
from common.http import IDEMPOTENCY_KEY, PRINCIPAL, Body, Role, Route, View, read, read_query, reply
from common.idempotency import Answer, KeyInFlight, KeyReused, fingerprint
from common.money import Money
from common.wire import AmountText, CurrencyText, money_in
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from payments.cursors import read_cursor, write_cursor
from payments.domain import refusals
from payments.domain.accounts import PlayerId, parse_clabe
from payments.domain.deposits import CURRENCY, Deposit, DepositId
from payments.domain.withdrawals import Withdrawal, WithdrawalId
from payments.service.requests import Claim, Once, Payout, Requests
from payments.store.pages import Place

REQUESTS: Final = web.AppKey("requests", Requests)

Name = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=120)]


class DepositClaim(Body):
    """A transfer you sent to your own CLABE. `tracking_key` is its clave de rastreo, as your bank shows it."""

    tracking_key: Annotated[str, StringConstraints(strict=True, max_length=30)]
    operation_date: date
    sender_institution: Annotated[str, StringConstraints(strict=True, max_length=5)]
    amount: AmountText
    currency: CurrencyText


class WithdrawalRequest(Body):
    """Money to be paid out, to a CLABE that you have deposited from."""

    clabe: Annotated[str, StringConstraints(strict=True, max_length=18)]
    beneficiary_name: Name
    amount: AmountText
    currency: CurrencyText


class PageQuery(BaseModel):
    """A page of a list. `after` is the `next` of the page before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Annotated[str, StringConstraints(max_length=200)] | None = None
    limit: int = Field(default=50, ge=1, le=200)

    @property
    def place(self) -> Place | None:
        return None if self.after is None else read_cursor(self.after)


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
        )


class WithdrawalsView(View):
    """A page of withdrawals, the latest first."""

    items: tuple[WithdrawalView, ...]
    next: str | None


async def own_clabe(request: web.Request) -> web.Response:
    """The CLABE to send your deposits to."""
    clabe = await request.app[REQUESTS].own_clabe(_player(request))
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
        amount=_pesos(wanted.amount, wanted.currency),
    )
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint("POST /v1/deposits", wanted))
    answer = await request.app[REQUESTS].claim_deposit(_player(request), claim, asked, _claimed)
    return reply(answer)


async def list_deposits(request: web.Request) -> web.Response:
    """Your deposits, the latest first."""
    page = read_query(request, PageQuery)
    found = await request.app[REQUESTS].deposits(_player(request), page.place, page.limit)
    full = len(found) == page.limit
    after = write_cursor(Place(found[-1].claimed_at, found[-1].id)) if full else None
    return reply(DepositsView(items=tuple(DepositView.of(each) for each in found), next=after))


async def show_deposit(request: web.Request) -> web.Response:
    """One of your deposits."""
    deposit_id = DepositId(_id_in(request, refusals.NoSuchDeposit("that is no deposit's id")))
    return reply(DepositView.of(await request.app[REQUESTS].deposit(_player(request), deposit_id)))


async def request_withdrawal(request: web.Request) -> web.Response:
    """Have money paid out.

    It is reserved first and then sent; it only goes to a CLABE that a booked deposit of yours came from.
    """
    wanted = await read(request, WithdrawalRequest)
    payout = Payout(
        clabe=parse_clabe(wanted.clabe),
        beneficiary_name=wanted.beneficiary_name,
        amount=_pesos(wanted.amount, wanted.currency),
    )
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint("POST /v1/withdrawals", wanted))
    answer = await request.app[REQUESTS].request_withdrawal(_player(request), payout, asked, _requested)
    return reply(answer)


async def list_withdrawals(request: web.Request) -> web.Response:
    """Your withdrawals, the latest first."""
    page = read_query(request, PageQuery)
    found = await request.app[REQUESTS].withdrawals(_player(request), page.place, page.limit)
    full = len(found) == page.limit
    after = write_cursor(Place(found[-1].requested_at, found[-1].id)) if full else None
    return reply(WithdrawalsView(items=tuple(WithdrawalView.of(each) for each in found), next=after))


async def show_withdrawal(request: web.Request) -> web.Response:
    """One of your withdrawals."""
    withdrawal_id = WithdrawalId(_id_in(request, refusals.NoSuchWithdrawal("that is no withdrawal's id")))
    found = await request.app[REQUESTS].withdrawal(_player(request), withdrawal_id)
    return reply(WithdrawalView.of(found))


def _claimed(deposit: Deposit) -> Answer:
    return Answer.of(DepositView.of(deposit), status=202, resource=f"/v1/deposits/{deposit.id}")


def _requested(withdrawal: Withdrawal) -> Answer:
    return Answer.of(WithdrawalView.of(withdrawal), status=202, resource=f"/v1/withdrawals/{withdrawal.id}")


def _player(request: web.Request) -> PlayerId:
    return PlayerId(UUID(request[PRINCIPAL].subject))


def _pesos(amount: str, currency: str) -> Money:
    if currency != CURRENCY:
        raise refusals.InvalidCurrency(f"SPEI moves {CURRENCY} only", field="currency")
    return money_in(amount, currency)


def _id_in(request: web.Request, otherwise: NotFound) -> UUID:
    """The id in the path; what is none is simply not found."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise otherwise from None


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
          status=202, role=Role.BETTOR, idempotent=True,
          refusals=(refusals.InvalidClabe, refusals.InvalidCurrency, refusals.UnknownPayoutClabe, KeyReused,
                    KeyInFlight)),
    Route("GET", "/v1/withdrawals", list_withdrawals, query=PageQuery, returns=WithdrawalsView,
          role=Role.BETTOR, refusals=(refusals.InvalidCursor,)),
    Route("GET", "/v1/withdrawals/{id}", show_withdrawal, returns=WithdrawalView, role=Role.BETTOR,
          refusals=(refusals.NoSuchWithdrawal,)),
)  # fmt: skip
