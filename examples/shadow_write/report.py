"""The consistency report: do the books and the ledger say the same?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal

from common.client import RemoteProblem, ServiceClient
from contracts.ledger import EntryView
from pydantic import BaseModel, ConfigDict

from examples.shadow_write.books import Books
from examples.shadow_write.shadow import CURRENCY, Shadow, account, entry


class _Balance(BaseModel):
    model_config = ConfigDict(extra="ignore")

    account: str
    currency: str
    balance: Decimal


class _Accounts(BaseModel):
    model_config = ConfigDict(extra="ignore")

    accounts: tuple[_Balance, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared, and every difference in words."""

    accounts: int
    payments: int
    waiting: int
    drift: tuple[str, ...]

    def __str__(self) -> str:
        found = "zero drift" if not self.drift else f"{len(self.drift)} differences"
        head = f"{self.accounts} accounts, {self.payments} payments, {self.waiting} changes waiting: {found}"
        return "\n".join((head, *self.drift))


async def compare(books: Books, shadow: Shadow, ledger: ServiceClient) -> Report:
    """Compare every account's balance and every payment's entry. Run it while nobody writes, or when nothing waits."""
    own = {account(name): balance for name, balance in books.balances().items()}
    theirs = {each.account: each.balance async for each in _balances(ledger)}
    drift = [
        f"{path}: the books say {own.get(path, Decimal(0))}, the ledger {theirs.get(path, Decimal(0))}"
        for path in sorted(own.keys() | theirs.keys())
        if own.get(path, Decimal(0)) != theirs.get(path, Decimal(0))
    ]
    payments = list(books.payments())
    for id, _, payment in payments:
        standing = shadow.standing(id)
        if standing is None:
            drift.append(f"payment {id}: the ledger has no entry")
            continue
        posted = await ledger.get(f"/v1/entries/{standing}", EntryView)
        wanted = entry(id, payment)
        if [(leg.account, leg.side, leg.amount) for leg in posted.postings] != [
            (leg.account, leg.side, leg.amount) for leg in wanted.postings
        ]:
            drift.append(f"payment {id}: entry {standing} says something else")
    drift += [f"payment {id}: refused, {why}" for id, why in shadow.refused()]
    waiting = sum(1 for _ in _waiting(books, shadow))
    return Report(len(own.keys() | theirs.keys()), len(payments), waiting, tuple(drift))


def _waiting(books: Books, shadow: Shadow) -> Iterator[int]:
    after = shadow.position
    while changes := books.changes(after):
        yield from (change.number for change in changes)
        after = changes[-1].number


async def _balances(ledger: ServiceClient) -> AsyncIterator[_Balance]:
    """Every account of the team's, a page at a time."""
    after: str | None = None
    while True:
        asked = {"prefix": account(""), "limit": "500"} | ({"after": after} if after else {})
        try:
            page = await ledger.get("/v1/accounts", _Accounts, params=asked)
        except RemoteProblem as problem:
            if problem.status == 404:  # nothing was ever posted
                return
            raise
        for each in page.accounts:
            if each.currency == CURRENCY:
                yield each
        if page.next is None:
            return
        after = page.next
