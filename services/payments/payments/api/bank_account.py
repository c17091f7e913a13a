"""The bank account in the ledger against the rail's own statement of it."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from aiohttp import web
from common.client import RemoteProblem, Unreachable
from common.errors import Unavailable
from common.http import Role, Route, View, read_query, reply
from common.wire import Moment
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from payments.domain.bank_account import Difference, Found
from payments.rail import RailSilent
from payments.service.bank_account import BankAccount, Reconciled

BANK_ACCOUNT: Final = web.AppKey("bank_account", BankAccount)


class NoStatement(Unavailable):
    """One of the two statements cannot be had now."""

    slug = "statement-unavailable"
    title = "A statement is not available"


class ReconciliationQuery(BaseModel):
    """From when to when. Leave out at the end what the ledger may still be booking."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Moment
    until: Moment

    @field_validator("until")
    @classmethod
    def _goes_forward(cls, until: datetime, before: ValidationInfo) -> datetime:
        if "since" in before.data and until <= before.data["since"]:
            raise ValueError("must come after `since`")
        return until


class DifferenceView(View):
    """Something that one side has and the other has not, or has otherwise. Amounts are signed: positive is money in."""

    difference: Difference
    key: str
    ledger: str
    rail: str
    at: datetime
    about: str

    @classmethod
    def of(cls, found: Found) -> "DifferenceView":
        return cls(
            difference=found.difference,
            key=found.key,
            ledger=_pesos(found.ours),
            rail=_pesos(found.theirs),
            at=found.at,
            about=found.about,
        )


class ReconciliationView(View):
    """`residual` is what the differences do not explain: anything but 0.00 is a defect of this report."""

    since: datetime
    until: datetime
    matched: int
    ledger: str
    rail: str
    residual: str
    by_other_means: dict[str, str]
    differences: tuple[DifferenceView, ...]

    @classmethod
    def of(cls, told: Reconciled) -> "ReconciliationView":
        return cls(
            since=told.since,
            until=told.until,
            matched=told.report.matched,
            ledger=_pesos(told.report.ours),
            rail=_pesos(told.report.theirs),
            residual=_pesos(told.report.residual),
            by_other_means={kind: _pesos(amount) for kind, amount in sorted(told.other_means.items())},
            differences=tuple(DifferenceView.of(each) for each in told.report.found),
        )


async def reconcile(request: web.Request) -> web.Response:
    """Compare our bank account in the ledger with the rail's statement of it, line by line."""
    asked = read_query(request, ReconciliationQuery)
    try:
        told = await request.app[BANK_ACCOUNT].reconcile(asked.since, asked.until)
    except (RailSilent, RemoteProblem, Unreachable) as silence:
        raise NoStatement(str(silence), retry_after=5) from silence
    return reply(ReconciliationView.of(told))


def _pesos(amount: Decimal) -> str:
    return f"{amount:.2f}"


ROUTES: Final = (
    Route("GET", "/v1/cashier/reconciliation", reconcile, query=ReconciliationQuery, returns=ReconciliationView,
          role=(Role.CASHIER, Role.AUDITOR), refusals=(NoStatement,)),
)  # fmt: skip
