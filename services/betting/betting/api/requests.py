"""What bettors send, and how pages are asked for; its way into the domain's words."""

import hashlib
from base64 import urlsafe_b64decode
from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.errors import Invalid
from common.http import Body
from common.wire import AmountText, CurrencyText, Moment, money_in
from pydantic import Field, StringConstraints, TypeAdapter

from betting.domain.ids import MarketId, OfferId, RunnerId, UserId
from betting.domain.offers import Options
from betting.domain.ratios import Ratio
from betting.service.desk import WantedOffer
from betting.service.reading import Page
from betting.store.reading import Position

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
ShortName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

LONGEST_PAGE = 100
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


class OfferRequest(Body):
    """Risk `stake` on a runner at risk:win, in the market as it was seen. "100 a 80" is 5:4.

    `fill_or_kill`: match it at once, wholly or not at all (with `min_fill`: at least that much, the rest ends).
    `min_fill` alone: at least that much at once, else nothing; the rest waits in the book. `expires_at`: what is not
    matched by then ends. `challenges`: only this person may take it, and it is not in the public book. `answers`: take
    that challenge. `repeat`: the same offer as a moment ago is meant.
    """

    market_id: UUID
    market_version: Annotated[int, Field(ge=1, lt=2**31)]
    runner_id: UUID
    risk: Annotated[int, Field(ge=1, le=20, examples=[5])]
    win: Annotated[int, Field(ge=1, le=20, examples=[4])]
    stake: AmountText
    currency: CurrencyText
    terms_hash: Sha256Hex | None = None
    fill_or_kill: bool = False
    min_fill: AmountText | None = None
    expires_at: Moment | None = None
    challenges: UUID | None = None
    answers: UUID | None = None
    repeat: bool = False

    def to_domain(self, session: str | None) -> WantedOffer:
        """`session` names the session it came in; only its fingerprint is kept. Raises RatioOffLadder, Invalid."""
        return WantedOffer(
            market_id=MarketId(self.market_id),
            market_version=self.market_version,
            terms_hash=None if self.terms_hash is None else bytes.fromhex(self.terms_hash),
            runner_id=RunnerId(self.runner_id),
            ratio=Ratio.on_ladder(self.risk, self.win),
            stake=money_in(self.stake, self.currency, field="stake").minor,
            currency=self.currency,
            options=Options(
                fill_or_kill=self.fill_or_kill,
                min_fill=None
                if self.min_fill is None
                else money_in(self.min_fill, self.currency, field="min_fill").minor,
                expires_at=self.expires_at,
                challenges=None if self.challenges is None else UserId(self.challenges),
                answers=None if self.answers is None else OfferId(self.answers),
            ),
            repeat=self.repeat,
            session=None if session is None else hashlib.sha256(session.encode()).hexdigest()[:32],
        )


class CancelAllRequest(Body):
    """Take back everything that rests, in one market if it is named."""

    market_id: UUID | None = None


class ReasonedRequest(Body):
    """The reasons, in full."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class PageQuery(Body):
    """One page of a list; `after` is the `next` of the page before."""

    after: Annotated[str, Field(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=LONGEST_PAGE)] = 50

    def page(self) -> Page:
        """Raises Invalid for a cursor that is none of ours."""
        return Page(None if self.after is None else _position(self.after), self.limit)


class OffersQuery(PageQuery):
    """Own offers, of one market if it is named; `open`: only those that have not ended."""

    market_id: UUID | None = None
    open: bool = False


class ChangesQuery(Body):
    """A market's history after a sequence number; 0 is the beginning."""

    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


def _position(cursor: str) -> Position:
    try:
        at, _, id = urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").partition(" ")
        return Position(_MOMENT.validate_python(datetime.fromisoformat(at)), UUID(id))
    except ValueError:
        raise Invalid("this is no page of ours", field="after") from None
