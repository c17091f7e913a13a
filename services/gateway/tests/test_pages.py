"""The gateway's own pages: deep health, the public document, Swagger UI."""

import asyncio

from gateway.api import PUBLIC_DOCUMENT
from gateway.domain import Service
from gateway.health import HealthView, Outbox, ServiceHealth, status_of
from gateway.routes import ROUTES

from services.gateway.tests.conftest import Behind, Client, MakeGateway


async def test_everything_is_healthy(gateway: Client) -> None:
    answer = await gateway.get("/v1/health")
    health = await answer.json()
    assert (answer.status, health["status"]) == (200, "ok")
    assert set(health["services"]) == {"identity", "betting", "payments", "ledger"}
    assert health["services"]["identity"] == {
        "outbox": None,
        "status": "ready",
        "checks": {"database": "ok", "migrations": "ok", "sessions": "ok"},
    }


async def test_what_is_away_is_named_without_its_address(make_gateway: MakeGateway) -> None:
    nowhere = "http://127.0.0.1:1"
    async with make_gateway(health_urls={"relay-ledger": nowhere}) as gateway:
        answer = await gateway.get("/v1/health")
        health = await answer.json()
    assert (answer.status, health["status"]) == (503, "degraded")
    assert health["services"]["relay-ledger"] == {"status": "down", "checks": {}, "outbox": None}
    assert health["services"]["ledger"]["status"] == "ready"
    assert "127.0.0.1" not in str(health)


async def test_a_service_that_lacks_something_says_what(make_gateway: MakeGateway) -> None:
    """A second gateway without Redis stands in for a service whose dependency is down."""
    async with (
        make_gateway(redis_url="redis://127.0.0.1:1/0") as lame,
        make_gateway(health_urls={"lame": str(lame.make_url("/"))}) as gateway,
    ):
        health = await (await gateway.get("/v1/health")).json()
    assert health["services"]["lame"]["status"] == "not ready"
    assert health["services"]["lame"]["checks"] == {"rate-limits": "ConnectionError"}


async def test_the_public_status_is_plain(make_gateway: MakeGateway) -> None:
    async with make_gateway(health_urls={"relay-betting": "http://127.0.0.1:1"}) as gateway:
        answer = await gateway.get("/v1/status")
        told = await answer.json()
    assert (answer.status, told["status"]) == (503, "disturbed")
    assert told["works"] == {
        "log in": True,
        "place offers": False,
        "deposit and withdraw": True,
        "see your money": True,
    }
    assert not any(word in str(told) for word in ("relay", "identity", "ledger", "127.0.0.1"))


def test_events_that_wait_are_a_disturbance() -> None:
    late = ServiceHealth(status="ready", checks={}, outbox=Outbox(rows=9, oldest_seconds=31.0))
    soon = ServiceHealth(status="ready", checks={}, outbox=Outbox(rows=9, oldest_seconds=0.2))
    assert not late.works
    assert soon.works
    health = HealthView(status="degraded", services={"relay-betting": late, "identity": soon})
    assert [what for what, works in status_of(health).works.items() if not works] == ["place offers"]


async def test_through_a_proxy_there_are_no_internal_pages(gateway: Client) -> None:
    for path in ("/metrics", "/readyz", "/v1/health"):
        assert (await gateway.get(path)).status == 200
        for header in ("X-Forwarded-For", "Forwarded"):
            outside = await gateway.get(path, headers={header: "for=203.0.113.7"})
            assert (outside.status, (await outside.json())["type"]) == (404, "/problems/not-found")
    assert (await gateway.get("/v1/status", headers={"X-Forwarded-For": "203.0.113.7"})).status == 200


async def test_asking_often_does_not_ask_the_services_often(gateway: Client, behind: Behind) -> None:
    await asyncio.gather(*(gateway.get("/v1/health") for _ in range(30)))
    assert behind.asked_identity["/readyz"] == 1


async def test_the_document_shows_the_table_and_nothing_else(gateway: Client) -> None:
    document = await (await gateway.get("/openapi.json")).json()
    shown = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert shown == {(row.method, row.path) for row in ROUTES} | {
        ("GET", "/v1/health"),
        ("GET", "/v1/status"),
    }
    assert document["paths"]["/v1/login"]["post"]["security"] == []
    assert document["paths"]["/v1/wallet"]["get"]["security"] == [{"session": []}]
    assert "internal" not in str(document["paths"].keys())


async def test_the_document_is_written_once_for_all_who_ask(gateway: Client) -> None:
    """To write it took as long as twenty requests, and nobody counts who asks."""
    assert gateway.app is not None
    document = gateway.app[PUBLIC_DOCUMENT]
    assert await document.get() is await document.get()


async def test_a_service_that_goes_away_stays_in_the_document(
    make_gateway: MakeGateway, behind: Behind
) -> None:
    async with make_gateway(ledger_url="http://127.0.0.1:1") as gateway:
        answer = await gateway.get("/openapi.json")
        assert (answer.status, (await answer.json())["detail"]) == (503, "not seen yet: ledger")
    async with make_gateway() as gateway:
        before = await (await gateway.get("/openapi.json")).json()
        await behind.identity.close()
        assert await (await gateway.get("/openapi.json")).json() == before


async def test_the_documentation_page_needs_nothing_from_elsewhere(gateway: Client) -> None:
    page = await (await gateway.get("/docs")).text()
    assert "http" not in page.replace("<!doctype html>", "").replace("<html", "")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert (await gateway.get(f"/docs/{asset}")).status == 200


def test_every_service_has_rows() -> None:
    assert {row.service for row in ROUTES} == set(Service)
