"""What everyone sees: events, races, markets, and how they came to be as they are."""

from aiohttp import web
from common.http import PRINCIPAL, Role, Route, read_query, reply

from betting.api.registry_views import CarrilesView, CarrilView
from betting.api.requests import ChangesQuery, PageQuery
from betting.api.services import READING, REGISTRY, id_of
from betting.api.views import (
    BookView,
    CardView,
    ChangesView,
    EventPage,
    RaceView,
    TransitionsView,
)
from betting.domain import errors
from betting.domain.ids import EventId, MarketId, RaceId


async def list_events(request: web.Request) -> web.Response:
    """Events, the latest start first."""
    page = read_query(request, PageQuery).page()
    events = await request.app[READING].events(drafts=_sees_drafts(request), page=page)
    return reply(EventPage.of(events, page.limit))


async def get_event(request: web.Request) -> web.Response:
    """An event with its races, their markets and results."""
    event, card = await request.app[READING].event(EventId(id_of(request)), drafts=_sees_drafts(request))
    return reply(CardView.of(event, card))


async def get_race(request: web.Request) -> web.Response:
    """A race with its markets and its result."""
    card = await request.app[READING].race(RaceId(id_of(request)), drafts=_sees_drafts(request))
    return reply(RaceView.showing(card))


async def get_market(request: web.Request) -> web.Response:
    """A market with its book."""
    market, levels = await request.app[READING].market(MarketId(id_of(request)))
    return reply(BookView.showing(market, levels))


async def get_market_history(request: web.Request) -> web.Response:
    """Every change of a market's book, in order: replayed from 0 it is the book at any moment."""
    query = read_query(request, ChangesQuery)
    market, changes = await request.app[READING].market_changes(
        MarketId(id_of(request)), after=query.after, limit=query.limit
    )
    return reply(ChangesView.of(market, changes, query.limit))


async def list_transitions(request: web.Request) -> web.Response:
    """Every state an event, a race or a market has been in: by whom, why and when; an offer's too."""
    return reply(TransitionsView.of(await request.app[READING].transitions(id_of(request))))


async def list_carriles(request: web.Request) -> web.Response:
    """All tracks, by name."""
    carriles = await request.app[REGISTRY].carriles()
    return reply(CarrilesView(items=tuple(CarrilView.of(carril) for carril in carriles)))


def _sees_drafts(request: web.Request) -> bool:
    return request[PRINCIPAL].role in {Role.OFFICIAL, Role.ADMIN, Role.AUDITOR}


STAFF = (Role.OFFICIAL, Role.ADMIN, Role.AUDITOR)

ROUTES = (
    Route("GET", "/v1/events", list_events, query=PageQuery, returns=EventPage),
    Route("GET", "/v1/events/{id}", get_event, returns=CardView, refusals=(errors.EventNotFound,)),
    Route("GET", "/v1/races/{id}", get_race, returns=RaceView, refusals=(errors.RaceNotFound,)),
    Route("GET", "/v1/markets/{id}", get_market, returns=BookView, refusals=(errors.MarketNotFound,)),
    Route("GET", "/v1/markets/{id}/history", get_market_history, query=ChangesQuery, returns=ChangesView,
          refusals=(errors.MarketNotFound,)),
    Route("GET", "/v1/transitions/{id}", list_transitions, returns=TransitionsView, role=STAFF),
    Route("GET", "/v1/carriles", list_carriles, returns=CarrilesView),
)  # fmt: skip
