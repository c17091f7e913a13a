"""What officials do: set days up, run races, declare, rule, correct, suspend."""

from aiohttp import web
from common.client import Unreachable
from common.http import Role, Route, read, reply
from common.idempotency import Answer

from betting.api.official_requests import (
    CardRequest,
    EventRequest,
    MarketRequest,
    PostponeRequest,
    RaceRequest,
    ReasonRequest,
    ResultRequest,
    RulingRequest,
    RunnerStableRequest,
)
from betting.api.services import (
    GATES,
    OFFICIATING,
    ONCE,
    PROGRAMME,
    RESTARTING,
    call_of,
    id_of,
)
from betting.api.views import (
    EventView,
    ImportView,
    MarketView,
    RaceView,
)
from betting.domain import errors
from betting.domain.events import Event
from betting.domain.ids import EventId, MarketId, RaceId, RunnerId, StableId
from betting.domain.markets import Market
from betting.domain.races import Race


def _event(event: Event) -> Answer:
    return Answer.of(EventView.of(event))


def _race(race: Race) -> Answer:
    return Answer.of(RaceView.of(race))


def _market(market: Market) -> Answer:
    return Answer.of(MarketView.of(market))


# -- events, races, markets


async def create_event(request: web.Request) -> web.Response:
    """Draft an event."""
    wanted = await read(request, EventRequest)
    answer = await request.app[PROGRAMME].create_event(
        call_of(request, wanted),
        wanted.to_domain(),
        lambda event: Answer.of(EventView.of(event), status=201),
    )
    return reply(answer)


async def publish_event(request: web.Request) -> web.Response:
    """Publish an event, under a permit: from here on everyone sees it."""
    answer = await request.app[PROGRAMME].publish(call_of(request), EventId(id_of(request)), _event)
    return reply(answer)


async def close_event(request: web.Request) -> web.Response:
    """The day is over: every race has been decided."""
    answer = await request.app[PROGRAMME].close_event(call_of(request), EventId(id_of(request)), _event)
    return reply(answer)


async def cancel_event(request: web.Request) -> web.Response:
    """The day is off: races that have not been run are scratched and their markets void."""
    wanted = await read(request, ReasonRequest)
    answer = await request.app[GATES].cancel_event(
        call_of(request, wanted), EventId(id_of(request)), wanted.reason, _event
    )
    return reply(answer)


async def schedule_race(request: web.Request) -> web.Response:
    """Put a race on the card."""
    event_id, wanted = EventId(id_of(request)), await read(request, RaceRequest)
    answer = await request.app[PROGRAMME].schedule_race(
        call_of(request, wanted),
        event_id,
        wanted.to_domain(),
        lambda race: Answer.of(RaceView.of(race), status=201),
    )
    return reply(answer)


async def import_card(request: web.Request) -> web.Response:
    """Import a race card from a CSV file, whole or not at all.

    422 `card-invalid` names every bad line and field; `report` in it is the same as JSON.
    """
    wanted = await read(request, CardRequest)
    answer = await request.app[PROGRAMME].import_card(
        call_of(request, wanted),
        EventId(id_of(request)),
        wanted.content,
        lambda races: Answer.of(ImportView.of(races), status=201),
    )
    return reply(answer)


async def set_runner_stable(request: web.Request) -> web.Response:
    """Say which stable a horse runs for."""
    wanted = await read(request, RunnerStableRequest)
    answer = await request.app[PROGRAMME].set_stable(
        call_of(request, wanted),
        RunnerId(id_of(request, "runner_id")),
        RaceId(id_of(request)),
        StableId(wanted.stable_id),
        _race,
    )
    return reply(answer)


async def open_market(request: web.Request) -> web.Response:
    """Open a market about the race, or draft it: the terms are fixed from here on."""
    race_id, wanted = RaceId(id_of(request)), await read(request, MarketRequest)
    answer = await request.app[PROGRAMME].open_market(
        call_of(request, wanted),
        race_id,
        wanted.to_domain(),
        lambda market: Answer.of(MarketView.of(market), status=201),
    )
    return reply(answer)


async def open_drafted_market(request: web.Request) -> web.Response:
    """Open a drafted market: offers may be placed."""
    answer = await request.app[PROGRAMME].open_draft(call_of(request), MarketId(id_of(request)), _market)
    return reply(answer)


async def restart_market(request: web.Request) -> web.Response:
    """Sign that a market stopped for a defect goes on. With a second, different official's signature it does.

    Each time betting's books of the market are compared with the ledger's; as long as they differ nobody can sign.
    """
    wanted = await read(request, ReasonRequest)
    answer = await request.app[RESTARTING].sign(
        call_of(request, wanted), MarketId(id_of(request)), wanted.reason, _market
    )
    return reply(answer)


# -- running races


async def close_market(request: web.Request) -> web.Response:
    """The horses are at the gate: every market of the race closes, for ever. What rests unmatched goes back."""
    return reply(await request.app[GATES].close(call_of(request), MarketId(id_of(request)), _market))


async def start_race(request: web.Request) -> web.Response:
    """They are off. Whatever is still open closes."""
    return reply(await request.app[GATES].off(call_of(request), RaceId(id_of(request)), _race))


async def finish_race(request: web.Request) -> web.Response:
    """They are in."""
    return reply(await request.app[GATES].finish(call_of(request), RaceId(id_of(request)), _race))


async def postpone_race(request: web.Request) -> web.Response:
    """Put a race off. On the same day bets stand; past it its markets are void."""
    wanted = await read(request, PostponeRequest)
    answer = await request.app[GATES].postpone(
        call_of(request, wanted), RaceId(id_of(request)), wanted.starts_at, wanted.reason, _race
    )
    return reply(answer)


async def scratch_race(request: web.Request) -> web.Response:
    """The race is not run: its markets are void and every stake goes back."""
    wanted = await read(request, ReasonRequest)
    answer = await request.app[GATES].scratch(
        call_of(request, wanted), RaceId(id_of(request)), wanted.reason, _race
    )
    return reply(answer)


async def scratch_runner(request: web.Request) -> web.Response:
    """One horse of several does not start: the markets about it are void, the others stand."""
    wanted = await read(request, ReasonRequest)
    answer = await request.app[GATES].scratch_runner(
        call_of(request, wanted), RaceId(id_of(request)), RunnerId(id_of(request, "runner_id")), wanted.reason, _race
    )  # fmt: skip
    return reply(answer)


async def declare_no_contest(request: web.Request) -> web.Response:
    """The race was begun and does not count: its markets are void."""
    wanted = await read(request, ReasonRequest)
    answer = await request.app[GATES].no_contest(
        call_of(request, wanted), RaceId(id_of(request)), wanted.reason, _race
    )
    return reply(answer)


# -- results


async def declare_result(request: web.Request) -> web.Response:
    """Declare what you saw.

    Two different officials declare, each without seeing the other's declaration. If they agree the result is confirmed
    and final once its objection window has closed; any difference is a dispute.
    """
    race_id, wanted = RaceId(id_of(request)), await read(request, ResultRequest)
    answer = await request.app[OFFICIATING].declare(
        call_of(request, wanted), race_id, wanted.to_domain(), _race
    )
    return reply(answer)


async def rule_on_dispute(request: web.Request) -> web.Response:
    """Decide a disputed race, as a third official and with reasons. The result is final."""
    race_id, wanted = RaceId(id_of(request)), await read(request, RulingRequest)
    answer = await request.app[OFFICIATING].rule(
        call_of(request, wanted), race_id, wanted.to_domain(), wanted.reason, _race
    )
    return reply(answer)


async def sign_correction(request: web.Request) -> web.Response:
    """Sign a correction of an official error. Two officials who sign the same make it count: markets are settled again."""
    race_id, wanted = RaceId(id_of(request)), await read(request, RulingRequest)
    answer = await request.app[OFFICIATING].correct(
        call_of(request, wanted), race_id, wanted.to_domain(), wanted.reason, _race
    )
    return reply(answer)


STAFF = (Role.OFFICIAL, Role.ADMIN)
_RACE = (*ONCE, errors.RaceNotFound, errors.RaceStateConflict)
_IMPARTIAL = (errors.OfficialHasBet, errors.OfficialConnected)
_JUDGING = (*_RACE, errors.ResultInvalid, *_IMPARTIAL)

ROUTES = (
    Route("POST", "/v1/events", create_event, body=EventRequest, returns=EventView, status=201,
          role=Role.OFFICIAL, idempotent=True, refusals=(*ONCE, errors.CarrilNotFound)),
    Route("POST", "/v1/events/{id}/publish", publish_event, returns=EventView, role=Role.OFFICIAL,
          idempotent=True,
          refusals=(*ONCE, errors.EventNotFound, errors.EventStateConflict, errors.PermitMissing)),
    Route("POST", "/v1/events/{id}/close", close_event, returns=EventView, role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.EventNotFound, errors.EventStateConflict)),
    Route("POST", "/v1/events/{id}/cancel", cancel_event, body=ReasonRequest, returns=EventView,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.EventNotFound, errors.EventStateConflict, *_IMPARTIAL)),
    Route("POST", "/v1/events/{id}/races", schedule_race, body=RaceRequest, returns=RaceView, status=201,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.EventNotFound, errors.StableNotFound, errors.HorsesInvalid, errors.TermsInvalid,
                    errors.RaceNumberTaken)),
    Route("POST", "/v1/events/{id}/card", import_card, body=CardRequest, returns=ImportView, status=201,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.EventNotFound, errors.CardInvalid)),
    Route("POST", "/v1/races/{id}/runners/{runner_id}/stable", set_runner_stable, body=RunnerStableRequest,
          returns=RaceView, role=STAFF, idempotent=True,
          refusals=(*_RACE, errors.RunnerNotFound, errors.StableNotFound)),
    Route("POST", "/v1/races/{id}/market", open_market, body=MarketRequest, returns=MarketView, status=201,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*_RACE, errors.EventStateConflict, errors.MarketExists, errors.TermsInvalid,
                    errors.BettingSuspended)),
    Route("POST", "/v1/markets/{id}/open", open_drafted_market, returns=MarketView, role=Role.OFFICIAL,
          idempotent=True,
          refusals=(*ONCE, errors.MarketNotFound, errors.MarketStateConflict, errors.RaceStateConflict,
                    errors.EventStateConflict, errors.BettingSuspended)),
    Route("POST", "/v1/markets/{id}/close", close_market, returns=MarketView, role=Role.OFFICIAL,
          idempotent=True,
          refusals=(*ONCE, errors.MarketNotFound, errors.MarketStateConflict, errors.RaceStateConflict)),
    Route("POST", "/v1/markets/{id}/restart", restart_market, body=ReasonRequest, returns=MarketView,
          role=Role.OFFICIAL, idempotent=True,
          refusals=(*ONCE, errors.MarketNotFound, errors.MarketStateConflict, errors.BooksDiffer, errors.AlreadySigned,
                    *_IMPARTIAL, Unreachable)),
    Route("POST", "/v1/races/{id}/off", start_race, returns=RaceView, role=Role.OFFICIAL, idempotent=True,
          refusals=_RACE),
    Route("POST", "/v1/races/{id}/finish", finish_race, returns=RaceView, role=Role.OFFICIAL, idempotent=True,
          refusals=_RACE),
    Route("POST", "/v1/races/{id}/postpone", postpone_race, body=PostponeRequest, returns=RaceView,
          role=Role.OFFICIAL, idempotent=True, refusals=(*_RACE, *_IMPARTIAL)),
    Route("POST", "/v1/races/{id}/scratch", scratch_race, body=ReasonRequest, returns=RaceView,
          role=Role.OFFICIAL, idempotent=True, refusals=(*_RACE, *_IMPARTIAL)),
    Route("POST", "/v1/races/{id}/runners/{runner_id}/scratch", scratch_runner, body=ReasonRequest,
          returns=RaceView, role=Role.OFFICIAL, idempotent=True, refusals=(*_RACE, errors.RunnerNotFound, *_IMPARTIAL)),
    Route("POST", "/v1/races/{id}/no-contest", declare_no_contest, body=ReasonRequest, returns=RaceView,
          role=Role.OFFICIAL, idempotent=True, refusals=(*_RACE, *_IMPARTIAL)),
    Route("POST", "/v1/races/{id}/results", declare_result, body=ResultRequest, returns=RaceView,
          role=Role.OFFICIAL, idempotent=True, refusals=(*_JUDGING, errors.ResultAlreadyDeclared)),
    Route("POST", "/v1/races/{id}/ruling", rule_on_dispute, body=RulingRequest, returns=RaceView,
          role=Role.OFFICIAL, idempotent=True, refusals=(*_JUDGING, errors.ResultAlreadyDeclared)),
    Route("POST", "/v1/races/{id}/corrections", sign_correction, body=RulingRequest, returns=RaceView,
          role=Role.OFFICIAL, idempotent=True, refusals=(*_JUDGING, errors.AlreadySigned)),
)  # fmt: skip
