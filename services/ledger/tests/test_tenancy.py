"""Every route there is, walked from the ROUTES table: nobody reaches what is another's.

A route that is added is walked as well. If it names a kind of thing, or takes a body, that this page has no
example of, its test fails until there is one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import pytest_asyncio
from common.http import Route
from common.testing import Database, fresh_database
from contracts.holds import CaptureRequest, HoldRequest, ReleaseRequest
from contracts.ledger import EntryRequest
from contracts.ledger_batches import BatchRequest, ReversalRequest
from ledger.api import ROUTES
from ledger.api.accounts import ClosingRequest, DescriptionRequest
from ledger.api.limits import PolicyRequest
from ledger.domain.limits import LIMIT
from ledger.keys import revoke_key
from pydantic import BaseModel

from services.ledger.tests.door import Door, open_door
from services.ledger.tests.history import age
from services.ledger.tests.identity import TokenMaker, token_maker
from services.ledger.tests.sealed import SealedBank, entry_id, sealed_bank
from services.ledger.tests.test_closes import closing
from services.ledger.tests.vocabulary import connected, hold, one_row, open_bank

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = dict[str, Any]
BY_KEY = [route for route in ROUTES if route.auth == "key"]
BY_TOKEN = [route for route in ROUTES if route.auth == "token"]
READS = [route for route in BY_KEY if route.method == "GET"]
MUTATIONS = [route for route in BY_KEY if route.method != "GET"]


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


@dataclass
class Houses:
    """Two ledgers behind one door. The first one's things are named; the second one is the stranger."""

    door: Door
    tokens: TokenMaker
    owner: str
    stranger: str
    reader: str
    player: str
    empty: str
    """An account that nothing is left on."""
    things: dict[str, str]
    """What may stand in a path: for `entries/{…}` an entry's id, for `closes/{…}` a period and its day."""
    asked_by: dict[str, str]
    """What may be asked for by a parameter of a query."""
    secrets: list[str] = field(default_factory=list)
    """Texts that only the first ledger's answers may have."""

    def bodies(self) -> dict[type[BaseModel], Json]:
        """A body that makes sense in the first ledger, for every model that a route takes."""
        available, reference = f"players/{self.player}/available", self.asked_by["reference"]
        release = {
            "kind": "bet.release",
            "reference": reference,
            "postings": [
                {
                    "account": f"players/{self.player}/held", "side": "debit", "amount": "1.00", "currency": "MXN",
                    "hold": self.things["holds"],
                },
                {"account": available, "side": "credit", "amount": "1.00", "currency": "MXN"},
            ],
        }  # fmt: skip
        return {
            EntryRequest: release,
            BatchRequest: {"groups": [[release | {"idempotency_key": str(uuid4())}]]},
            ReversalRequest: {},
            HoldRequest: {
                "kind": "bet.hold", "account": available, "amount": "1.00", "currency": "MXN", "reference": reference
            },
            CaptureRequest: {"kind": "bet.release", "to": [{"account": available, "amount": "1.00"}]},
            ReleaseRequest: {"kind": "bet.release", "amount": "1.00"},
            ClosingRequest: {"account": self.empty, "currency": "MXN"},
            PolicyRequest: {
                "player": self.player,
                "version": 1,
                "caps": [{"measure": "stake", "period": "day", "currency": "MXN", "amount": "1.00"}],
            },
            DescriptionRequest: {"account": available, "currency": "MXN", "metadata": {"level": "gold"}},
        }  # fmt: skip

    async def state(self, ledger: int | None = None) -> dict[str, str]:
        """Every table's rows, digested: of the whole database, or of one ledger."""
        async with connected(self.door.database, "superuser") as connection:
            tables = await connection.fetch(
                "SELECT table_name, count(*) FILTER (WHERE column_name = 'ledger_id') = 1 AS of_a_ledger "
                "FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name) "
                "WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT IN ('api_key', 'head') "
                "GROUP BY 1"
            )
            return {
                table["table_name"]: await connection.fetchval(
                    "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') "
                    f"FROM {table['table_name']} t" + (f" WHERE ledger_id = {ledger}" if ledger else "")
                )
                for table in tables
                if ledger is None or table["of_a_ledger"]
            }


@asynccontextmanager
async def furnished(like: Database, folder: Path) -> AsyncIterator[Houses]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database("ledger", like=like))
        async with connected(database, "superuser") as connection:
            await connection.execute(
                "INSERT INTO ledger (id, name, chart) VALUES (77, 'stranger', 'el-carril')"
            )
            await connection.execute("INSERT INTO head (ledger_id) VALUES (77) ON CONFLICT DO NOTHING")
        bank = await open_bank(database, stack)
        sealed: SealedBank = await stack.enter_async_context(sealed_bank(bank, folder))
        await sealed.history(races=2)
        player, market, offer = await bank.fund(), str(uuid4()), uuid4()
        entry = entry_id(await bank.engine.post(hold(player, Decimal("40.00"), market, offer)))
        await age(database, timedelta(days=2))
        async with closing(database) as closer:
            closed = [each.close async for each in closer.close_due(1)]
        await sealed.sealer.seal_due()
        tokens = await stack.enter_async_context(token_maker())
        door = await stack.enter_async_context(open_door(database, folder, tokens.url))
        kinds = ["bet.hold", "bet.release", "deposit", "reversal", "account.close", "account.describe", LIMIT]
        yield Houses(
            door,
            tokens,
            owner=(await door.key("owner", kinds)).secret,
            stranger=(await door.key("owner", kinds, ledger="stranger")).secret,
            reader=(await door.key("owner", scopes=["read"])).secret,
            player=player,
            empty=await an_empty_account(database),
            things={
                "entries": str(entry),
                "seals": "3",
                "holds": str(offer),
                "closes": f"{closed[0].period}/{closed[0].starts_on}",
            },
            asked_by={
                "account": f"players/{player}/held",
                "prefix": f"players/{player}/",
                "reference": f"markets/{market}",
            },
            secrets=[player, market, str(offer), str(entry)],
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def houses(with_a_tester: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Houses]:
    """For whatever changes nothing, and says so."""
    async with furnished(with_a_tester, tmp_path_factory.mktemp("houses")) as made:
        yield made


@pytest.fixture
async def own_houses(with_a_tester: Database, tmp_path: Path) -> AsyncIterator[Houses]:
    """For what moves money in them."""
    async with furnished(with_a_tester, tmp_path) as made:
        yield made


async def an_empty_account(database: Database) -> str:
    """A settled market's escrow."""
    async with connected(database, "superuser") as connection:
        found = await connection.fetchval(
            "SELECT path FROM account JOIN balance ON account_id = id WHERE class = 'market.escrow' AND amount = 0 LIMIT 1"
        )
    return str(found)


def asked(route: Route, houses: Houses) -> Iterator[tuple[str, bool]]:
    """Requests of that route that name the first ledger's things, and whether one is named in the address."""
    path = re.sub(r"([^/]+)(/\{[^}]+\})+", lambda match: f"{match[1]}/{houses.things[match[1]]}", route.path)
    named = path != route.path
    fields = route.query.model_fields if route.query and route.auth == "key" else {}
    required = {each: houses.asked_by[each] for each, field in fields.items() if field.is_required()}
    yield path + (f"?{urlencode(required)}" if required else ""), named or bool(required)
    for each in fields.keys() & houses.asked_by.keys() - required.keys():
        yield f"{path}?{urlencode(required | {each: houses.asked_by[each]})}", True


def body_of(route: Route, houses: Houses) -> Json | None:
    return None if route.body is None else houses.bodies()[route.body]


@pytest.mark.parametrize("route", READS, ids=name)
async def test_another_ledgers_thing_is_not_found(houses: Houses, route: Route) -> None:
    await not_found_by_a_stranger(houses, route)


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("route", MUTATIONS, ids=name)
async def test_another_ledgers_thing_is_not_changed(own_houses: Houses, route: Route) -> None:
    await not_found_by_a_stranger(own_houses, route)


async def not_found_by_a_stranger(houses: Houses, route: Route) -> None:
    for path, named in asked(route, houses):
        before, headers = await houses.state(ledger=1), {"Idempotency-Key": str(uuid4())}
        status, told = await houses.door.ask(
            houses.stranger, route.method, path, body_of(route, houses), **headers
        )
        if route.method == "GET":
            assert status == (404 if named else 200), (path, told)
        else:
            status = told["groups"][0][0]["status"] if route.body is BatchRequest else status
            # A limit is for whom one likes, in one's own ledger.
            assert status in ((200,) if route.body is PolicyRequest else (404, 409, 422)), (path, told)
        told.pop("groups", None)  # what one asked for oneself comes back in its answer
        own_words = str({key: value for key, value in told.items() if key not in ("instance", "detail")})
        assert not [secret for secret in houses.secrets if secret in own_words], (
            "an answer tells of another ledger"
        )
        after = await houses.state()
        assert [
            each for each in before if each not in after and each[0] in ("entry", "balance", "hold")
        ] == []
        status, told = await houses.door.ask(
            houses.owner, route.method, path, body_of(route, houses), **headers
        )
        assert status == route.status, ("the same, asked by its owner, is there", path, told)
        if route.body is BatchRequest:
            assert told["groups"][0][0]["status"] == 201, told


@pytest.mark.parametrize("route", MUTATIONS, ids=name)
async def test_a_key_that_may_only_read_changes_nothing(houses: Houses, route: Route) -> None:
    before = await houses.state()
    for path, _ in asked(route, houses):
        status, told = await houses.door.ask(
            houses.reader, route.method, path, body_of(route, houses), **{"Idempotency-Key": str(uuid4())}
        )
        assert (status, told["type"]) == (403, "/problems/read-only-key"), path
    assert await houses.state() == before


@pytest.mark.parametrize("route", READS, ids=name)
async def test_reading_changes_nothing(houses: Houses, route: Route) -> None:
    before = await houses.state()
    for path, _ in asked(route, houses):
        assert (await houses.door.ask(houses.reader, "GET", path))[0] == 200
    assert await houses.state() == before


@pytest.mark.parametrize("route", MUTATIONS, ids=name)
async def test_a_key_posts_no_kind_outside_its_scopes(houses: Houses, route: Route) -> None:
    narrow = (await houses.door.key("owner", scopes=["read", "post:deposit"])).secret
    before = await houses.state()
    for path, _ in asked(route, houses):
        status, told = await houses.door.ask(
            narrow, route.method, path, body_of(route, houses), **{"Idempotency-Key": str(uuid4())}
        )
        assert (status, told["type"]) == (403, "/problems/scope-missing"), path
    assert await houses.state() == before


@pytest.mark.parametrize("route", BY_KEY, ids=name)
async def test_nobody_comes_in_without_a_live_key(houses: Houses, route: Route) -> None:
    revoked = await houses.door.key("owner")
    await revoke_key(houses.door.keys, revoked.id)
    credentials = ("", "lk_live_unknown", revoked.secret, houses.tokens.token(houses.player))
    for path, _ in asked(route, houses):
        for credential in credentials:
            status, _ = await houses.door.ask(
                credential, route.method, path, None, **{"Idempotency-Key": "k"}
            )
            assert status == 401, path


@pytest.mark.parametrize("route", BY_TOKEN, ids=name)
async def test_another_players_wallet_is_not_found(houses: Houses, route: Route) -> None:
    other = houses.tokens.token(await another_player(houses))
    for path, named in asked(route, houses):
        status, told = await houses.door.ask(other, route.method, path)
        assert status == (404 if named else 200), (path, told)
        assert houses.player not in str({key: value for key, value in told.items() if key != "instance"})
        status, told = await houses.door.ask(houses.tokens.token(houses.player), route.method, path)
        assert status == route.status, told
        status, _ = await houses.door.ask(houses.owner, route.method, path)
        assert status == 401, "an API key opens no wallet"


async def another_player(houses: Houses) -> str:
    """One who has money, too, so that nothing is empty by chance."""
    async with connected(houses.door.database, "superuser") as connection:
        found = await connection.fetchval(
            "SELECT owner FROM account JOIN balance ON account_id = id "
            "WHERE path LIKE 'players/%/available' AND owner <> $1 AND amount <> 0 LIMIT 1",
            houses.player,
        )
    return str(found)


async def test_a_players_proof_shows_no_other_players_posting(houses: Houses) -> None:
    """A match has two players; each sees that it is sealed, and their own side of it."""
    async with connected(houses.door.database, "superuser") as connection:
        entry, *players = await one_row(
            connection,
            "SELECT e.id::text, min(a.owner), max(a.owner) FROM entry e JOIN posting p USING (ledger_id, sequence) "
            "JOIN account a ON a.id = p.account_id WHERE e.kind = 'bet.match' AND a.owner_kind = 'player' "
            "GROUP BY e.id LIMIT 1",
        )
    for one, other in (players, reversed(players)):
        status, proof = await houses.door.ask(
            houses.tokens.token(one), "GET", f"/v1/wallet/entries/{entry}/proof"
        )
        assert status == 200
        assert [posting["account"] for posting in proof["postings"].values()] == [f"players/{one}/held"]
        assert other not in str(proof)
        assert len(proof["header"]["postings"]) == 3
