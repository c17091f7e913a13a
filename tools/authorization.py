"""Who may do what, as a page made from the routes: the gateway's table and the services' own.

The gateway refuses by role before a service hears of a request; the service refuses again by its own route. The
page is only made when the two agree, and `tests/e2e/test_authorization.py` walks it on the running platform.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from common.http import Route
from common.roles import Role
from gateway.domain import Access, Owner, PublicRoute, shape_of

PEOPLE: Final = (Role.BETTOR, Role.OFFICIAL, Role.CASHIER, Role.AUDITOR, Role.ADMIN)

PAGE: Final = """\
# Who may do what

Every public route and every role. Generated from `gateway/routes.py` and the services' `ROUTES` by `make docs`; do not
edit. `tests/e2e/test_authorization.py` asks the running platform each of these questions: of the gateway, and past it of
the service itself.

- **yes**: admitted. **own**: admitted, and the id in the address must be one's own; anybody else's is 404.
- **signed**: only with the signature of a device of the caller's (RFC 9421). **proof**: only when who asks has proved who
  they are within 15 minutes (`POST /v1/step-up`).
- No route, for any role, writes a balance: what is on the ledger's side of this table is read only, and a deposit needs a
  receipt that the attestor signed. What takes two people says so in its own words (`four-eyes-needed`).

{table}
"""


class Disagreement(Exception):
    """The gateway's table and a service's own route admit different people."""


def page(table: Sequence[PublicRoute], services: Mapping[str, Sequence[Route]]) -> str:
    """The page. Raises Disagreement, KeyError for a row whose service has no such route."""
    known = {
        (service, route.method, shape_of(_plain(route.path))): route
        for service, routes in services.items()
        for route in routes
    }
    head = [
        "method",
        "address",
        "service",
        "anyone",
        *(role.value for role in PEOPLE),
        "signed",
        "proof",
        "counted as",
    ]
    rows = [_row(each, known[each.service.value, each.method, each.shape]) for each in table]
    lines = [head, ["---"] * len(head), *rows]
    return PAGE.format(table="\n".join(f"| {' | '.join(line)} |" for line in lines))


def admitted(row: PublicRoute) -> frozenset[Role]:
    """The roles that may pass the gateway."""
    return frozenset(role for role in PEOPLE if row.admits(role))


def _row(row: PublicRoute, route: Route) -> list[str]:
    if row.access is Access.SESSION and route.roles and route.roles & set(PEOPLE) != admitted(row):
        raise Disagreement(f"{row.method} {row.path}: {sorted(admitted(row))}, but {sorted(route.roles)}")
    if (row.access is Access.PUBLIC) != (route.auth == "none"):
        raise Disagreement(f"{row.method} {row.path}: public for one, not for the other")
    word = "own" if row.owner is Owner.CALLER and "{" in row.path else "yes"
    is_public = row.access is Access.PUBLIC
    return [
        row.method,
        f"`{row.path}`",
        row.service.value,
        "yes" if is_public else "",
        *("yes" if is_public else word if role in admitted(row) else "" for role in PEOPLE),
        "signed" if row.signed else "",
        "proof" if route.step_up else "",
        row.limit.value,
    ]


def _plain(path: str) -> str:
    """aiohttp's `{id:regex}` as `{id}`."""
    return "/".join(part.partition(":")[0] + "}" if ":" in part else part for part in path.split("/"))
