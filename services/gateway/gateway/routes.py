"""The routing table: every address the platform has on the public side, as data.

What is not here cannot be reached from outside: no `/internal/*`, no other service's `/metrics`, no entry
or account of the ledger. Each service checks the token's role again; the roles here spare it the trip.
"""

from dataclasses import replace

from common.roles import Role

from gateway.domain import KIB, Access, LimitClass, Owner, Priority, PublicRoute, Service

BETTOR = frozenset({Role.BETTOR})
OFFICIAL = frozenset({Role.OFFICIAL})
ADMIN = frozenset({Role.ADMIN})
DECIDERS = frozenset({Role.ADMIN, Role.CASHIER})
OVERSEERS = frozenset({Role.ADMIN, Role.AUDITOR})
CASE_READERS = frozenset({Role.ADMIN, Role.CASHIER, Role.AUDITOR})
EVIDENCE_BYTES = 2 * 1024 * KIB
CASHIER = frozenset({Role.CASHIER})
DESK_READERS = frozenset({Role.CASHIER, Role.AUDITOR})
STAFF = frozenset({Role.OFFICIAL, Role.ADMIN, Role.AUDITOR})
EVERYONE: frozenset[Role] = frozenset()

# Longer than a hold may wait in the ledger's queue; the answer after it would be a guess.
MONEY_TIMEOUT_SECONDS = 15.0
CARD_BYTES = 512 * 1024
"""A race card comes as a whole file."""


def _browse(path: str, service: Service, roles: frozenset[Role] = EVERYONE) -> PublicRoute:
    return PublicRoute("GET", path, service, roles=roles, max_body_bytes=0)


def _own(path: str, service: Service, roles: frozenset[Role] = BETTOR) -> PublicRoute:
    """To read what is one's own: money, bets."""
    return PublicRoute(
        "GET", path, service, roles=roles, owner=Owner.CALLER, priority=Priority.MONEY, max_body_bytes=0
    )


def _money(method: str, path: str, service: Service, *, signed: bool = True) -> PublicRoute:
    """To move money. What takes it away from its owner must be signed by a device of theirs."""
    return PublicRoute(
        method,
        path,
        service,
        limit=LimitClass.MONEY,
        roles=BETTOR,
        owner=Owner.CALLER,
        signed=signed,
        priority=Priority.MONEY,
        timeout_seconds=MONEY_TIMEOUT_SECONDS,
    )


def _officiate(path: str) -> PublicRoute:
    return PublicRoute(
        "POST",
        path,
        Service.BETTING,
        roles=OFFICIAL,
        priority=Priority.MONEY,
        timeout_seconds=MONEY_TIMEOUT_SECONDS,
    )


def _desk(method: str, path: str) -> PublicRoute:
    """The cashiers' desk; auditors may look on."""
    return PublicRoute(
        method,
        path,
        Service.PAYMENTS,
        roles=DESK_READERS if method == "GET" else CASHIER,
        priority=Priority.MONEY,
        max_body_bytes=0 if method == "GET" else 16 * KIB,
        timeout_seconds=MONEY_TIMEOUT_SECONDS,
    )


def _keep(path: str) -> PublicRoute:
    """To keep order: what officials and administrators may both do."""
    return PublicRoute(
        "POST",
        path,
        Service.BETTING,
        roles=frozenset({Role.OFFICIAL, Role.ADMIN}),
        priority=Priority.MONEY,
        timeout_seconds=MONEY_TIMEOUT_SECONDS,
    )


def _enter(path: str) -> PublicRoute:
    """To come in: what tries a password or a code, for everybody."""
    return PublicRoute(
        "POST",
        path,
        Service.IDENTITY,
        limit=LimitClass.AUTH,
        access=Access.PUBLIC,
        priority=Priority.ENTER,
    )


def _self(
    method: str,
    path: str,
    *,
    limit: LimitClass = LimitClass.OTHER,
    roles: frozenset[Role] = EVERYONE,
    ends_session: bool = False,
) -> PublicRoute:
    """One's own account."""
    return PublicRoute(
        method,
        path,
        Service.IDENTITY,
        limit=limit,
        roles=roles,
        owner=Owner.CALLER,
        priority=Priority.ENTER,
        ends_session=ends_session,
    )


def _administer(method: str, path: str, roles: frozenset[Role]) -> PublicRoute:
    return PublicRoute(method, path, Service.IDENTITY, roles=roles, priority=Priority.ENTER)


ROUTES = (
    # People
    _enter("/v1/register"),
    _enter("/v1/login"),
    _self("POST", "/v1/step-up", limit=LimitClass.AUTH, ends_session=True),
    _self("POST", "/v1/logout", ends_session=True),
    _enter("/v1/password/forgot"),
    _enter("/v1/password/reset"),
    _self("POST", "/v1/password", limit=LimitClass.AUTH, ends_session=True),
    _self("GET", "/v1/me"),
    _self("PATCH", "/v1/me"),
    _self("POST", "/v1/me/email/code", limit=LimitClass.AUTH),
    _self("POST", "/v1/me/email/verify", limit=LimitClass.AUTH),
    _self("GET", "/v1/me/documents"),
    _self("POST", "/v1/me/documents"),
    _self("GET", "/v1/me/history"),
    _self("GET", "/v1/me/export"),
    _self("POST", "/v1/me/close", roles=BETTOR, ends_session=True),
    _self("GET", "/v1/sessions"),
    _self("DELETE", "/v1/sessions", ends_session=True),
    _self("DELETE", "/v1/sessions/{session_id}"),
    _self("POST", "/v1/devices", limit=LimitClass.AUTH, roles=BETTOR),
    _self("GET", "/v1/devices", roles=BETTOR),
    _self("DELETE", "/v1/devices/{device_id}", roles=BETTOR),
    _own("/v1/kyc", Service.IDENTITY),
    PublicRoute(
        "PUT", "/v1/kyc/evidence/{kind}", Service.IDENTITY, roles=BETTOR, max_body_bytes=EVIDENCE_BYTES
    ),
    _self("POST", "/v1/kyc/submit", roles=BETTOR),
    # Responsible gaming
    _self("GET", "/v1/play/limits", roles=BETTOR),
    PublicRoute(
        "PUT",
        "/v1/play/limits",
        Service.IDENTITY,
        limit=LimitClass.MONEY,
        roles=BETTOR,
        owner=Owner.CALLER,
        signed=True,
        priority=Priority.MONEY,
    ),
    # Unsigned: nobody should need a device to stop.
    _self("POST", "/v1/play/exclusion", roles=BETTOR),
    # The staff, and what takes two of them
    _enter("/v1/staff/activate"),
    _administer("GET", "/v1/staff", OVERSEERS),
    _administer("POST", "/v1/staff", ADMIN),
    _administer("POST", "/v1/staff/{user_id}/role", ADMIN),
    _administer("POST", "/v1/staff/{user_id}/dismissal", ADMIN),
    _administer("POST", "/v1/staff/{user_id}/second-factor", ADMIN),
    _administer("GET", "/v1/kyc/cases", CASE_READERS),
    _administer("GET", "/v1/kyc/cases/{case_id}", CASE_READERS),
    _administer("GET", "/v1/kyc/cases/{case_id}/evidence/{kind}", CASE_READERS),
    _administer("POST", "/v1/kyc/cases/{case_id}/decision", DECIDERS),
    _administer("GET", "/v1/approvals", DECIDERS),
    _administer("POST", "/v1/approvals/{approval_id}/approve", DECIDERS),
    _administer("POST", "/v1/approvals/{approval_id}/refuse", DECIDERS),
    # What stands behind the race card
    _keep("/v1/carriles"),
    _keep("/v1/permits"),
    _keep("/v1/stables"),
    _keep("/v1/stables/{stable_id}/members"),
    _keep("/v1/events/{event_id}/officials"),
    _keep("/v1/races/{race_id}/runners/{runner_id}/stable"),
    _keep("/v1/suspensions"),
    _keep("/v1/suspensions/{suspension_id}/lift"),
    PublicRoute("POST", "/v1/withholding-rates", Service.BETTING, roles=ADMIN),
    _browse("/v1/withholding-rates", Service.BETTING, OVERSEERS),
    PublicRoute("POST", "/v1/withholding-rates/{approval_id}/approve", Service.BETTING, roles=ADMIN),
    PublicRoute("POST", "/v1/withholding-rates/{approval_id}/refuse", Service.BETTING, roles=ADMIN),
    # The race card, as officials run it
    _officiate("/v1/events"),
    _officiate("/v1/events/{event_id}/publish"),
    _officiate("/v1/events/{event_id}/close"),
    _officiate("/v1/events/{event_id}/cancel"),
    _officiate("/v1/events/{event_id}/races"),
    replace(_officiate("/v1/events/{event_id}/card"), max_body_bytes=CARD_BYTES),
    _officiate("/v1/races/{race_id}/market"),
    _officiate("/v1/markets/{market_id}/open"),
    _officiate("/v1/markets/{market_id}/close"),
    _officiate("/v1/markets/{market_id}/restart"),
    _officiate("/v1/races/{race_id}/off"),
    _officiate("/v1/races/{race_id}/finish"),
    _officiate("/v1/races/{race_id}/postpone"),
    _officiate("/v1/races/{race_id}/scratch"),
    _officiate("/v1/races/{race_id}/runners/{runner_id}/scratch"),
    _officiate("/v1/races/{race_id}/no-contest"),
    _officiate("/v1/races/{race_id}/results"),
    _officiate("/v1/races/{race_id}/ruling"),
    _officiate("/v1/races/{race_id}/corrections"),
    replace(_officiate("/v1/races/{race_id}/objections"), roles=BETTOR | OFFICIAL),
    replace(_officiate("/v1/races/{race_id}/conformity"), roles=BETTOR),
    # The race card, as everyone sees it
    _browse("/v1/carriles", Service.BETTING),
    _browse("/v1/events", Service.BETTING),
    _browse("/v1/events/{event_id}", Service.BETTING),
    _browse("/v1/races/{race_id}", Service.BETTING),
    _browse("/v1/markets/{market_id}", Service.BETTING),
    _browse("/v1/markets/{market_id}/history", Service.BETTING),
    _browse("/v1/transitions/{subject_id}", Service.BETTING, STAFF),
    # Betting
    _money("POST", "/v1/offers", Service.BETTING),
    _money("DELETE", "/v1/offers/{offer_id}", Service.BETTING),
    _money("POST", "/v1/offers/cancel", Service.BETTING, signed=False),
    _own("/v1/offers", Service.BETTING),
    _own("/v1/offers/{offer_id}", Service.BETTING),
    _own("/v1/offers/{offer_id}/receipt", Service.BETTING),
    _own("/v1/challenges", Service.BETTING),
    _money("POST", "/v1/challenges/{offer_id}/decline", Service.BETTING, signed=False),
    _own("/v1/bets", Service.BETTING),
    _own("/v1/exposure", Service.BETTING),
    _own("/v1/profits", Service.BETTING),
    # Money in and out
    _own("/v1/clabe", Service.PAYMENTS),
    _money("POST", "/v1/deposits", Service.PAYMENTS, signed=False),
    _own("/v1/deposits", Service.PAYMENTS),
    _own("/v1/deposits/{deposit_id}", Service.PAYMENTS),
    _money("POST", "/v1/withdrawals", Service.PAYMENTS),
    _own("/v1/withdrawals", Service.PAYMENTS),
    _own("/v1/withdrawals/{withdrawal_id}", Service.PAYMENTS),
    _money("POST", "/v1/withdrawals/{withdrawal_id}/cancellation", Service.PAYMENTS, signed=False),
    _own("/v1/payments", Service.PAYMENTS),
    _money("POST", "/v1/card-payments", Service.PAYMENTS, signed=False),
    _own("/v1/card-payments", Service.PAYMENTS),
    _own("/v1/card-payments/{payment_id}", Service.PAYMENTS),
    _money("POST", "/v1/card-payments/{payment_id}/refunds", Service.PAYMENTS, signed=False),
    # The card provider's webhooks bring their own signature, which payments verifies
    PublicRoute(
        "POST",
        "/v1/webhooks/cards",
        Service.PAYMENTS,
        access=Access.PUBLIC,
        priority=Priority.MONEY,
        max_body_bytes=64 * KIB,
    ),
    # The cashiers' desk
    _desk("GET", "/v1/cashier/cases"),
    _desk("GET", "/v1/cashier/cases/{case_id}"),
    _desk("POST", "/v1/cashier/cases/{case_id}/proposal"),
    _desk("POST", "/v1/cashier/cases/{case_id}/approval"),
    _desk("GET", "/v1/cashier/payments/{payment_id}/history"),
    _desk("GET", "/v1/cashier/notices"),
    _desk("GET", "/v1/cashier/reconciliation"),
    _desk("GET", "/v1/cashier/card-payments/{payment_id}"),
    _desk("POST", "/v1/cashier/card-payments/{payment_id}/captures"),
    _desk("POST", "/v1/cashier/card-payments/{payment_id}/void"),
    _desk("POST", "/v1/cashier/card-payments/{payment_id}/refunds"),
    # The player's own books
    _own("/v1/wallet", Service.LEDGER),
    _own("/v1/wallet/statement", Service.LEDGER),
    _own("/v1/wallet/entries/{id}/proof", Service.LEDGER),
)
