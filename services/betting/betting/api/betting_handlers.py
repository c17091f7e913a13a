"""What bettors do and see of their own."""

from aiohttp import web
from common.http import PRINCIPAL, Role, Route, read, read_query, reply
from common.idempotency import Answer

from betting.api.own_views import (
    BetPage,
    CancelAllView,
    CancelView,
    ChallengesView,
    ChallengeView,
    ExposureView,
    OfferPage,
    OfferView,
    ProfitPage,
    ReceiptView,
)
from betting.api.requests import CancelAllRequest, OfferRequest, OffersQuery, PageQuery, ReasonedRequest
from betting.api.services import OFFICIATING, ONCE, PLACING, READING, TRADING, call_of, id_of, user_of
from betting.api.views import RaceView
from betting.domain import errors
from betting.domain.ids import MarketId, OfferId, RaceId


async def place_offer(request: web.Request) -> web.Response:
    """Place an offer at the ratio you name, in the market as you saw it.

    The stake is held first. 409 `offer-pending` or `idempotency-key-in-flight` with Retry-After: it is not known
    yet whether it was; ask again with the same key.
    """
    wanted = await read(request, OfferRequest)
    call = call_of(request, wanted)
    return reply(await request.app[PLACING].place(call, wanted.to_domain(request[PRINCIPAL].session)))


async def cancel_offer(request: web.Request) -> web.Response:
    """Take back what is not matched; the answer says how much that was."""
    offer_id = OfferId(id_of(request))
    answer = await request.app[TRADING].cancel(
        call_of(request), offer_id, lambda done: Answer.of(CancelView.of(done))
    )
    return reply(answer)


async def cancel_all_offers(request: web.Request) -> web.Response:
    """Take back everything that is not matched, in one market or in all."""
    wanted = await read(request, CancelAllRequest)
    market_id = None if wanted.market_id is None else MarketId(wanted.market_id)
    answer = await request.app[TRADING].cancel_all(
        call_of(request, wanted), market_id, lambda done: Answer.of(CancelAllView.of(done))
    )
    return reply(answer)


async def list_challenges(request: web.Request) -> web.Response:
    """Offers made to you alone. Take one by an offer that `answers` it."""
    found = await request.app[READING].challenges(user_of(request))
    return reply(ChallengesView(items=tuple(ChallengeView.of(offer, market) for offer, market in found)))


async def decline_challenge(request: web.Request) -> web.Response:
    """Say no to a challenge: it ends, and what it held goes back."""
    answer = await request.app[TRADING].decline(
        call_of(request), OfferId(id_of(request)), lambda done: Answer.of(CancelView.of(done))
    )
    return reply(answer)


async def list_offers(request: web.Request) -> web.Response:
    """Your offers, the newest first."""
    query = read_query(request, OffersQuery)
    page = query.page()
    market_id = None if query.market_id is None else MarketId(query.market_id)
    offers = await request.app[READING].offers(
        user_of(request), market_id=market_id, open_only=query.open, page=page
    )
    return reply(OfferPage.of(offers, page.limit))


async def get_offer(request: web.Request) -> web.Response:
    """One of your offers."""
    return reply(OfferView.of(await request.app[READING].offer(OfferId(id_of(request)), user_of(request))))


async def get_receipt(request: web.Request) -> web.Response:
    """The wager record of one of your offers, and its SHA-256."""
    record = await request.app[READING].record(OfferId(id_of(request)), user_of(request))
    return reply(ReceiptView.of(record))


async def list_bets(request: web.Request) -> web.Response:
    """Your bets, the newest first."""
    page = read_query(request, PageQuery).page()
    return reply(BetPage.of(await request.app[READING].bets(user_of(request), page=page), page.limit))


async def get_exposure(request: web.Request) -> web.Response:
    """What you have at risk."""
    return reply(ExposureView.of(await request.app[READING].exposures(user_of(request))))


async def list_profits(request: web.Request) -> web.Response:
    """What each settled market brought you, the latest first."""
    page = read_query(request, PageQuery).page()
    return reply(ProfitPage.of(await request.app[READING].profits(user_of(request), page=page), page.limit))


async def object_to_result(request: web.Request) -> web.Response:
    """Object to a confirmed result: a third official rules. For officials and the stables in the race."""
    wanted = await read(request, ReasonedRequest)
    answer = await request.app[OFFICIATING].object_to(
        call_of(request, wanted),
        RaceId(id_of(request)),
        wanted.reason,
        lambda race: Answer.of(RaceView.of(race)),
        official=request[PRINCIPAL].role is Role.OFFICIAL,
    )
    return reply(answer)


async def sign_conformity(request: web.Request) -> web.Response:
    """Sign for your stable that the result stands. When every stable has, nobody waits for the window to close."""
    answer = await request.app[OFFICIATING].conform(
        call_of(request), RaceId(id_of(request)), lambda race: Answer.of(RaceView.of(race))
    )
    return reply(answer)


_PLACING_REFUSALS = (
    *ONCE, errors.MarketNotFound, errors.MarketNotOpen, errors.StaleMarket, errors.RunnerNotInMarket,
    errors.RatioOffLadder, errors.StakeNotWholeLots, errors.StakeOutOfBounds, errors.CurrencyNotTaken,
    errors.OptionsInvalid, errors.DuplicateSlip, errors.ExposureExceeded, errors.TooManyOffers,
    errors.BettingSuspended, errors.OfficialBarred, errors.ConnectionBarred, errors.BettorBarred, errors.InsufficientFunds,
    errors.LimitExceeded, errors.PlayerBlocked,
    errors.AccountClosed, errors.HoldRefused, errors.OfferPending, errors.OfferKeyUsed, errors.Overloaded,
)  # fmt: skip

ROUTES = (
    Route("POST", "/v1/offers", place_offer, body=OfferRequest, returns=OfferView, status=201,
          role=Role.BETTOR, idempotent=True, refusals=_PLACING_REFUSALS),
    Route("DELETE", "/v1/offers/{id}", cancel_offer, returns=CancelView, role=Role.BETTOR, idempotent=True,
          refusals=(*ONCE, errors.OfferNotFound, errors.OfferPending)),
    Route("POST", "/v1/offers/cancel", cancel_all_offers, body=CancelAllRequest, returns=CancelAllView,
          role=Role.BETTOR, idempotent=True, refusals=ONCE),
    Route("GET", "/v1/offers", list_offers, query=OffersQuery, returns=OfferPage, role=Role.BETTOR),
    Route("GET", "/v1/offers/{id}", get_offer, returns=OfferView, role=Role.BETTOR,
          refusals=(errors.OfferNotFound,)),
    Route("GET", "/v1/offers/{id}/receipt", get_receipt, returns=ReceiptView, role=Role.BETTOR,
          refusals=(errors.OfferNotFound,)),
    Route("GET", "/v1/challenges", list_challenges, returns=ChallengesView, role=Role.BETTOR),
    Route("POST", "/v1/challenges/{id}/decline", decline_challenge, returns=CancelView, role=Role.BETTOR,
          idempotent=True, refusals=(*ONCE, errors.ChallengeNotFound, errors.OfferPending)),
    Route("GET", "/v1/bets", list_bets, query=PageQuery, returns=BetPage, role=Role.BETTOR),
    Route("GET", "/v1/exposure", get_exposure, returns=ExposureView, role=Role.BETTOR),
    Route("GET", "/v1/profits", list_profits, query=PageQuery, returns=ProfitPage, role=Role.BETTOR),
    Route("POST", "/v1/races/{id}/objections", object_to_result, body=ReasonedRequest, returns=RaceView,
          role=(Role.BETTOR, Role.OFFICIAL), idempotent=True,
          refusals=(*ONCE, errors.RaceNotFound, errors.NotAParty, errors.WindowClosed)),
    Route("POST", "/v1/races/{id}/conformity", sign_conformity, returns=RaceView, role=Role.BETTOR,
          idempotent=True,
          refusals=(*ONCE, errors.RaceNotFound, errors.NotAParty, errors.WindowClosed, errors.AlreadySigned)),
)  # fmt: skip
