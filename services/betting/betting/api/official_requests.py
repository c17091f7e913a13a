"""What officials send, and its way into the domain's words."""

from itertools import pairwise
from typing import Annotated, Literal
from uuid import UUID

from common.errors import Invalid
from common.http import Body
from common.wire import AmountText, Day, Moment, money_in
from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from betting.api.requests import Name, Sha256Hex, ShortName
from betting.domain.ids import RunnerId, StableId
from betting.domain.margins import Margin
from betting.domain.markets import (
    DEFAULT_MAX_STAKE,
    DEFAULT_MIN_STAKE,
    MAX_COMMISSION_BPS,
    CloseRule,
    MarketKind,
    TieRule,
)
from betting.domain.results import Declaration
from betting.domain.withholding import ApprovalStatus, TaxRate
from betting.service.programme import WantedEvent, WantedMarket, WantedRace
from betting.service.registry import WantedCarril, WantedPermit
from betting.store.suspensions import Scope

StateCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Reasoned = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
MOST_CARD_CHARACTERS = 200_000
LARGEST_BOUND = 10**14
"""In minor units: a book of such stakes still adds up in an amount of the database's."""


class CarrilRequest(Body):
    """A straight track, and the words its judges use for margins, from the least on."""

    name: Name
    state: StateCode
    length_m: Annotated[int, Field(ge=50, le=2000)]
    margins: Annotated[tuple[Margin, ...], Field(min_length=1, max_length=20)] = tuple(Margin)

    @field_validator("margins")
    @classmethod
    def _rise(cls, margins: tuple[Margin, ...]) -> tuple[Margin, ...]:
        if any(one.rank >= other.rank for one, other in pairwise(margins)):
            raise ValueError("margins are named once each, from the least on")
        return margins

    def to_domain(self) -> WantedCarril:
        return WantedCarril(self.name, self.state, self.length_m, self.margins)


class PermitRequest(Body):
    """An authority's leave to hold races at a venue, both days included."""

    number: ShortName
    venue: Name
    issuer: Name
    valid_from: Day
    valid_to: Day

    @field_validator("valid_to")
    @classmethod
    def _in_order(cls, valid_to: Day, info: ValidationInfo) -> Day:
        if valid_to < info.data.get("valid_from", valid_to):
            raise ValueError("valid_to must not be before valid_from")
        return valid_to

    def to_domain(self) -> WantedPermit:
        return WantedPermit(self.number, self.venue, self.issuer, self.valid_from, self.valid_to)


class StableRequest(Body):
    """A stable (*cuadra*)."""

    name: Name


class MemberRequest(Body):
    """Somebody of a stable: never matched with another of it, and bets only on its horses where they run."""

    user_id: UUID
    part: Literal["OWNER", "TRAINER", "JOCKEY", "GROOM"]


class AppointmentRequest(Body):
    """An official of an event does not bet there."""

    official_id: UUID


class RateRequest(Body):
    """What the law of a state withholds of a bettor's profit in a market, from a day on."""

    state: StateCode
    valid_from: Day
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
    bps: Annotated[int, Field(ge=0, le=5000)]
    reason: Reason

    def to_domain(self) -> TaxRate:
        return TaxRate(self.state, self.valid_from, self.name, self.bps)


class RateApprovalsQuery(Body):
    status: ApprovalStatus = ApprovalStatus.OPEN


class EventRequest(Body):
    """A day of races at one venue, under the permit it is held with. Write `starts_at` in the venue's own offset: its
    date is the event's day. With `carril_id` the venue and its state are the carril's."""

    name: Name
    venue: Name
    permit: ShortName
    starts_at: Moment
    state: StateCode = "SIN"
    carril_id: UUID | None = None
    objection_seconds: Annotated[
        int, Field(ge=0, le=86_400, description="How long a confirmed result may be objected to.")
    ] = 600

    def to_domain(self) -> WantedEvent:
        return WantedEvent(
            self.name,
            self.venue,
            self.permit,
            self.starts_at,
            self.state,
            self.carril_id,
            self.objection_seconds,
        )


class RaceRequest(Body):
    """A race. In a match race the first horse is its market's side A."""

    number: Annotated[int, Field(ge=1, le=100)]
    distance_m: Annotated[int, Field(ge=50, le=2000)]
    horses: Annotated[
        tuple[ShortName, ...], Field(min_length=2, max_length=20, examples=[["El Moro", "La Chula"]])
    ]
    starts_at: Moment
    conditions: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] | None
    ) = None
    stables: tuple[UUID | None, ...] = ()

    @field_validator("stables")
    @classmethod
    def _a_stable_each(
        cls, stables: tuple[UUID | None, ...], info: ValidationInfo
    ) -> tuple[UUID | None, ...]:
        if stables and len(stables) != len(info.data.get("horses", stables)):
            raise ValueError("stables names one (or null) for each horse")
        return stables

    def to_domain(self) -> WantedRace:
        stables = tuple(None if stable is None else StableId(stable) for stable in self.stables)
        return WantedRace(self.number, self.distance_m, self.horses, self.starts_at, self.conditions, stables)


class CardRequest(Body):
    """A race card as a CSV file: a header `number,distance_m,starts_at,horses,stables,conditions`, horses and stables
    separated by "|". It is imported whole or not at all."""

    content: Annotated[str, StringConstraints(min_length=1, max_length=MOST_CARD_CHARACTERS)]


class RunnerStableRequest(Body):
    """The stable a horse runs for."""

    stable_id: UUID


class MarketRequest(Body):
    """The terms of a market; fixed and shown from its opening on.

    `runners` names the two it is about and may be left out in a match race. VENTAJA: `giver` wins only by more than
    `line`; exactly the line is a push.
    """

    commission_bps: Annotated[
        int, Field(ge=0, le=MAX_COMMISSION_BPS, description="Of a bettor's net profit in the market.")
    ]
    tie_rule: TieRule
    currency: Literal["MXN"] = "MXN"
    min_stake: AmountText | None = None
    max_stake: AmountText | None = None
    max_exposure: AmountText | None = None
    kind: MarketKind = MarketKind.GANA
    runners: Annotated[tuple[UUID, ...], Field(min_length=2, max_length=2)] | None = None
    giver: UUID | None = None
    line: Margin | None = None
    close_rule: CloseRule = CloseRule.GATE
    draft: bool = False

    def to_domain(self) -> WantedMarket:
        """Raises Invalid."""
        max_stake = self._bound(self.max_stake, "max_stake", DEFAULT_MAX_STAKE)
        return WantedMarket(
            currency=self.currency,
            commission_bps=self.commission_bps,
            tie_rule=self.tie_rule,
            min_stake=self._bound(self.min_stake, "min_stake", DEFAULT_MIN_STAKE),
            max_stake=max_stake,
            max_exposure=self._bound(self.max_exposure, "max_exposure", min(10 * max_stake, LARGEST_BOUND)),
            kind=self.kind,
            runners=None if self.runners is None else (RunnerId(self.runners[0]), RunnerId(self.runners[1])),
            giver=None if self.giver is None else RunnerId(self.giver),
            line=self.line,
            close_rule=self.close_rule,
            draft=self.draft,
        )

    def _bound(self, amount: str | None, field: str, default: int) -> int:
        """Raises Invalid."""
        bound = default if amount is None else money_in(amount, self.currency, field=field).minor
        if bound > LARGEST_BOUND:
            raise Invalid("no market takes that much", field=field)
        return bound


class ResultRequest(Body):
    """What one official saw. `winner` and `margin` are null for a dead heat of the first. `places` has the runners in
    the order they came in, those that came in together in one group; a match race needs none."""

    winner: UUID | None
    margin: Margin | None = None
    off_time: Moment
    photo_sha256: Sha256Hex
    places: Annotated[
        tuple[Annotated[tuple[UUID, ...], Field(max_length=20)], ...], Field(max_length=20)
    ] = ()

    def to_domain(self) -> Declaration:
        """Raises ResultInvalid."""
        return Declaration(
            winner=None if self.winner is None else RunnerId(self.winner),
            margin=self.margin,
            off_time=self.off_time,
            photo_sha256=bytes.fromhex(self.photo_sha256),
            places=tuple(tuple(RunnerId(runner) for runner in group) for group in self.places),
        )


class RulingRequest(ResultRequest):
    """A result with the reasons for it."""

    reason: Reasoned


class ReasonRequest(Body):
    """Why; shown to everyone."""

    reason: Reason


class PostponeRequest(ReasonRequest):
    """When the race is to start now. Past the event's day its markets are void."""

    starts_at: Moment


class SuspensionRequest(ReasonRequest):
    """What is suspended: everything, an event, a market or a person."""

    scope: Scope
    subject: Annotated[UUID | None, Field(validate_default=True)] = None

    @field_validator("subject")
    @classmethod
    def _names_its_subject(cls, subject: UUID | None, info: ValidationInfo) -> UUID | None:
        if "scope" in info.data and (info.data["scope"] is Scope.GLOBAL) != (subject is None):
            raise ValueError("subject is given unless the scope is GLOBAL")
        return subject
