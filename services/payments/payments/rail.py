"""Transfer rails as we meet them: our participant's API (SPEI, and a slow rail that clears in windows) and the
central bank's receipts, which come from a server of its own.

Built against the simulated rail and documents of the form the real ones have (docs/payments.md says which).
Whatever is not a clear answer raises `RailSilent`: what we asked for may have happened or not. Only the
rail's own "I know no such thing" is None.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final, Generic, Literal, TypeVar
from xml.parsers import expat

from common.client import RemoteProblem, ServiceClient, Unreachable
from common.money import Money
from common.wire import Moment
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from payments.domain.bank_account import Movement, came_back, came_in, went_out
from payments.domain.deposits import CURRENCY, Transfer
from payments.domain.evidence import Cep, Document, RailStatus, StatementLine
from payments.domain.orders import Order, RailOrder
from payments.domain.withdrawals import PayoutRail
from payments.spei import OrderSigner

MAX_DOCUMENT_CHARACTERS: Final = 64 * 1024
NOT_FOUND: Final = 404


class RailSilent(Exception):
    """No answer that could be relied on."""


Item = TypeVar("Item")
Read = TypeVar("Read")
MAX_SAID: Final = 80


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line of a statement that cannot be read: its number, from 1, which field of it, what that says, and all of it."""

    number: int
    field: str
    said: str
    raw: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.field} is {self.said}"


@dataclass(frozen=True, slots=True)
class Lines(Generic[Read]):
    """A statement line by line: those that can be read, and those that cannot. None is left out."""

    read: tuple[Read, ...]
    unreadable: tuple[Unreadable, ...] = ()


def _plain(text: str) -> str:
    """Text that can be kept. A NUL is in no name, and in no column."""
    if "\0" in text:
        raise ValueError("holds a NUL")
    return text


def _pesos(told: object) -> Decimal:
    """A signed amount of pesos and centavos."""
    if not isinstance(told, str) or not _SIGNED.fullmatch(told):
        raise ValueError("is no amount of pesos and centavos")
    return Decimal(told)


_SIGNED: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,2})?")
Plain = Annotated[str, AfterValidator(_plain)]
Pesos = Annotated[Decimal, BeforeValidator(_pesos)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


Told = TypeVar("Told", bound=_Answer)


class _Movement(_Answer):
    clave: Plain
    operation_date: date
    institution: Plain
    ordering_clabe: Plain
    beneficiary_clabe: Plain
    currency: Plain
    amount: str
    status: RailStatus
    reason: Plain | None = None
    ordering_name: Plain = ""

    @field_validator("operation_date")
    @classmethod
    def _is_of_this_age(cls, day: date) -> date:
        if not 2000 <= day.year < 9999:
            raise ValueError("no operation is of that day")
        return day

    @field_validator("amount")
    @classmethod
    def _is_money(cls, amount: str, before: ValidationInfo) -> str:
        Money.parse(amount, before.data.get("currency", CURRENCY))
        return amount


class _Items(_Answer):
    """A list whose lines are read one by one: one that cannot be read takes no other with it."""

    items: tuple[JsonValue, ...]


class _Entry(_Answer):
    """A line of the account's statement. `amount` is signed: positive is money in."""

    what: Literal["abono", "orden", "devolucion"]
    clave: str
    operation_date: date
    institution: str
    amount: Pesos
    at: Moment


class _Statement(_Items):
    opening: JsonValue
    closing: JsonValue


class _Receipt(_Answer):
    status: RailStatus
    document: str | None


class _Order(BaseModel):
    clave: str
    ordering_clabe: str
    beneficiary_clabe: str
    beneficiary_name: str
    amount: str
    concept: str
    firma: str | None


class Sources:
    """The two places that say whether money has moved: our participant's statement and the central bank."""

    def __init__(self, participant: ServiceClient, central_bank: ServiceClient) -> None:
        self._client = participant
        self._central_bank = central_bank

    async def statement_line(self, transfer: Transfer) -> StatementLine | None:
        """Our participant's statement: the abono, or None. Raises `RailSilent`."""
        params = {"date": transfer.operation_date.isoformat(), "institution": transfer.institution}
        movement = await _ask(self._client, f"/abonos/{transfer.clave}", _Movement, params)
        if movement is None:
            return None
        return _line(movement)

    async def order_status(self, clave: str) -> RailOrder | None:
        """What the participant knows of an order of ours. Raises `RailSilent`."""
        movement = await _ask(self._client, f"/orders/{clave}", _Movement, {})
        return None if movement is None else _order(movement)

    async def cep(self, transfer: Transfer) -> Cep | None:
        """The central bank's receipt, or None. Raises `RailSilent`."""
        params = {
            "clave": transfer.clave,
            "date": transfer.operation_date.isoformat(),
            "institution": transfer.institution,
        }
        receipt = await _ask(self._central_bank, "/cep", _Receipt, params)
        if receipt is None:
            return None
        return Cep(receipt.status, None if receipt.document is None else read_document(receipt.document))


class Rail:
    """A rail that carries our orders, over HTTP. Each order is signed (RSA-SHA256, see `spei`)."""

    def __init__(
        self,
        client: ServiceClient,
        *,
        own_clabe: str,
        signer: OrderSigner | None = None,
        rail: PayoutRail = PayoutRail.SPEI,
    ) -> None:
        """`own_clabe` is the account that orders are paid from."""
        self._client = client
        self._own_clabe = own_clabe
        self._signer = signer
        self._orders = "/orders" if rail is PayoutRail.SPEI else f"/{rail}/orders"

    async def send(self, order: Order) -> RailOrder:
        """Order a payment under our own clave, once: it is never repeated here.

        Raises `RailSilent` for everything but a clear answer, refusals included: ask by the clave.
        """
        wish = _Order(
            clave=order.clave,
            ordering_clabe=self._own_clabe,
            beneficiary_clabe=order.clabe,
            beneficiary_name=order.beneficiary_name,
            amount=str(order.amount),
            concept=order.concept,
            firma=self._signer.sign(order, self._own_clabe) if self._signer else None,
        )
        try:
            return _order(await self._client.post(self._orders, wish, _Movement))
        except (RemoteProblem, Unreachable) as error:
            raise RailSilent(str(error)) from error

    async def find(self, order: Order) -> RailOrder | None:
        """What the rail knows of an order by our clave. Raises `RailSilent`."""
        movement = await _ask(self._client, f"{self._orders}/{order.clave}", _Movement, {})
        return None if movement is None else _order(movement)

    async def abono(self, transfer: Transfer) -> tuple[StatementLine, str] | None:
        """One line of our participant's statement, with the sender's name. Raises `RailSilent`."""
        params = {"date": transfer.operation_date.isoformat(), "institution": transfer.institution}
        movement = await _ask(self._client, f"/abonos/{transfer.clave}", _Movement, params)
        return None if movement is None else (_line(movement), movement.ordering_name)

    async def abonos(self, since: datetime, until: datetime) -> Lines[tuple[StatementLine, str]]:
        """The abonos that our participant's statement has of that time, each with the sender's name.

        Raises `RailSilent`.
        """
        params = {"since": since.isoformat(), "until": until.isoformat()}
        told = await _ask(self._client, "/abonos", _Items, params)
        return _read(told, _Movement, lambda each: (_line(each), each.ordering_name))

    async def statement(self, since: datetime, until: datetime) -> tuple[Movement, ...]:
        """Our account's statement at the participant, to be compared: it is had as a whole or not at all.

        Raises `RailSilent`, which names the line and the field, for one that cannot be read; for one that does not
        add up too.
        """
        params = {"since": since.isoformat(), "until": until.isoformat()}
        told = await _ask(self._client, "/statement", _Statement, params)
        if told is None:
            raise RailSilent("the participant has no statement")
        lines = _read(told, _Entry, lambda each: each)
        if lines.unreadable:
            raise RailSilent(f"the statement cannot be read: {'; '.join(map(str, lines.unreadable[:5]))}")
        try:
            opening, closing = _pesos(told.opening), _pesos(told.closing)
        except ValueError as error:
            said = f"{told.opening!r} and {told.closing!r}"[:MAX_SAID]
            raise RailSilent(f"the statement cannot be read: opening and closing are {said}") from error
        if opening + sum((each.amount for each in lines.read), Decimal(0)) != closing:
            raise RailSilent("the statement does not add up")
        return tuple(_movement(each) for each in lines.read)

    async def came_back(self, since: datetime) -> Lines[RailOrder]:
        """Orders of ours that the receiving banks have sent back since then. Raises `RailSilent`."""
        told = await _ask(self._client, "/devoluciones", _Items, {"since": since.isoformat()})
        return _read(told, _Movement, _order)


def _read(told: _Items | None, model: type[Told], read: Callable[[Told], Item]) -> Lines[Item]:
    good: list[Item] = []
    bad: list[Unreadable] = []
    for number, item in enumerate(told.items if told else (), 1):
        try:
            good.append(read(model.model_validate(item)))
        except ValidationError as error:
            bad.append(_unreadable(number, item, error))
    return Lines(tuple(good), tuple(bad))


def _unreadable(number: int, item: JsonValue, error: ValidationError) -> Unreadable:
    where: Sequence[int | str] = error.errors(include_url=False, include_context=False)[0]["loc"]
    field = str(where[0]) if where else "line"
    said = item.get(field) if isinstance(item, dict) else item
    return Unreadable(number, field, repr(said)[:MAX_SAID], json.dumps(item, sort_keys=True)[:2000])


async def _ask(client: ServiceClient, path: str, model: type[Told], params: dict[str, str]) -> Told | None:
    try:
        return await client.get(path, model, params=params)
    except RemoteProblem as problem:
        if problem.status == NOT_FOUND:
            return None
        raise RailSilent(str(problem)) from problem
    except Unreachable as error:
        raise RailSilent(error.detail) from error


def read_document(text: str) -> Document:
    """The CEP's XML. Raises `RailSilent` for anything but the document we know.

    A document type or an entity has no business in it, so they are refused before they can expand.
    """
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        raise RailSilent("the CEP is too long")
    elements: dict[str, dict[str, str]] = {}

    def open_element(name: str, attributes: dict[str, str]) -> None:
        if elements.setdefault(name, attributes) is not attributes:
            raise RailSilent(f"the CEP has two elements {name}")

    def refuse(*_: object) -> None:
        raise RailSilent("the CEP declares a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler = open_element
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
        root, beneficiary, ordering = (
            elements[name] for name in ("SPEI_Tercero", "Beneficiario", "Ordenante")
        )
        return Document(
            clave=root["claveRastreo"],
            operation_date=date.fromisoformat(root["FechaOperacion"]),
            beneficiary_clabe=beneficiary["Cuenta"],
            ordering_account=ordering["Cuenta"],
            ordering_name=ordering["Nombre"],
            amount=_money(beneficiary["MontoPago"], CURRENCY),
            cadena=root["cadenaCDA"],
            ordering_document=ordering.get("RFC", ""),
        )
    except (expat.ExpatError, KeyError, ValueError) as error:
        raise RailSilent(f"the CEP cannot be read: {error}") from error


def _line(movement: _Movement) -> StatementLine:
    return StatementLine(
        transfer=Transfer(movement.clave, movement.operation_date, movement.institution),
        beneficiary_clabe=movement.beneficiary_clabe,
        ordering_account=movement.ordering_clabe,
        amount=_money(movement.amount, movement.currency),
        status=movement.status,
    )


def _order(movement: _Movement) -> RailOrder:
    return RailOrder(
        clave=movement.clave,
        beneficiary_clabe=movement.beneficiary_clabe,
        amount=_money(movement.amount, movement.currency),
        status=movement.status,
        reason=movement.reason,
        operation_date=movement.operation_date,
    )


def _movement(entry: _Entry) -> Movement:
    transfer = Transfer(entry.clave, entry.operation_date, entry.institution)
    keys = {
        "abono": came_in(transfer.tracking_key),
        "orden": went_out(entry.clave),
        "devolucion": came_back(entry.clave),
    }
    return Movement(keys[entry.what], entry.amount, entry.at, f"{entry.what} {entry.clave}")


def _money(amount: str, currency: str) -> Money:
    try:
        return Money.parse(amount, currency)
    except ValueError as error:
        raise RailSilent(f"the rail names an amount that is none: {error}") from error
