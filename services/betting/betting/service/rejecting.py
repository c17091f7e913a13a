"""Refused holds: offers that end before they took part. What is refused while one batch commits is the next.

Whoever bets what they have not got costs no more than whoever has it.
"""

from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass

from common.idempotency import Answer, finish_all
from common.outbox import announce_all
from common.pg import Pool, transaction

from betting.chronicle import rejected
from betting.domain.errors import HoldRefused, OfferPending
from betting.domain.offers import Ending, Offer, OfferStatus
from betting.ledger import pending
from betting.service.batching import Batcher
from betting.service.calls import Clock
from betting.store.exchange import ExchangeStore


@dataclass(frozen=True, slots=True)
class _Refused:
    """An offer, why its stake was not held, and the context (the trace) it was asked in."""

    offer: Offer
    refusal: HoldRefused
    context: Context


class Rejecting:
    """Ends offers of all markets whose holds were refused. Their markets are not concerned, and not locked."""

    def __init__(self, pool: Pool, *, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._refused: Batcher[_Refused, Answer] = Batcher("rejections", self._commit)

    async def reject(self, offer: Offer, refusal: HoldRefused) -> Answer:
        """End the offer, and store the answer under its key.

        Raises OfferPending if somebody else finished it, Overloaded, DatabaseUnavailable.
        """
        return await self._refused.submit(_Refused(offer, refusal, copy_context()))

    async def drained(self) -> None:
        await self._refused.drained()

    async def _commit(self, refused: Sequence[_Refused]) -> Sequence[Answer | OfferPending]:
        now = self._clock()
        async with transaction(self._pool) as conn:
            store = ExchangeStore(conn)
            waiting = await store.pending([each.offer.id for each in refused])
            ended, told, answers = [], [], []
            results: list[Answer | OfferPending] = []
            for each in refused:
                found = waiting.pop(each.offer.id, None)
                if found is None:  # finished by somebody else, who stored the answer
                    results.append(pending(each.offer))
                    continue
                offer, key = found
                answer = Answer.refusing(each.refusal)
                ended.append(offer.ended(OfferStatus.REJECTED, Ending.HOLD_REFUSED))
                told.append(each.context.run(rejected, offer, each.refusal.detail, now))
                answers.append((str(offer.user_id), key, answer))
                results.append(answer)
            if ended:
                await store.reject(ended, now=now)
                await announce_all(conn, told)
                await finish_all(conn, answers)
        return results
