"""The rail over HTTP: what other banks' customers, the participant and the attestor can ask.

Two of its answers are separate sources on purpose: the participant's own statement (`/abonos`) and the
central bank's receipt (`/cep`).
"""

import base64
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tools.rail import book as rail
from tools.rail.book import Behaviour, Book, ClaveReusedError, Movement, RailError, Status
from tools.rail.cep import MEXICO_CITY, cep_document
from tools.rail.firma import cadena_original
from tools.rail.truth import TruthLog, TruthReader

BOOK: Final = web.AppKey("book", Book)
LOG: Final = web.AppKey("log", TruthLog)
BEHAVIOUR: Final = web.AppKey("behaviour", Behaviour)
READER: Final = web.AppKey("reader", TruthReader)
CLIENT_KEY: Final = web.AppKey("client_key", RSAPublicKey)
"""The participant's client's public key: orders are signed with the private one."""

Clave = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,30}$")]
Clabe = Annotated[str, StringConstraints(pattern=r"^[0-9]{18}$")]
Amount = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{1,12}\.[0-9]{2}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Outcome = Literal["liquidado", "rechazado", "cancelado", "devuelto"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Transfer(_Strict):
    """A customer of another bank sends money. The clave is invented unless named.

    `outcome` is how it ends; `statement_amount` makes the participant's statement lie about the amount.
    """

    beneficiary_clabe: Clabe
    beneficiary_name: Name = "Beneficiario"
    ordering_clabe: Clabe
    ordering_name: Name
    ordering_document: Annotated[str, StringConstraints(pattern=r"^[A-ZÑ&0-9]{2,18}$")] = "ND"
    amount: Amount
    concept: Name = "Transferencia"
    clave: Clave | None = None
    outcome: Outcome = "liquidado"
    delay_seconds: float | None = Field(default=None, ge=0, le=86_400)
    statement_amount: Amount | None = None


class Order(_Strict):
    """The participant sends money out under its own clave."""

    clave: Clave
    ordering_clabe: Clabe
    beneficiary_clabe: Clabe
    beneficiary_name: Name
    amount: Amount
    concept: Name = "Retiro"
    firma: Annotated[str, StringConstraints(max_length=1000)] | None = None


class Conduct(_Strict):
    """How the rail shall behave from now on."""

    delay_seconds: float = Field(default=0.0, ge=0, le=86_400)
    lose_orders: Literal["before", "after"] | None = None
    clears_every_seconds: float = Field(default=2.0, gt=0, le=86_400)
    chaos_seed: int | None = None
    chaos_rate: float = Field(default=0.0, ge=0, le=1)
    hold_seconds: float = Field(default=2.0, ge=0, le=60)


class Period(_Strict):
    """From when to when, both included."""

    since: datetime
    until: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Account(_Strict):
    """Whether an account at another bank still takes money."""

    state: Literal["open", "closed"]


class Operation(_Strict):
    """Which transfer is meant: its date and the institution that sent it."""

    date: date
    institution: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,5}$")]


class Receipt(Operation):
    """Which receipt is meant."""

    clave: Clave


class Lie(Receipt):
    """What the central bank shall say of a transfer."""

    status: Outcome


async def receive_transfer(request: web.Request) -> web.Response:
    wish = Transfer.model_validate_json(await request.read())
    rail.check_clabe(wish.ordering_clabe)
    now = _now()
    movement = Movement(
        clave=wish.clave or _invented_clave(now),
        operation_date=_operation_date(now),
        institution=rail.institution_of(wish.ordering_clabe),
        ordering_clabe=wish.ordering_clabe,
        ordering_name=wish.ordering_name,
        ordering_document=wish.ordering_document,
        beneficiary_clabe=wish.beneficiary_clabe,
        beneficiary_name=wish.beneficiary_name,
        amount=Decimal(wish.amount),
        concept=wish.concept,
        accepted_at=now,
        ends_at=rail.ends_at(now, _delay_seconds(request, wish.delay_seconds)),
        ends_as=Status(wish.outcome),
        statement_amount=None if wish.statement_amount is None else Decimal(wish.statement_amount),
    )
    book = request.app[BOOK]
    accepted = book.new_transfer(movement)
    if accepted:
        request.app[LOG].record_movement("transfer", accepted)
        book.transfers[accepted.key] = accepted
    return web.json_response(_movement_view(book.transfers[movement.key], _now()), status=201)


async def statement(request: web.Request) -> web.Response:
    """One line of the participant's statement of abonos."""
    movement = _transfer(request, request.match_info["clave"], Operation.model_validate(dict(request.query)))
    line = _movement_view(movement, _now())
    if movement.statement_amount is not None:
        line["amount"] = str(movement.statement_amount)
    return web.json_response(line)


async def statement_lines(request: web.Request) -> web.Response:
    """The participant's statement of abonos that ended in that time."""
    wanted = Period.model_validate(dict(request.query))
    now = _now()
    lines = [
        _movement_view(each, now)
        for each in request.app[BOOK].transfers.values()
        if each.status(now) is not Status.IN_PROCESS and wanted.since <= each.ends_at <= wanted.until
    ]
    return web.json_response({"items": lines})


async def returned_orders(request: web.Request) -> web.Response:
    """The participant's orders that receiving banks have sent back since then."""
    wanted = Period.model_validate(dict(request.query))
    book, now = request.app[BOOK], _now()
    lines = [
        _order_view(book, book.orders[clave], now)
        for clave, at in book.returned.items()
        if wanted.since <= at <= wanted.until
    ]
    return web.json_response({"items": lines})


async def receipt(request: web.Request) -> web.Response:
    """The central bank's word on a movement: its status and, once liquidated, the document of a transfer."""
    wanted = Receipt.model_validate(dict(request.query))
    book, now = request.app[READER].refresh(), _now()
    order = book.orders.get(wanted.clave.upper())
    if wanted.institution == rail.PARTICIPANT and order is not None:
        return web.json_response({"status": book.order_status(order, now), "document": None})
    key = (wanted.date, wanted.institution, wanted.clave.upper())
    movement = book.transfers.get(key)
    if movement is None:
        raise RailError("operacion-no-encontrada", "Operación no encontrada")
    status = Status(book.lies[key]) if key in book.lies else movement.status(now)
    document = cep_document(movement) if status is Status.LIQUIDATED else None
    return web.json_response({"status": status, "document": document})


async def return_order(request: web.Request) -> web.Response:
    """The receiving bank sends an order back that was carried out before."""
    clave, book, now = request.match_info["clave"].upper(), request.app[BOOK], _now()
    order = book.orders.get(clave)
    if order is None or book.order_status(order, now) is not Status.LIQUIDATED:
        return _refusal(409, "orden-no-liquidada", "No hay orden liquidada con esa clave de rastreo")
    request.app[LOG].record_return(clave, now)
    book.returned[clave] = now
    return web.json_response(_order_view(book, order, now))


async def set_lie(request: web.Request) -> web.Response:
    """From now on the central bank tells another status of a transfer than the statement does."""
    wanted = Lie.model_validate_json(await request.read())
    key = (wanted.date, wanted.institution, wanted.clave.upper())
    request.app[LOG].record_lie(key, wanted.status)
    request.app[BOOK].lies[key] = wanted.status
    return web.json_response(wanted.model_dump(mode="json"))


async def send_order(request: web.Request) -> web.Response:
    wish = Order.model_validate_json(await request.read())
    _check_signature(request, wish)
    behaviour, book = request.app[BEHAVIOUR], request.app[BOOK]
    if behaviour.lose_orders == "before":
        return _hang_up(request)
    now = _now()
    outcome, reason = book.verdict(wish.beneficiary_clabe)
    movement = Movement(
        clave=wish.clave,
        operation_date=_operation_date(now),
        institution=rail.PARTICIPANT,
        ordering_clabe=wish.ordering_clabe,
        ordering_name="El Carril",
        beneficiary_clabe=wish.beneficiary_clabe,
        beneficiary_name=wish.beneficiary_name,
        amount=Decimal(wish.amount),
        concept=wish.concept,
        accepted_at=now,
        ends_at=_order_ends_at(request, now),
        ends_as=outcome,
        reason=reason,
    )
    accepted = book.new_order(movement)
    if accepted:
        request.app[LOG].record_movement("order", accepted)
        book.orders[accepted.clave.upper()] = accepted
    if behaviour.lose_orders == "after":
        return _hang_up(request)
    return web.json_response(_order_view(book, book.orders[wish.clave.upper()], _now()), status=201)


async def order(request: web.Request) -> web.Response:
    movement = request.app[BOOK].orders.get(request.match_info["clave"].upper())
    if movement is None:
        return _refusal(404, "orden-desconocida", "No hay orden con esa clave de rastreo")
    return web.json_response(_order_view(request.app[BOOK], movement, _now()))


async def account_statement(request: web.Request) -> web.Response:
    """The participant's statement of the client's account: everything that moved it, between two balances."""
    wanted = Period.model_validate(dict(request.query))
    lines = request.app[BOOK].account_lines(_now())
    opening = sum((line.amount for line in lines if line.at < wanted.since), Decimal("0.00"))
    shown = [line for line in lines if wanted.since <= line.at <= wanted.until]
    return web.json_response(
        {
            "opening": str(opening),
            "closing": str(sum((line.amount for line in shown), opening)),
            "items": [
                {
                    "what": line.what,
                    "clave": line.movement.clave,
                    "operation_date": line.movement.operation_date.isoformat(),
                    "institution": line.movement.institution,
                    "amount": str(line.amount),
                    "at": line.at.isoformat(),
                }
                for line in shown
            ],
        }
    )


async def set_account(request: web.Request) -> web.Response:
    wanted = Account.model_validate_json(await request.read())
    clabe, book = request.match_info["clabe"], request.app[BOOK]
    rail.check_clabe(clabe)
    if wanted.state == "closed":
        request.app[LOG].record_account("account-closed", clabe)
        book.closed_accounts.add(clabe)
    else:
        request.app[LOG].record_account("account-opened", clabe)
        book.closed_accounts.discard(clabe)
    return web.json_response({"clabe": clabe, "state": wanted.state})


async def set_behaviour(request: web.Request) -> web.Response:
    wanted = Conduct.model_validate_json(await request.read())
    behaviour = request.app[BEHAVIOUR]
    behaviour.delay_seconds, behaviour.lose_orders = wanted.delay_seconds, wanted.lose_orders
    behaviour.clears_every_seconds = wanted.clears_every_seconds
    behaviour.chaos_seed, behaviour.chaos_rate = wanted.chaos_seed, wanted.chaos_rate
    behaviour.hold_seconds = wanted.hold_seconds
    return web.json_response(wanted.model_dump())


async def forget(request: web.Request) -> web.Response:
    """Begin anew: nothing has ever happened, to the central bank neither."""
    request.app[LOG].record_forgetting()
    request.app[BOOK].forget()
    return web.json_response({})


async def truth(request: web.Request) -> web.Response:
    """What the rail knows it has moved, to compare the platform's books with."""
    book = request.app[BOOK]
    totals = {name: str(amount) for name, amount in book.totals(_now()).items()}
    return web.json_response(totals | {"transfers": len(book.transfers), "orders": len(book.orders)})


async def healthy(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


ROUTES: Final = (
    web.post("/transfers", receive_transfer),
    web.get("/abonos", statement_lines),
    web.get("/abonos/{clave}", statement),
    web.get("/devoluciones", returned_orders),
    web.post("/orders", send_order),
    web.get("/orders/{clave}", order),
    web.post("/orders/{clave}/return", return_order),
    web.post("/ted/orders", send_order),
    web.get("/ted/orders/{clave}", order),
    web.put("/central-bank/lies", set_lie),
    web.put("/accounts/{clabe}", set_account),
    web.put("/behaviour", set_behaviour),
    web.get("/statement", account_statement),
    web.post("/forget", forget),
    web.get("/truth", truth),
    web.get("/healthz", healthy),
    web.get("/readyz", healthy),
)
CENTRAL_BANK_ROUTES: Final = (
    web.put("/behaviour", set_behaviour),
    web.get("/cep", receipt),
    web.get("/healthz", healthy),
    web.get("/readyz", healthy),
)


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything the rail says no to, in its own way of saying it."""
    try:
        return await handler(request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return _refusal(400, "solicitud-invalida", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except ClaveReusedError as error:
        return _refusal(409, error.code, str(error))
    except RailError as error:
        return _refusal(404 if error.code == "operacion-no-encontrada" else 400, error.code, str(error))


def _transfer(request: web.Request, clave: str, operation: Operation) -> Movement:
    movement = request.app[BOOK].transfers.get((operation.date, operation.institution, clave.upper()))
    if movement is None:
        raise RailError("operacion-no-encontrada", "Operación no encontrada")
    return movement


def _movement_view(movement: Movement, now: datetime) -> dict[str, str | None]:
    status = movement.status(now)
    ended = status is not Status.IN_PROCESS
    return {
        "clave": movement.clave,
        "operation_date": movement.operation_date.isoformat(),
        "institution": movement.institution,
        "ordering_clabe": movement.ordering_clabe,
        "ordering_name": movement.ordering_name,
        "beneficiary_clabe": movement.beneficiary_clabe,
        "beneficiary_name": movement.beneficiary_name,
        "amount": str(movement.amount),
        "currency": "MXN",
        "status": status,
        "reason": movement.reason if ended else None,
        "ended_at": movement.ends_at.isoformat() if ended else None,
    }


def _order_view(book: Book, order: Movement, now: datetime) -> dict[str, str | None]:
    return _movement_view(order, now) | {"status": book.order_status(order, now)}


def _order_ends_at(request: web.Request, now: datetime) -> datetime:
    """SPEI carries an order in its delay; the slow rail clears all of a window together at its end."""
    if not request.path.startswith("/ted/"):
        return rail.ends_at(now, _delay_seconds(request, None))
    every = request.app[BEHAVIOUR].clears_every_seconds
    return datetime.fromtimestamp((now.timestamp() // every + 1) * every, UTC)


def _check_signature(request: web.Request, order: Order) -> None:
    """The participant carries no order that its client has not signed."""
    key = request.app.get(CLIENT_KEY)
    if key is None:
        return
    try:
        text = cadena_original(order.model_dump()).encode()
        key.verify(base64.b64decode(order.firma or ""), text, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        raise RailError("firma-invalida", "La firma no corresponde a la orden") from None


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection without a word, as a network does."""
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def _refusal(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"code": code, "text": text}, status=status)


def _delay_seconds(request: web.Request, own: float | None) -> float:
    return request.app[BEHAVIOUR].delay_seconds if own is None else own


def _operation_date(now: datetime) -> date:
    return now.astimezone(MEXICO_CITY).date()


def _invented_clave(now: datetime) -> str:
    return f"{now:%Y%m%d}{secrets.token_hex(9).upper()}"


def _now() -> datetime:
    return datetime.now(UTC)
