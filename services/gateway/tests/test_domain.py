"""How a request finds its row of the routing table, or none. Pure, so no fixtures."""

import pytest
from common.http import Role
from gateway.domain import (
    LimitClass,
    MethodNotAllowed,
    NoSuchRoute,
    PublicRoute,
    RateLimit,
    RoutingTable,
    Service,
    segments_of,
)
from gateway.routes import ROUTES
from hypothesis import given
from hypothesis import strategies as st

HORSES = PublicRoute("GET", "/v1/horses", Service.BETTING)
HORSE = PublicRoute("GET", "/v1/horses/{id}", Service.BETTING)
FASTEST = PublicRoute("GET", "/v1/horses/fastest", Service.BETTING)
ADD_HORSE = PublicRoute("POST", "/v1/horses", Service.BETTING)
TABLE = RoutingTable((HORSES, HORSE, FASTEST, ADD_HORSE))


def test_a_request_finds_its_row() -> None:
    assert TABLE.find("GET", "/v1/horses") is HORSES
    assert TABLE.find("POST", "/v1/horses") is ADD_HORSE
    assert TABLE.find("GET", "/v1/horses/7") is HORSE


def test_a_literal_segment_wins_over_a_variable_one() -> None:
    assert TABLE.find("GET", "/v1/horses/fastest") is FASTEST


def test_a_known_path_with_another_method_names_the_methods() -> None:
    with pytest.raises(MethodNotAllowed) as refusal:
        TABLE.find("PUT", "/v1/horses")
    assert refusal.value.allowed == ("GET", "POST")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/horses/",
        "//v1/horses",
        "/v1//horses",
        "/v1/horses/7/shoes",
        "/v1/horses/..",
        "/v1/horses/.",
        "/v1/../internal/token",
        "/v1/horses/%37",
        "/v1/horses/7%2f..%2f..%2finternal",
        "/v1/horses/7;x=1",
        "/v1/horses/7\\..",
        "/v1/horses/" + "7" * 129,
        "v1/horses",
        "*",
    ],
)
def test_a_path_that_is_not_canonical_or_not_listed_does_not_exist(path: str) -> None:
    with pytest.raises(NoSuchRoute):
        TABLE.find("GET", path)


@given(st.text(max_size=40))
def test_whatever_is_sent_as_a_path_comes_back_whole_or_not_at_all(text: str) -> None:
    try:
        segments = segments_of("/" + text)
    except NoSuchRoute:
        return
    assert "/" + "/".join(segments) == "/" + text
    assert text.isascii() and not {".", ".."} & set(segments)


def test_two_rows_for_the_same_requests_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="same method and path"):
        RoutingTable((HORSE, PublicRoute("GET", "/v1/horses/{name}", Service.LEDGER)))


@pytest.mark.parametrize(
    "path",
    [
        "/internal/token",
        "/.well-known/jwks.json",
        "/metrics",
        "/healthz",
        "/readyz",
        "/v1/entries",
        "/v1/accounts",
        "/v1/balance",
        "/v1/statement",
        "/v1/trial-balance",
        "/v1/receipts",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_internal_has_no_row(method: str, path: str) -> None:
    with pytest.raises(NoSuchRoute):
        ROUTES.find(method, path)


def test_everything_that_moves_a_bettors_money_is_theirs_alone_and_limited() -> None:
    for method, path in (("POST", "/v1/offers"), ("DELETE", "/v1/offers/1"), ("POST", "/v1/withdrawals")):
        route = ROUTES.find(method, path)
        assert route.limit is LimitClass.MONEY
        assert [role for role in Role if route.admits(role)] == [Role.BETTOR]


def test_a_rate_is_never_rounded_up() -> None:
    limit = RateLimit(per_second=3, burst=10, refuse_when_blind=False)
    assert limit.interval_micros == 333_334
    assert limit.tolerance_micros == 9 * 333_334
