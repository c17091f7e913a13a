"""Holding stakes: what is asked for while one request to the ledger is under way goes with the next."""

from collections.abc import Sequence

from common.telemetry.traces import traceparent

from betting.domain.offers import Offer
from betting.ledger import Holds, Wanted
from betting.service.batching import Batcher


class Holding:
    """Gathers holds of all markets, one request at a time: the ledger commits groups too, and one group costs less than
    two halves."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._wanted: Batcher[Wanted, None] = Batcher("holds", self._commit)

    async def hold(self, offer: Offer, currency: str) -> None:
        """Hold the offer's stake; asking again is harmless.

        Raises HoldRefused (or a subclass) for an answer that is final, OfferPending if it is not known, Overloaded.
        """
        await self._wanted.submit(Wanted(offer, currency, traceparent()))

    async def drained(self) -> None:
        await self._wanted.drained()

    async def _commit(self, wanted: Sequence[Wanted]) -> Sequence[Exception | None]:
        return await self._holds.place(wanted)
