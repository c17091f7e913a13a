"""The routing table: every address the platform has on the public side, as data.

What is not here cannot be reached from outside: no `/internal/*`, no other service's `/metrics`, no entry
or account of the ledger. Each service checks the token's role again; the roles here spare it the trip.
"""

from common.roles import Role

from gateway.domain import Access, LimitClass, PublicRoute, Service

BETTOR = frozenset({Role.BETTOR})
OFFICIAL = frozenset({Role.OFFICIAL})
EVERYONE: frozenset[Role] = frozenset()

# Longer than a hold may wait in the ledger's queue; the answer after it would be a guess.
MONEY_TIMEOUT_SECONDS = 15.0


def _read(path: str, service: Service, roles: frozenset[Role] = EVERYONE) -> PublicRoute:
    return PublicRoute("GET", path, service, roles=roles, max_body_bytes=0)


def _money(method: str, path: str, service: Service) -> PublicRoute:
    return PublicRoute(
        method, path, service, limit=LimitClass.MONEY, roles=BETTOR, timeout_seconds=MONEY_TIMEOUT_SECONDS
    )


def _officiate(path: str) -> PublicRoute:
    return PublicRoute("POST", path, Service.BETTING, roles=OFFICIAL, timeout_seconds=MONEY_TIMEOUT_SECONDS)


def _enter(path: str) -> PublicRoute:
    return PublicRoute("POST", path, Service.IDENTITY, limit=LimitClass.AUTH, access=Access.PUBLIC)


ROUTES = (
    # People
    _enter("/v1/register"),
    _enter("/v1/login"),
    PublicRoute("POST", "/v1/logout", Service.IDENTITY, ends_session=True),
    _read("/v1/me", Service.IDENTITY),
    # The race card, as officials run it
    _officiate("/v1/events"),
    _officiate("/v1/events/{event_id}/publish"),
    _officiate("/v1/events/{event_id}/races"),
    _officiate("/v1/races/{race_id}/market"),
    _officiate("/v1/markets/{market_id}/close"),
    _officiate("/v1/races/{race_id}/results"),
    _officiate("/v1/races/{race_id}/scratch"),
    # The race card, as everyone sees it
    _read("/v1/events", Service.BETTING),
    _read("/v1/events/{event_id}", Service.BETTING),
    _read("/v1/markets/{market_id}", Service.BETTING),
    # Betting
    _money("POST", "/v1/offers", Service.BETTING),
    _money("DELETE", "/v1/offers/{offer_id}", Service.BETTING),
    _read("/v1/offers", Service.BETTING, BETTOR),
    _read("/v1/offers/{offer_id}", Service.BETTING, BETTOR),
    _read("/v1/bets", Service.BETTING, BETTOR),
    # Money in and out
    _read("/v1/clabe", Service.PAYMENTS, BETTOR),
    _money("POST", "/v1/deposits", Service.PAYMENTS),
    _read("/v1/deposits", Service.PAYMENTS, BETTOR),
    _read("/v1/deposits/{deposit_id}", Service.PAYMENTS, BETTOR),
    _money("POST", "/v1/withdrawals", Service.PAYMENTS),
    _read("/v1/withdrawals", Service.PAYMENTS, BETTOR),
    _read("/v1/withdrawals/{withdrawal_id}", Service.PAYMENTS, BETTOR),
    # The player's own books
    _read("/v1/wallet", Service.LEDGER, BETTOR),
    _read("/v1/wallet/statement", Service.LEDGER, BETTOR),
)
