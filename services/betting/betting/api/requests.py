"""What clients send, and its way into the domain's words."""

from base64 import urlsafe_b64decode
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from common.errors import Invalid
from common.http import Body
from common.wire import AmountText, CurrencyText, money_in
from pydantic import AwareDatetime, Field, StringConstraints

from betting.domain.ids import MarketId, RunnerId
from betting.domain.markets import DEFAULT_MAX_STAKE, DEFAULT_MIN_STAKE, MAX_COMMISSION_BPS, TieRule
from betting.domain.races import Declaration, Margin
from betting.domain.ratios import Ratio
from betting.service.placing import WantedOffer
from betting.service.programme import WantedEvent, WantedMarket, WantedRace
from betting.service.reading import Page
from betting.store.reading import Position

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
ShortName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

LONGEST_PAGE = 100


class EventRequest(Body):
    """A day of races at one venue, under the permit it is held with."""

    name: Name
    venue: Name
    permit: ShortName
    starts_at: AwareDatetime

    def to_domain(self) -> WantedEvent:
        return WantedEvent(self.name, self.venue, self.permit, self.starts_at)


class RaceRequest(Body):
    """A match race. The first horse is the market's side A."""

    number: Annotated[int, Field(ge=1, le=100)]
    distance_m: Annotated[int, Field(ge=50, le=2000)]
    horses: Annotated[
        tuple[ShortName, ...], Field(min_length=2, max_length=2, examples=[["El Moro", "La Chula"]])
    ]
    starts_at: AwareDatetime

    def to_domain(self) -> WantedRace:
        return WantedRace(self.number, self.distance_m, self.horses, self.starts_at)


class MarketRequest(Body):
    """The terms of a market; fixed and shown from its opening on."""

    commission_bps: Annotated[
        int, Field(ge=0, le=MAX_COMMISSION_BPS, description="Of a bettor's net profit in the market.")
    ]
    tie_rule: TieRule
    currency: Literal["MXN"] = "MXN"
    min_stake: AmountText | None = None
    max_stake: AmountText | None = None

    def to_domain(self) -> WantedMarket:
        return WantedMarket(
            currency=self.currency,
            commission_bps=self.commission_bps,
            tie_rule=self.tie_rule,
            min_stake=self._bound(self.min_stake, "min_stake", DEFAULT_MIN_STAKE),
            max_stake=self._bound(self.max_stake, "max_stake", DEFAULT_MAX_STAKE),
        )

    def _bound(self, amount: str | None, field: str, default: int) -> int:
        return default if amount is None else money_in(amount, self.currency, field=field).minor


class OfferRequest(Body):
    """Risk `stake` on a runner at risk:win, in the market as it was seen. "100 a 80" is 5:4."""

    market_id: UUID
    market_version: Annotated[int, Field(ge=1)]
    runner_id: UUID
    risk: Annotated[int, Field(ge=1, le=20, examples=[5])]
    win: Annotated[int, Field(ge=1, le=20, examples=[4])]
    stake: AmountText
    currency: CurrencyText
    terms_hash: Sha256Hex | None = None

    def to_domain(self) -> WantedOffer:
        """Raises RatioOffLadder, Invalid."""
        return WantedOffer(
            market_id=MarketId(self.market_id),
            market_version=self.market_version,
            terms_hash=None if self.terms_hash is None else bytes.fromhex(self.terms_hash),
            runner_id=RunnerId(self.runner_id),
            ratio=Ratio.on_ladder(self.risk, self.win),
            stake=money_in(self.stake, self.currency, field="stake").minor,
            currency=self.currency,
        )


class ResultRequest(Body):
    """What one official saw. `winner` and `margin` are null for a dead heat."""

    winner: UUID | None
    margin: Margin | None = None
    off_time: AwareDatetime
    photo_sha256: Sha256Hex

    def to_domain(self) -> Declaration:
        """Raises ResultInvalid."""
        return Declaration(
            winner=None if self.winner is None else RunnerId(self.winner),
            margin=self.margin,
            off_time=self.off_time,
            photo_sha256=bytes.fromhex(self.photo_sha256),
        )


class ScratchRequest(Body):
    """Why a race is not run; shown to everyone."""

    reason: Name


class PageQuery(Body):
    """One page of a list; `after` is the `next` of the page before."""

    after: Annotated[str, Field(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=LONGEST_PAGE)] = 50

    def page(self) -> Page:
        """Raises Invalid for a cursor that is none of ours."""
        return Page(None if self.after is None else _position(self.after), self.limit)


class OffersQuery(PageQuery):
    """Own offers, of one market if it is named."""

    market_id: UUID | None = None


def _position(cursor: str) -> Position:
    try:
        at, _, id = urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").partition(" ")
        position = Position(datetime.fromisoformat(at), UUID(id))
    except ValueError:
        raise Invalid("this is no page of ours", field="after") from None
    if position.at.tzinfo is None:
        raise Invalid("this is no page of ours", field="after")
    return position
