"""What payments' handlers share: pages, ids, amounts, and who is asking."""

from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.errors import Invalid, NotFound, Unauthenticated
from common.http import PRINCIPAL
from common.money import Money
from common.wire import money_in
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from payments.cursors import read_cursor
from payments.domain import refusals
from payments.domain.accounts import PlayerId
from payments.domain.cases import Clerk
from payments.domain.deposits import CURRENCY, LIMIT
from payments.store.pages import Place

Name = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=120)]


class PageQuery(BaseModel):
    """A page of a list. `after` is the `next` of the page before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Annotated[str, StringConstraints(max_length=200)] | None = None
    limit: int = Field(default=50, ge=1, le=200)

    @property
    def place(self) -> Place | None:
        return None if self.after is None else read_cursor(self.after)


def player_of(request: web.Request) -> PlayerId:
    return PlayerId(UUID(request[PRINCIPAL].subject))


def person_of(request: web.Request) -> str:
    """The employee who is asking, for the history."""
    return request[PRINCIPAL].subject


def clerk_of(request: web.Request) -> Clerk:
    """The employee who is asking, with what their session stands on. Raises `Unauthenticated` for a token that does not say."""
    proof = request[PRINCIPAL].proof
    if proof is None:
        raise Unauthenticated("the token does not say what its session stands on", field="Authorization")
    return Clerk(person_of(request), proof)


def pesos(amount: str, currency: str) -> Money:
    """Raises `InvalidCurrency` for anything but pesos, `Invalid` for an amount that is none or beyond all that is moved."""
    if currency != CURRENCY:
        raise refusals.InvalidCurrency(f"only {CURRENCY} is moved here", field="currency")
    money = money_in(amount, currency)
    if money.amount >= LIMIT:
        raise Invalid(f"an amount is less than {LIMIT}", field="amount")
    return money


def id_in(request: web.Request, otherwise: NotFound) -> UUID:
    """The id in the path; what is none is simply not found."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise otherwise from None
