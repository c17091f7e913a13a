"""Handlers that read, call and reply, and the routes as data."""

from uuid import UUID

from aiohttp import web
from common.errors import Forbidden, Invalid
from common.http import IDEMPOTENCY_KEY, PRINCIPAL, Role, Route, read, read_query, reply
from common.idempotency import Answer, KeyInFlight, KeyReused, fingerprint
from pydantic import BaseModel

from betting.api.requests import (
    EventRequest,
    MarketRequest,
    OfferRequest,
    OffersQuery,
    PageQuery,
    RaceRequest,
    ResultRequest,
    ScratchRequest,
)
from betting.api.views import (
    BetPage,
    BookView,
    CancelView,
    CardView,
    EventPage,
    EventView,
    MarketView,
    OfferPage,
    OfferView,
    RaceView,
)
from betting.domain import errors
from betting.domain.ids import EventId, MarketId, OfferId, RaceId, UserId
from betting.service.calls import Call
from betting.service.officiating import Officiating
from betting.service.placing import Placing
from betting.service.programme import Programme
from betting.service.reading import Reading
from betting.service.trading import Trading

PROGRAMME = web.AppKey("programme", Programme)
PLACING = web.AppKey("placing", Placing)
TRADING = web.AppKey("trading", Trading)
OFFICIATING = web.AppKey("officiating", Officiating)
READING = web.AppKey("reading", Reading)


async def create_event(request: web.Request) -> web.Response:
    """Draft an event."""
    wanted = await read(request, EventRequest)
    answer = await request.app[PROGRAMME].create_event(
        _call(request, wanted), wanted.to_domain(), lambda event: Answer.of(EventView.of(event), status=201)
    )
    return reply(answer)


async def publish_event(request: web.Request) -> web.Response:
    """Publish an event: from here on everyone sees it."""
    event_id = EventId(_id(request))
    answer = await request.app[PROGRAMME].publish(
        _call(request), event_id, lambda event: Answer.of(EventView.of(event))
    )
    return reply(answer)


async def schedule_race(request: web.Request) -> web.Response:
    """Put a match race on the card."""
    event_id, wanted = EventId(_id(request)), await read(request, RaceRequest)
    answer = await request.app[PROGRAMME].schedule_race(
        _call(request, wanted),
        event_id,
        wanted.to_domain(),
        lambda race: Answer.of(RaceView.of(race), status=201),
    )
    return reply(answer)


async def open_market(request: web.Request) -> web.Response:
    """Open the race's market: offers may be placed, and the terms are fixed."""
    race_id, wanted = RaceId(_id(request)), await read(request, MarketRequest)
    answer = await request.app[PROGRAMME].open_market(
        _call(request, wanted),
        race_id,
        wanted.to_domain(),
        lambda market: Answer.of(MarketView.of(market), status=201),
    )
    return reply(answer)


async def close_market(request: web.Request) -> web.Response:
    """Close the market at the gate, for ever. What rests unmatched lapses and goes back."""
    market_id = MarketId(_id(request))
    answer = await request.app[TRADING].close(
        _call(request), market_id, lambda market: Answer.of(MarketView.of(market))
    )
    return reply(answer)


async def declare_result(request: web.Request) -> web.Response:
    """Declare what you saw.

    Two different officials declare, each without seeing the other's declaration. If they agree the result is final
    and the market is settled; any difference is a dispute.
    """
    race_id, wanted = RaceId(_id(request)), await read(request, ResultRequest)
    answer = await request.app[OFFICIATING].declare(
        _call(request, wanted), race_id, wanted.to_domain(), lambda race: Answer.of(RaceView.of(race))
    )
    return reply(answer)


async def scratch_race(request: web.Request) -> web.Response:
    """The race is not run: its market is void and every stake goes back."""
    race_id, wanted = RaceId(_id(request)), await read(request, ScratchRequest)
    answer = await request.app[TRADING].scratch(
        _call(request, wanted), race_id, wanted.reason, lambda race: Answer.of(RaceView.of(race))
    )
    return reply(answer)


async def place_offer(request: web.Request) -> web.Response:
    """Place an offer at the ratio you name, in the market as you saw it.

    The stake is held first. 409 `offer-pending` or `idempotency-key-in-flight` with Retry-After: it is not known
    yet whether it was; ask again with the same key.
    """
    wanted = await read(request, OfferRequest)
    return reply(await request.app[PLACING].place(_call(request, wanted), wanted.to_domain()))


async def cancel_offer(request: web.Request) -> web.Response:
    """Take back what is not matched; the answer says how much that was."""
    offer_id = OfferId(_id(request))
    answer = await request.app[TRADING].cancel(
        _call(request), offer_id, lambda done: Answer.of(CancelView.of(*done))
    )
    return reply(answer)


async def list_events(request: web.Request) -> web.Response:
    """Events, the latest start first."""
    page = read_query(request, PageQuery).page()
    events = await request.app[READING].events(drafts=_sees_drafts(request), page=page)
    return reply(EventPage.of(events, page.limit))


async def get_event(request: web.Request) -> web.Response:
    """An event with its races, their markets and results."""
    event, card = await request.app[READING].event(EventId(_id(request)), drafts=_sees_drafts(request))
    return reply(CardView.of(event, card))


async def get_market(request: web.Request) -> web.Response:
    """A market with its book."""
    market, levels = await request.app[READING].market(MarketId(_id(request)))
    return reply(BookView.showing(market, levels))


async def list_offers(request: web.Request) -> web.Response:
    """Your offers, the newest first."""
    query = read_query(request, OffersQuery)
    page = query.page()
    market_id = None if query.market_id is None else MarketId(query.market_id)
    offers = await request.app[READING].offers(_user(request), market_id=market_id, page=page)
    return reply(OfferPage.of(offers, page.limit))


async def get_offer(request: web.Request) -> web.Response:
    """One of your offers."""
    return reply(OfferView.of(await request.app[READING].offer(OfferId(_id(request)), _user(request))))


async def list_bets(request: web.Request) -> web.Response:
    """Your bets, the newest first."""
    page = read_query(request, PageQuery).page()
    return reply(BetPage.of(await request.app[READING].bets(_user(request), page=page), page.limit))


def _call(request: web.Request, body: BaseModel | None = None) -> Call:
    operation = f"{request.method} {request.path}"
    return Call(_user(request), request[IDEMPOTENCY_KEY], fingerprint(operation, body))


def _user(request: web.Request) -> UserId:
    try:
        return UserId(UUID(request[PRINCIPAL].subject))
    except ValueError:
        raise Forbidden("only people may do this") from None


def _id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise Invalid("an id is a UUID", field="id") from None


def _sees_drafts(request: web.Request) -> bool:
    return request[PRINCIPAL].role in {Role.OFFICIAL, Role.ADMIN, Role.AUDITOR}


ONCE = (KeyReused, KeyInFlight)

ROUTES = (
    Route("POST", "/v1/events", create_event, body=EventRequest, returns=EventView, status=201,
          role=Role.OFFICIAL, idempotent=True, refusals=ONCE),
    Route("POST", "/v1/events/{id}/publish", publish_event, returns=EventView,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.EventNotFound, errors.EventStateConflict)),
    Route("POST", "/v1/events/{id}/races", schedule_race, body=RaceRequest, returns=RaceView, status=201,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.EventNotFound, errors.HorsesInvalid, errors.RaceNumberTaken)),
    Route("POST", "/v1/races/{id}/market", open_market, body=MarketRequest, returns=MarketView, status=201,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.RaceNotFound, errors.RaceStateConflict, errors.EventStateConflict,
                    errors.MarketExists, errors.TermsInvalid)),
    Route("POST", "/v1/markets/{id}/close", close_market, returns=MarketView,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.MarketNotFound, errors.MarketStateConflict, errors.RaceStateConflict)),
    Route("POST", "/v1/races/{id}/results", declare_result, body=ResultRequest, returns=RaceView,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.RaceNotFound, errors.RaceStateConflict, errors.ResultInvalid,
                    errors.ResultAlreadyDeclared, errors.OfficialHasBet)),
    Route("POST", "/v1/races/{id}/scratch", scratch_race, body=ScratchRequest, returns=RaceView,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.RaceNotFound, errors.RaceStateConflict)),
    Route("POST", "/v1/offers", place_offer, body=OfferRequest, returns=OfferView, status=201,
          role=Role.BETTOR, idempotent=True,
          refusals=(*ONCE, errors.MarketNotFound, errors.MarketNotOpen, errors.StaleMarket,
                    errors.RunnerNotInMarket, errors.RatioOffLadder, errors.StakeNotWholeLots,
                    errors.StakeOutOfBounds, errors.CurrencyNotTaken, errors.InsufficientFunds,
                    errors.AccountClosed, errors.HoldRefused, errors.OfferPending, errors.OfferKeyUsed)),
    Route("DELETE", "/v1/offers/{id}", cancel_offer, returns=CancelView, role=Role.BETTOR, idempotent=True,
          refusals=(*ONCE, errors.OfferNotFound, errors.OfferPending)),
    Route("GET", "/v1/offers", list_offers, query=OffersQuery, returns=OfferPage, role=Role.BETTOR),
    Route("GET", "/v1/offers/{id}", get_offer, returns=OfferView, role=Role.BETTOR,
          refusals=(errors.OfferNotFound,)),
    Route("GET", "/v1/bets", list_bets, query=PageQuery, returns=BetPage, role=Role.BETTOR),
    Route("GET", "/v1/events", list_events, query=PageQuery, returns=EventPage),
    Route("GET", "/v1/events/{id}", get_event, returns=CardView, refusals=(errors.EventNotFound,)),
    Route("GET", "/v1/markets/{id}", get_market, returns=BookView, refusals=(errors.MarketNotFound,)),
)  # fmt: skip
