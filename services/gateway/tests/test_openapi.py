"""Cutting one document out of several. Pure, so no fixtures."""

import pytest
from gateway.domain import Access, PublicRoute, Service
from gateway.openapi import Document, UndocumentedRouteError, public_document

OWN: Document = {"paths": {"/v1/health": {"get": {"summary": "Health"}}}, "components": {"schemas": {}}}
HORSE = PublicRoute("GET", "/v1/horses/{horse_id}", Service.BETTING)
RIDER = PublicRoute("GET", "/v1/riders/{id}", Service.PAYMENTS, access=Access.PUBLIC)


def service(path: str, schema: Document, **more: Document) -> Document:
    """A document with one operation that answers a `View`, and an operation nobody routes."""
    answer: Document = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/View"}}}}
    return {
        "paths": {
            path: {"get": {"security": [{"token": []}], "responses": {"200": answer}}},
            "/internal/secret": {"get": {"responses": {}}},
        },
        "components": {"schemas": {"View": schema, "Unused": {"type": "null"}, **more}},
    }


def test_what_is_not_routed_is_left_out() -> None:
    merged = public_document(
        [HORSE], {Service.BETTING: service("/v1/horses/{id}", {"type": "string"})}, own=OWN
    )
    assert list(_part(merged, "paths")) == ["/v1/health", "/v1/horses/{id}"]
    assert _part(_part(merged, "components"), "schemas") == {"View": {"type": "string"}}


def test_security_is_the_doors_not_the_services() -> None:
    documents = {
        Service.BETTING: service("/v1/horses/{id}", {}),
        Service.PAYMENTS: service("/v1/riders/{id}", {}),
    }
    paths = _part(public_document([HORSE, RIDER], documents, own=OWN), "paths")
    assert _part(_part(paths, "/v1/horses/{id}"), "get")["security"] == [{"session": []}]
    assert _part(_part(paths, "/v1/riders/{id}"), "get")["security"] == []


def test_schemas_of_one_name_and_two_meanings_are_kept_apart() -> None:
    tree: Document = {"items": {"$ref": "#/components/schemas/View"}}
    documents = {
        Service.BETTING: service("/v1/horses/{id}", {"type": "string"}),
        Service.PAYMENTS: service("/v1/riders/{id}", tree),
    }
    merged = public_document([HORSE, RIDER], documents, own=OWN)
    assert _part(_part(merged, "components"), "schemas") == {
        "View": {"type": "string"},
        "PaymentsView": {"items": {"$ref": "#/components/schemas/PaymentsView"}},
    }
    assert "#/components/schemas/PaymentsView" in str(_part(_part(merged, "paths"), "/v1/riders/{id}"))


def test_schemas_used_by_schemas_come_along() -> None:
    view: Document = {"properties": {"leg": {"$ref": "#/components/schemas/Leg"}}}
    document = service("/v1/horses/{id}", view, Leg={"type": "integer"})
    merged = public_document([HORSE], {Service.BETTING: document}, own=OWN)
    assert set(_part(_part(merged, "components"), "schemas")) == {"View", "Leg"}


@pytest.mark.parametrize(
    "route",
    [
        PublicRoute("GET", "/v1/elsewhere", Service.BETTING),
        PublicRoute("POST", "/v1/horses/{id}", Service.BETTING),
    ],
)
def test_a_row_that_no_service_documents_is_a_mistake(route: PublicRoute) -> None:
    with pytest.raises(UndocumentedRouteError):
        public_document([route], {Service.BETTING: service("/v1/horses/{id}", {})}, own=OWN)


def _part(document: Document, name: str) -> Document:
    part = document[name]
    assert isinstance(part, dict)
    return part
