"""Holding stakes: what is asked for while one request to the ledger is under way goes with the next."""

from collections.abc import Sequence

from common.telemetry.traces import traceparent

from betting.domain.offers import Offer
from betting.ledger import Holds, Wanted
from betting.service.batching import Batcher


class Holding:
    """Gathers holds of all markets. Two requests are under way at a time: one waits for the ledger's disk while the
    other is read and written."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._lanes: tuple[Batcher[Wanted, None], ...] = tuple(
            Batcher("holds", self._commit) for _ in range(2)
        )

    async def hold(self, offer: Offer, currency: str) -> None:
        """Hold the offer's stake; asking again is harmless.

        Raises HoldRefused (or a subclass) for an answer that is final, OfferPending if it is not known, Overloaded.
        """
        lane = min(self._lanes, key=lambda each: each.length)
        await lane.submit(Wanted(offer, currency, traceparent()))

    async def drained(self) -> None:
        for lane in self._lanes:
            await lane.drained()

    async def _commit(self, wanted: Sequence[Wanted]) -> Sequence[Exception | None]:
        return await self._holds.place(wanted)
