"""Which paths are let near the routing table, and what the table holds. Pure, so no fixtures."""

import pytest
from common.roles import Role
from gateway.domain import LimitClass, PublicRoute, is_canonical
from gateway.routes import ROUTES
from hypothesis import given
from hypothesis import strategies as st


def route(method: str, path: str) -> PublicRoute:
    return next(route for route in ROUTES if (route.method, route.path) == (method, path))


@pytest.mark.parametrize("path", ["/v1/horses", "/v1/horses/7", "/v1/a-b_c.d~e", "/v1/..."])
def test_a_plain_path_is_canonical(path: str) -> None:
    assert is_canonical(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/horses/",
        "//v1/horses",
        "/v1//horses",
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
def test_a_path_that_two_readers_might_read_differently_is_not(path: str) -> None:
    assert not is_canonical(path)


@given(st.text(max_size=40))
def test_a_canonical_path_has_nothing_to_decode_and_nowhere_to_climb(text: str) -> None:
    if is_canonical("/" + text):
        assert text.isascii()
        assert "%" not in text
        assert not {"", ".", ".."} & set(text.split("/"))


def test_no_two_rows_claim_the_same_requests() -> None:
    claimed = [(each.method, each.shape) for each in ROUTES]
    assert len(set(claimed)) == len(claimed)
    assert len({each.name for each in ROUTES}) == len(ROUTES)


def test_only_versioned_paths_are_public_and_of_the_ledger_only_the_wallet() -> None:
    assert all(each.path.startswith("/v1/") for each in ROUTES)
    assert {each.path for each in ROUTES if each.service == "ledger"} == {
        "/v1/wallet",
        "/v1/wallet/statement",
        "/v1/wallet/entries/{id}/proof",
    }


def test_everything_that_moves_a_bettors_money_is_theirs_alone_and_limited() -> None:
    for method, path in (
        ("POST", "/v1/offers"),
        ("DELETE", "/v1/offers/{offer_id}"),
        ("POST", "/v1/deposits"),
        ("POST", "/v1/withdrawals"),
    ):
        found = route(method, path)
        assert found.signed == (path != "/v1/deposits")
        assert found.limit is LimitClass.MONEY
        assert [role for role in Role if found.admits(role)] == [Role.BETTOR]
