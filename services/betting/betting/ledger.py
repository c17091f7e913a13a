"""The ledger's HTTP door: for the one booking a bettor waits for, the hold, many bettors' in one request; and for what
may be refused, the repayment of a debt; and what its books say of a market that was stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar
from uuid import UUID

from common.client import RemoteProblem, Reply, ServiceClient, Unreachable
from common.money import Money
from contracts.ledger import EntryView
from contracts.ledger_batches import BatchRequest
from pydantic import BaseModel, ConfigDict

from betting import bookings
from betting.domain.agreement import Held, LedgerBooks
from betting.domain.errors import (
    AccountClosed,
    HoldRefused,
    InsufficientFunds,
    LimitExceeded,
    OfferPending,
    PlayerBlocked,
)
from betting.domain.ids import MarketId, Minor, UserId
from betting.domain.offers import Offer
from betting.store.people import Debt

_REFUSALS: Final[Mapping[str, type[HoldRefused]]] = {
    "insufficient-funds": InsufficientFunds,
    "account-closed": AccountClosed,
    "limit-exceeded": LimitExceeded,
    "player-blocked": PlayerBlocked,
    "unknown-account": HoldRefused,
    "unknown-kind": HoldRefused,
    "kind-not-permitted": HoldRefused,
    "template-violation": HoldRefused,
    "unbalanced-entry": HoldRefused,
    "balance-too-large": HoldRefused,
    "wrong-currency": HoldRefused,
}
"""The ledger's lasting answers: it stores each under the command's key, so no hold exists and none ever will."""

HOLDS_A_PAGE: Final = 500
Page = TypeVar("Page", bound=BaseModel)

_FAULTY: Final = frozenset((400, 413, 422))
"""Statuses by which a whole request is refused for what is in it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A hold to ask for. `trace` is of whoever asks."""

    offer: Offer
    currency: str
    trace: str | None = None


class Holds:
    """Sets stakes aside in the ledger."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def place(self, wanted: Sequence[Wanted]) -> Sequence[HoldRefused | OfferPending | None]:
        """Hold each offer's stake, independently of the others; None where it is held.

        Asking again is harmless: each hold's key is the offer's own. HoldRefused (or a subclass) only for an answer
        that is final. Anything else, silence or an answer that says nothing about an earlier attempt, is
        OfferPending: whoever asks again will know.
        """
        try:
            reply = await self._client.send(
                "POST", "/v1/entries/batch", body=_body(wanted), harmless_to_repeat=True
            )
            return _results(wanted, reply)
        except Unreachable as silence:
            return [_because(pending(each.offer), silence) for each in wanted]
        except RemoteProblem as problem:
            # One of them is to blame, and only it shall suffer.
            if problem.status in _FAULTY and len(wanted) > 1:
                return [(await self.place((each,)))[0] for each in wanted]
            return [_because(pending(each.offer), problem) for each in wanted]


@dataclass(frozen=True, slots=True)
class Purse:
    """What a player can dispose of, after that many postings."""

    amount: Minor
    sequence: int


class _Balance(BaseModel):
    model_config = ConfigDict(extra="ignore")

    balance: str
    sequence: int


class Purses:
    """What players have, as far as it is to be taken for what they owe."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def available(self, user: UserId, currency: str) -> Purse:
        """Raises RemoteProblem, Unreachable."""
        found = await self._client.get(
            "/v1/balance", _Balance, params={"account": f"players/{user}/available", "currency": currency}
        )
        return Purse(Money.parse(found.balance, currency).minor, found.sequence)

    async def repay(self, debt: Debt, amount: Minor, *, seen: int) -> None:
        """Repay so much of a debt, once for what both accounts had seen. Raises RemoteProblem, Unreachable."""
        key = f"repay:{debt.user_id}:{debt.currency}:{debt.sequence}:{seen}"
        await self._client.post(
            "/v1/entries",
            bookings.repayment(debt.user_id, amount, debt.currency),
            EntryView,
            idempotency_key=key,
        )


class MarketBooks:
    """What the ledger has in its books of one market."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def of(self, market: MarketId, currency: str) -> LedgerBooks:
        """As they are now, and not as some cache remembers them. Raises Unreachable."""
        escrow = bookings.escrow(market)
        accounts = await self._page("/v1/accounts", _Accounts, {"prefix": escrow})
        there = {each.account: each.balance for each in accounts.accounts} if accounts else {}
        holds: dict[UUID, Held] = {}
        wanted = {"reference": bookings.reference(market), "currency": currency, "limit": str(HOLDS_A_PAGE)}
        page = await self._page("/v1/holds", _HoldsPage, wanted)
        while page is not None:
            holds |= {hold.id: hold.read(currency) for hold in page.holds}
            if page.next is None:
                break
            page = await self._page("/v1/holds", _HoldsPage, {**wanted, "after": page.next})
        return LedgerBooks(Money.parse(there.get(escrow, "0.00"), currency).minor, holds)

    async def _page(self, path: str, returns: type[Page], params: Mapping[str, str]) -> Page | None:
        """None where the ledger knows nothing of the kind yet."""
        try:
            return await self._client.get(path, returns, params=params)
        except RemoteProblem as problem:
            if problem.status == HTTPStatus.NOT_FOUND:
                return None
            raise Unreachable("the ledger does not show its books", retry_after=1) from problem


class _Account(BaseModel):
    model_config = ConfigDict(extra="ignore")

    account: str
    balance: str


class _Accounts(BaseModel):
    model_config = ConfigDict(extra="ignore")

    accounts: tuple[_Account, ...]


class _Hold(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: UUID
    account: str
    remaining: str
    captured: str

    def read(self, currency: str) -> Held:
        player = UserId(UUID(self.account.removeprefix("players/").removesuffix("/held")))
        return Held(
            player, Money.parse(self.remaining, currency).minor, Money.parse(self.captured, currency).minor
        )


class _HoldsPage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    holds: tuple[_Hold, ...]
    next: str | None


def pending(offer: Offer) -> OfferPending:
    return OfferPending(
        "the stake's hold is not confirmed yet; ask again with the same key",
        extra={"offer": str(offer.id)},
        retry_after=1,
    )


class _Problem(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    detail: str


class _Result(BaseModel):
    """What is read of an `EntryResult`: the entry itself comes as an event."""

    model_config = ConfigDict(extra="ignore")

    idempotency_key: str
    status: int
    problem: _Problem | None = None


class _Results(BaseModel):
    model_config = ConfigDict(extra="ignore")

    groups: tuple[tuple[_Result, ...], ...]


def _body(wanted: Sequence[Wanted]) -> bytes:
    holds = tuple((bookings.hold(each.offer, each.currency, trace=each.trace),) for each in wanted)
    # Built without validating again what every entry was validated for.
    return BatchRequest.model_construct(groups=holds).model_dump_json(exclude_none=True).encode()


def _results(wanted: Sequence[Wanted], reply: Reply) -> list[HoldRefused | OfferPending | None]:
    """Raises Unreachable for an answer to something else."""
    told = [result for group in reply.read(_Results).groups for result in group]
    if [each.idempotency_key for each in told] != [bookings.hold_key(each.offer.id) for each in wanted]:
        raise Unreachable("the answer does not make sense")
    return [_result(each.offer, result) for each, result in zip(wanted, told, strict=True)]


def _result(offer: Offer, told: _Result) -> HoldRefused | OfferPending | None:
    if told.problem is None and told.status < 400:
        return None
    slug = "" if told.problem is None else told.problem.type.removeprefix("/problems/")
    refusal = _REFUSALS.get(slug)
    if refusal is None or told.problem is None:
        return pending(offer)
    return refusal(told.problem.detail, extra={"offer": str(offer.id), "reason": slug})


def _because(answer: OfferPending, cause: Exception) -> OfferPending:
    answer.__cause__ = cause
    return answer
