"""The OpenAPI document says of every route what the code does."""

import json

from common.http import openapi

from libs.common.tests.shop import ROUTES

DOCUMENT = json.loads(json.dumps(openapi(ROUTES, "Shop", "1.0")))
PLACE = DOCUMENT["paths"]["/v1/orders"]["post"]
LIST = DOCUMENT["paths"]["/v1/orders"]["get"]
REF = "#/components/schemas/"


def test_it_is_made_from_routes_alone_and_always_the_same() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"] == {"title": "Shop", "version": "1.0"}
    assert json.loads(json.dumps(openapi(ROUTES, "Shop", "1.0"))) == DOCUMENT


def test_an_operation_is_described_by_its_handler() -> None:
    assert PLACE["operationId"] == "place_order"
    assert PLACE["summary"] == "Place an order"
    assert PLACE["description"] == "It is placed once, however often it is sent.\n\nRoles: bettor, service."
    assert PLACE["tags"] == ["orders"]


def test_body_and_answer_refer_to_their_models() -> None:
    assert PLACE["requestBody"]["content"]["application/json"]["schema"] == {"$ref": f"{REF}Order"}
    answer = PLACE["responses"]["201"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": f"{REF}OrderView"}
    assert "Idempotent-Replayed" in answer["headers"]
    order = DOCUMENT["components"]["schemas"]["Order"]
    assert order["additionalProperties"] is False
    assert order["properties"]["lines"]["items"] == {"$ref": f"{REF}Line"}


def test_an_amount_is_a_string() -> None:
    amount = DOCUMENT["components"]["schemas"]["Line"]["properties"]["amount"]
    assert (amount["type"], amount["maxLength"]) == ("string", 21)


def test_parameters_are_those_of_path_query_and_header() -> None:
    failure = DOCUMENT["paths"]["/v1/failures/{how}"]["get"]
    assert [(each["name"], each["in"], each["required"]) for each in failure["parameters"]] == [
        ("how", "path", True)
    ]
    assert [(each["name"], each["in"], each["required"]) for each in LIST["parameters"]] == [
        ("after", "query", False),
        ("limit", "query", False),
        ("newest", "query", False),
    ]
    assert [(each["name"], each["in"], each["required"]) for each in PLACE["parameters"]] == [
        ("Idempotency-Key", "header", True)
    ]
    assert "Page" not in DOCUMENT["components"]["schemas"]


def test_every_refusal_is_an_answer_with_its_slug() -> None:
    responses = PLACE["responses"]
    assert set(responses) == {"201", "400", "401", "403", "408", "413", "415", "422"}
    problem = responses["422"]["content"]["application/problem+json"]
    assert problem["schema"] == {"$ref": f"{REF}Problem"}
    assert set(problem["examples"]) == {"idempotency-key-reused", "out-of-stock"}


def test_security_is_what_the_route_asks_for() -> None:
    assert PLACE["security"] == [{"token": []}]
    assert LIST["security"] == []
    assert set(DOCUMENT["components"]["securitySchemes"]) == {"token"}


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.partition('"')[0] for part in text.split(REF)[1:]}
    assert named <= set(DOCUMENT["components"]["schemas"])
