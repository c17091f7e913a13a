"""Cards: a player pays and takes back; a cashier captures in parts, voids and refunds."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from common.http import IDEMPOTENCY_KEY, Body, Role, Route, View, read, read_query, reply
from common.idempotency import Answer, KeyInFlight, KeyReused, fingerprint
from common.wire import AmountText, CurrencyText
from pydantic import StringConstraints

from payments.api.shared import PageQuery, id_in, person_of, pesos, player_of
from payments.cursors import write_cursor
from payments.domain import refusals
from payments.domain.cards import Act, CardPayment, CardPaymentId, Operation, OperationState, PaymentState
from payments.service.card_requests import CardRequests
from payments.service.requests import Once
from payments.store.pages import Place

CARD_REQUESTS: Final = web.AppKey("card_requests", CardRequests)

CardToken = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_-]+$")
]


class CardPaymentRequest(Body):
    """Money from a card. `card_token` is what the provider gave the app for it; we never see the card.

    With `capture` false the amount is only authorised, for a cashier to capture in parts.
    """

    amount: AmountText
    currency: CurrencyText
    card_token: CardToken
    capture: bool = True


class PartRequest(Body):
    """A part of a card payment, to be captured or refunded."""

    amount: AmountText
    currency: CurrencyText


class OperationView(View):
    """Something asked of the provider and where it is."""

    id: UUID
    act: Act
    amount: str
    status: OperationState
    reason: str | None
    requested_at: datetime

    @classmethod
    def of(cls, operation: Operation) -> "OperationView":
        return cls(
            id=operation.id,
            act=operation.act,
            amount=str(operation.amount),
            status=operation.state,
            reason=operation.reason,
            requested_at=operation.requested_at,
        )


class CardPaymentView(View):
    """A card payment. What is captured waits as uncleared until the provider has paid it out."""

    id: UUID
    status: PaymentState
    amount: str
    captured: str
    refunding: str
    currency: str
    reason: str | None
    expires_at: datetime | None
    created_at: datetime
    operations: tuple[OperationView, ...]

    @classmethod
    def of(cls, payment: CardPayment, operations: Sequence[Operation] = ()) -> "CardPaymentView":
        return cls(
            id=payment.id,
            status=payment.state,
            amount=str(payment.amount),
            captured=str(payment.captured or "0.00"),
            refunding=str(payment.refunding or "0.00"),
            currency=payment.amount.currency,
            reason=payment.reason,
            expires_at=payment.expires_at,
            created_at=payment.created_at,
            operations=tuple(OperationView.of(each) for each in operations),
        )


class CardPaymentsView(View):
    """A page of card payments, the latest first, without their operations."""

    items: tuple[CardPaymentView, ...]
    next: str | None


async def pay_by_card(request: web.Request) -> web.Response:
    """Pay by card."""
    wanted = await read(request, CardPaymentRequest)
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint("POST /v1/card-payments", wanted))
    answer = await request.app[CARD_REQUESTS].pay(
        player_of(request),
        pesos(wanted.amount, wanted.currency),
        wanted.card_token,
        asked,
        _shown,
        capture_at_once=wanted.capture,
    )
    return reply(answer)


async def list_card_payments(request: web.Request) -> web.Response:
    """Your card payments, the latest first."""
    page = read_query(request, PageQuery)
    found = await request.app[CARD_REQUESTS].payments(player_of(request), page.place, page.limit)
    full = len(found) == page.limit
    after = write_cursor(Place(found[-1].created_at, found[-1].id)) if full else None
    return reply(CardPaymentsView(items=tuple(CardPaymentView.of(each) for each in found), next=after))


async def show_card_payment(request: web.Request) -> web.Response:
    """One of your card payments, with everything that was asked of the provider."""
    found = await request.app[CARD_REQUESTS].payment(player_of(request), _id(request))
    return reply(CardPaymentView.of(*found))


async def refund_own_card_payment(request: web.Request) -> web.Response:
    """Have money from a card given back to that card."""
    wanted = await read(request, PartRequest)
    payment_id, player = _id(request), player_of(request)
    asked = Once(
        request[IDEMPOTENCY_KEY], fingerprint(f"POST /v1/card-payments/{payment_id}/refunds", wanted)
    )
    amount = pesos(wanted.amount, wanted.currency)
    answer = await request.app[CARD_REQUESTS].refund(str(player), player, payment_id, amount, asked, _shown)
    return reply(answer)


async def capture_card_payment(request: web.Request) -> web.Response:
    """Capture a part of what is authorised."""
    wanted = await read(request, PartRequest)
    payment_id = _id(request)
    asked = Once(
        request[IDEMPOTENCY_KEY], fingerprint(f"POST /v1/cashier/card-payments/{payment_id}/captures", wanted)
    )
    amount = pesos(wanted.amount, wanted.currency)
    answer = await request.app[CARD_REQUESTS].capture(person_of(request), payment_id, amount, asked, _shown)
    return reply(answer)


async def void_card_payment(request: web.Request) -> web.Response:
    """Give up an authorization."""
    payment_id = _id(request)
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint(f"POST /v1/cashier/card-payments/{payment_id}/void"))
    return reply(await request.app[CARD_REQUESTS].void(person_of(request), payment_id, asked, _shown))


async def refund_card_payment(request: web.Request) -> web.Response:
    """Give a part of what was captured back to the card."""
    wanted = await read(request, PartRequest)
    payment_id = _id(request)
    asked = Once(
        request[IDEMPOTENCY_KEY], fingerprint(f"POST /v1/cashier/card-payments/{payment_id}/refunds", wanted)
    )
    amount = pesos(wanted.amount, wanted.currency)
    answer = await request.app[CARD_REQUESTS].refund(
        person_of(request), None, payment_id, amount, asked, _shown
    )
    return reply(answer)


async def inspect_card_payment(request: web.Request) -> web.Response:
    """Any card payment, with everything that was asked of the provider."""
    return reply(CardPaymentView.of(*await request.app[CARD_REQUESTS].payment(None, _id(request))))


def _id(request: web.Request) -> CardPaymentId:
    return CardPaymentId(id_in(request, refusals.NoSuchCardPayment("that is no card payment's id")))


def _shown(payment: CardPayment, operations: Sequence[Operation]) -> Answer:
    view = CardPaymentView.of(payment, operations)
    return Answer.of(view, status=202, resource=f"/v1/card-payments/{payment.id}")


_KEYS: Final = (KeyReused, KeyInFlight)

ROUTES: Final = (
    Route("POST", "/v1/card-payments", pay_by_card, body=CardPaymentRequest, returns=CardPaymentView, status=202,
          role=Role.BETTOR, idempotent=True, refusals=(refusals.InvalidCurrency, *_KEYS)),
    Route("GET", "/v1/card-payments", list_card_payments, query=PageQuery, returns=CardPaymentsView,
          role=Role.BETTOR, refusals=(refusals.InvalidCursor,)),
    Route("GET", "/v1/card-payments/{id}", show_card_payment, returns=CardPaymentView, role=Role.BETTOR,
          refusals=(refusals.NoSuchCardPayment,)),
    Route("POST", "/v1/card-payments/{id}/refunds", refund_own_card_payment, body=PartRequest,
          returns=CardPaymentView, status=202, role=Role.BETTOR, idempotent=True,
          refusals=(refusals.NoSuchCardPayment, refusals.RefundImpossible, refusals.InvalidCurrency, *_KEYS)),
    Route("GET", "/v1/cashier/card-payments/{id}", inspect_card_payment, returns=CardPaymentView,
          role=(Role.CASHIER, Role.AUDITOR), refusals=(refusals.NoSuchCardPayment,)),
    Route("POST", "/v1/cashier/card-payments/{id}/captures", capture_card_payment, body=PartRequest,
          returns=CardPaymentView, status=202, role=Role.CASHIER, idempotent=True,
          refusals=(refusals.NoSuchCardPayment, refusals.CaptureImpossible, refusals.InvalidCurrency, *_KEYS)),
    Route("POST", "/v1/cashier/card-payments/{id}/void", void_card_payment, returns=CardPaymentView, status=202,
          role=Role.CASHIER, idempotent=True,
          refusals=(refusals.NoSuchCardPayment, refusals.VoidImpossible, *_KEYS)),
    Route("POST", "/v1/cashier/card-payments/{id}/refunds", refund_card_payment, body=PartRequest,
          returns=CardPaymentView, status=202, role=Role.CASHIER, idempotent=True,
          refusals=(refusals.NoSuchCardPayment, refusals.RefundImpossible, refusals.InvalidCurrency, *_KEYS)),
)  # fmt: skip
