"""The card provider as we meet it. Whatever is not a clear answer raises `RailSilent`: what we asked for may
have happened or not. Only its own "I know no such thing" is None.

What a request is answered with is not believed: whoever sends asks afterwards by our key, and that is what counts.
"""

from datetime import datetime
from typing import Final, TypeVar

from common.client import RemoteProblem, ServiceClient, Unreachable
from common.wire import Moment
from pydantic import BaseModel, ConfigDict, ValidationError

from payments.domain.cards import CardPayment, Operation, Standing, Told
from payments.rail import NOT_FOUND, RailSilent


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Object(_Answer):
    id: str
    key: str
    act: str
    parent: str | None = None
    amount: str
    currency: str
    status: Standing
    reason: str | None = None
    expires_at: Moment | None = None


class ReportLine(_Answer):
    """What the provider's own books say of an object: the second source. `amount` is signed, in favour of us."""

    id: str
    act: str
    amount: str
    currency: str
    occurred_at: Moment


class _Payouts(_Answer):
    names: tuple[str, ...]


class _Disputes(_Answer):
    ids: tuple[str, ...]


class _Wish(BaseModel):
    key: str
    act: str
    amount: str
    currency: str
    card_token: str | None
    parent: str | None


Model = TypeVar("Model", bound=_Answer)

MAX_FILE_CHARACTERS: Final = 1_000_000


class CardProvider:
    """The provider over HTTP. `name` is how the ledger's accounts and the receipts call it."""

    def __init__(self, name: str, client: ServiceClient) -> None:
        self.name = name
        self._client = client

    async def send(self, operation: Operation, payment: CardPayment) -> None:
        """Ask for an operation under our own key, once: it is never repeated here. Raises `RailSilent`.

        The key goes as a plain header, because a client that knows of an idempotency key repeats by itself.
        """
        wish = _Wish(
            key=str(operation.id),
            act=operation.act,
            amount=str(operation.amount),
            currency=operation.amount.currency,
            card_token=payment.card_token if payment.psp_id is None else None,
            parent=payment.psp_id,
        )
        try:
            await self._client.post(
                "/v1/operations", wish, _Object, headers={"Idempotency-Key": str(operation.id)}
            )
        except (RemoteProblem, Unreachable) as error:
            raise RailSilent(str(error)) from error

    async def find(self, operation: Operation) -> Told | None:
        """What the provider knows under our key. Raises `RailSilent`."""
        return await self._object("/v1/operations", {"key": str(operation.id)})

    async def fetch(self, psp_id: str) -> Told | None:
        """An object by the provider's id. Raises `RailSilent`."""
        return await self._object(f"/v1/operations/{psp_id}", {})

    async def report(self, psp_id: str) -> ReportLine | None:
        """What the provider's own books say of an object. Raises `RailSilent`."""
        return await self._get(f"/v1/report/{psp_id}", ReportLine, {})

    async def payouts(self) -> tuple[str, ...]:
        """The names of all settlement files. Raises `RailSilent`."""
        found = await self._get("/v1/payouts", _Payouts, {})
        return found.names if found else ()

    async def payout(self, name: str) -> str | None:
        """A settlement file. Raises `RailSilent`."""
        try:
            raw = (await self._client.send("GET", f"/v1/payouts/{name}")).body
            text = raw.decode()
        except RemoteProblem as problem:
            if problem.status == NOT_FOUND:
                return None
            raise RailSilent(str(problem)) from problem
        except (Unreachable, UnicodeDecodeError) as error:
            raise RailSilent(str(error)) from error
        if len(text) > MAX_FILE_CHARACTERS or "\0" in text:
            raise RailSilent("the settlement file is too long, or no text")
        return text

    async def disputes(self, since: datetime, until: datetime, after: str) -> tuple[str, ...]:
        """The ids of the disputes that were opened or ended between these moments, a page in order of their ids, from after
        that one; empty after the last. Raises `RailSilent`."""
        params = {"since": since.isoformat(), "until": until.isoformat(), "after": after}
        found = await self._get("/v1/disputes", _Disputes, params)
        return found.ids if found else ()

    async def _object(self, path: str, params: dict[str, str]) -> Told | None:
        found = await self._get(path, _Object, params)
        return None if found is None else _told(found)

    async def _get(self, path: str, model: type[Model], params: dict[str, str]) -> Model | None:
        try:
            return await self._client.get(path, model, params=params)
        except RemoteProblem as problem:
            if problem.status == NOT_FOUND:
                return None
            raise RailSilent(str(problem)) from problem
        except Unreachable as error:
            raise RailSilent(error.detail) from error


class WebhookHint(_Answer):
    """What a webhook names. Nothing else in it is read: the object is fetched."""

    class _Data(_Answer):
        id: str

    type: str
    data: _Data


def read_hint(raw: bytes) -> str | None:
    """The id of the object a webhook is about; None for one that names none."""
    try:
        return WebhookHint.model_validate_json(raw).data.id[:128]
    except ValidationError:
        return None


def _told(found: _Object) -> Told:
    expires: datetime | None = found.expires_at
    return Told(
        psp_id=found.id,
        key=found.key,
        act=found.act,
        parent=found.parent,
        amount=found.amount,
        currency=found.currency,
        standing=found.status,
        reason=found.reason,
        expires_at=expires,
    )
