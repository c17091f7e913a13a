"""The SPEI rail as we meet it: our participant's API and the central bank's receipts.

Whatever is not a clear answer raises `RailSilent`: what we asked for may have happened or not. Only the
rail's own "I know no such thing" is None.
"""

from datetime import date
from typing import Final, TypeVar
from xml.parsers import expat

from common.client import RemoteProblem, ServiceClient, Unreachable
from common.money import Money
from pydantic import BaseModel, ConfigDict

from payments.domain.deposits import CURRENCY, Transfer
from payments.domain.evidence import Cep, Document, RailStatus, StatementLine
from payments.domain.withdrawals import RailOrder, Withdrawal

MAX_DOCUMENT_CHARACTERS: Final = 64 * 1024
NOT_FOUND: Final = 404


class RailSilent(Exception):
    """No answer that could be relied on."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


Told = TypeVar("Told", bound=_Answer)


class _Movement(_Answer):
    clave: str
    operation_date: date
    institution: str
    ordering_clabe: str
    beneficiary_clabe: str
    amount: str
    currency: str
    status: RailStatus
    reason: str | None = None


class _Receipt(_Answer):
    status: RailStatus
    document: str | None


class _Order(BaseModel):
    clave: str
    ordering_clabe: str
    beneficiary_clabe: str
    beneficiary_name: str
    amount: str


class Rail:
    """The rail over HTTP."""

    def __init__(self, client: ServiceClient, *, own_clabe: str = "") -> None:
        """`own_clabe` is the account that withdrawals are paid from; the attestor needs none."""
        self._client = client
        self._own_clabe = own_clabe

    async def statement_line(self, transfer: Transfer) -> StatementLine | None:
        """Our participant's statement: the abono, or None. Raises `RailSilent`."""
        params = {"date": transfer.operation_date.isoformat(), "institution": transfer.institution}
        movement = await self._ask(f"/abonos/{transfer.clave}", _Movement, params)
        if movement is None:
            return None
        return StatementLine(
            transfer=Transfer(movement.clave, movement.operation_date, movement.institution),
            beneficiary_clabe=movement.beneficiary_clabe,
            ordering_account=movement.ordering_clabe,
            amount=_money(movement.amount, movement.currency),
            status=movement.status,
        )

    async def cep(self, transfer: Transfer) -> Cep | None:
        """The central bank's receipt, or None. Raises `RailSilent`."""
        params = {
            "clave": transfer.clave,
            "date": transfer.operation_date.isoformat(),
            "institution": transfer.institution,
        }
        receipt = await self._ask("/cep", _Receipt, params)
        if receipt is None:
            return None
        return Cep(receipt.status, None if receipt.document is None else read_document(receipt.document))

    async def send(self, withdrawal: Withdrawal) -> RailOrder:
        """Order a payment under our own clave, once: it is never repeated here.

        Raises `RailSilent` for everything but a clear answer, refusals included: ask by the clave.
        """
        order = _Order(
            clave=_clave(withdrawal),
            ordering_clabe=self._own_clabe,
            beneficiary_clabe=withdrawal.clabe,
            beneficiary_name=withdrawal.beneficiary_name,
            amount=str(withdrawal.amount),
        )
        try:
            return _order(await self._client.post("/orders", order, _Movement))
        except (RemoteProblem, Unreachable) as error:
            raise RailSilent(str(error)) from error

    async def order(self, withdrawal: Withdrawal) -> RailOrder | None:
        """What the rail knows of an order by our clave. Raises `RailSilent`."""
        movement = await self._ask(f"/orders/{_clave(withdrawal)}", _Movement, {})
        return None if movement is None else _order(movement)

    async def _ask(self, path: str, model: type[Told], params: dict[str, str]) -> Told | None:
        try:
            return await self._client.get(path, model, params=params)
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
        )
    except (expat.ExpatError, KeyError, ValueError) as error:
        raise RailSilent(f"the CEP cannot be read: {error}") from error


def _order(movement: _Movement) -> RailOrder:
    return RailOrder(
        clave=movement.clave,
        beneficiary_clabe=movement.beneficiary_clabe,
        amount=_money(movement.amount, movement.currency),
        status=movement.status,
        reason=movement.reason,
    )


def _money(amount: str, currency: str) -> Money:
    try:
        return Money.parse(amount, currency)
    except ValueError as error:
        raise RailSilent(f"the rail names an amount that is none: {error}") from error


def _clave(withdrawal: Withdrawal) -> str:
    if withdrawal.clave is None:
        raise ValueError(f"withdrawal {withdrawal.id} has no clave yet: persist it before the rail is asked")
    return withdrawal.clave
