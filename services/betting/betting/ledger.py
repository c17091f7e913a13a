"""The ledger's HTTP door, for the one booking a bettor waits for: the hold."""

from collections.abc import Mapping
from typing import Final

from common.client import RemoteProblem, ServiceClient, Unreachable
from contracts.ledger import EntryView

from betting import bookings
from betting.domain.errors import (
    AccountClosed,
    HoldRefused,
    InsufficientFunds,
    LimitExceeded,
    OfferPending,
    PlayerBlocked,
)
from betting.domain.offers import Offer

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
    "wrong-currency": HoldRefused,
}
"""The ledger's lasting answers: it stores each under the command's key, so no hold exists and none ever will."""


class Holds:
    """Sets stakes aside in the ledger."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def place(self, offer: Offer, currency: str) -> None:
        """Hold the offer's stake. Asking again is harmless: the key is the offer's own.

        Raises HoldRefused (or a subclass) only for an answer that is final. Anything else, silence or an answer
        that says nothing about an earlier attempt, is OfferPending: whoever asks again will know.
        """
        try:
            await self._client.post(
                "/v1/entries",
                bookings.hold(offer, currency),
                EntryView,
                idempotency_key=bookings.hold_key(offer.id),
            )
        except Unreachable as silence:
            raise pending(offer) from silence
        except RemoteProblem as problem:
            refusal = _REFUSALS.get(problem.slug)
            if refusal is None:
                raise pending(offer) from problem
            raise refusal(problem.detail, extra={"offer": str(offer.id), "reason": problem.slug}) from problem


def pending(offer: Offer) -> OfferPending:
    return OfferPending(
        "the stake's hold is not confirmed yet; ask again with the same key",
        extra={"offer": str(offer.id)},
        retry_after=1,
    )
