"""What the OpenAPI document says is what the running service does: every operation that a key may ask, asked many times with
what its schemas allow and what they do not, by a fixed seed. Only documented statuses, problems of documented types that
name their field, and answers that fit their schemas."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import pytest
from common.http import openapi
from jsonschema import Draft202012Validator
from ledger.api import ROUTES

from services.ledger.tests.door import Json
from services.ledger.tests.shop import CASH, FEES, OWN, Desk, transfer_body

DOCUMENT: Final[Json] = json.loads(json.dumps(openapi(ROUTES, "Ledger", "1.0")))
TURNS: Final = 40
"""How often each operation is asked."""

ODD: Final = (
    "", " ", "0", "-1", "+1", "1e3", "NaN", "null", "ñandú", "a\u202eb", "\U0001f40e", "x" * 700, "%", "../..",
    "9" * 40, "1_0", "٣", "' OR 1=1 --", "2026-13-45", "9998-12-31T23:59:59Z", "2026-11-22T00:00:00", "\t",
)  # fmt: skip
STRANGE: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    2**63,
    [],
    {},
    [[]],
    {"": ""},
    "",
    "ñ",
    "\x7f",
    "x" * 5_000,
)


@dataclass
class Asker:
    """Makes requests by the document; `seen` are names that answers have shown, to be asked for again."""

    dice: Random
    seen: dict[str, list[str]] = field(default_factory=dict)
    number: int = 0

    def value(self, name: str) -> str:
        """Something that a field of this name may well be."""
        self.number += 1
        some = {
            "account": [CASH, OWN, FEES, "liabilities/ana", "held/liabilities/ana", "liabilities/none"],
            "prefix": ["assets/", "liabilities", "none"],
            "kind": ["transfer", "hold.open", "hold.capture", "hold.release", "reversal", "bet.hold"],
            "currency": ["USD", "USD", "USD", "USD", "JPY", "EUR"],
            "amount": ["1", "0.01", "2.50", "3", "0.001", "1000000", "9" * 18, "0"],
            "side": ["debit", "credit"],
            "reference": ["orders/1", "orders/none"],
            "metadata_key": ["note"],
            "metadata_value": ["fuzz"],
            "idempotency_key": [f"fuzz:{self.number}", f"fuzz:{self.dice.randrange(1, 40)}"],
            "period": ["day", "month", "year"],
            "starts_on": ["2026-01-01", "2026-01-32"],
            "number": ["1", "0", "01"],
            "order": ["oldest", "newest"],
            "format": ["csv", "jsonl"],
            "limit": ["1", "3", "500", "501"],
            "sequence": ["0", "1", "5", "999999"],
            "min_sequence": ["0", "1"],
        }
        moments = ["2026-01-01T00:00:00Z", "2026-11-22T10:00:00.123456+05:45", "2100-01-01T00:00:00Z"]
        if name in ("id", "hold", "reverses", "drains", "receipt", "market"):
            known = self.seen.get("hold" if name == "hold" else "id", [])[-6:]
            return self.dice.choice([*known, str(UUID(int=self.dice.getrandbits(128)))])
        if name == "after":
            return self.dice.choice([*self.seen.get("next", [])[-8:], "WyJlbnRyaWVzIiwxXQ", "5"])
        return self.dice.choice(some.get(name, moments))

    def body(self, schema: Json, name: str = "") -> Any:
        """An instance of `schema`, near enough."""
        if "$ref" in schema:
            return self.body(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], name)
        if "anyOf" in schema:
            return self.body(self.dice.choice(schema["anyOf"]), name)
        match schema.get("type"):
            case "object" if "properties" in schema:
                required = schema.get("required", [])
                return {
                    each: self.body(inner, each)
                    for each, inner in schema["properties"].items()
                    if each in required or self.dice.random() < 0.2
                }
            case "object":
                return {"note": "fuzz"}
            case "array":
                least = schema.get("minItems", 0)
                return [self.body(schema["items"], name) for _ in range(least + self.dice.randrange(2))]
            case "integer":
                return self.dice.choice([1, 2, 10])
            case "null":
                return None
        return self.value(name)

    def request(self, operation: str, schema: Json) -> Any:
        """A body for that operation: often one that makes sense."""
        made = SENSIBLE.get(operation)
        return made(self) if made and (operation in ALWAYS or self.dice.random() < 0.7) else self.body(schema)

    def spoiled(self, body: Any) -> Any:
        """The same with one thing in it that does not belong there."""
        if isinstance(body, dict) and body and self.dice.random() < 0.8:
            name = self.dice.choice(sorted(body))
            return {**body, name: self.spoiled(body[name])}
        if isinstance(body, list) and body and self.dice.random() < 0.8:
            return [self.spoiled(body[0]), *body[1:]]
        return self.dice.choice(STRANGE)

    def remember(self, told: Any) -> None:
        """Keep ids and cursors."""
        if isinstance(told, dict):
            for name, each in told.items():
                if name in ("id", "hold", "next") and isinstance(each, str):
                    self.seen.setdefault(name, []).append(each)
                self.remember(each)
        elif isinstance(told, list):
            for each in told[:5]:
                self.remember(each)


def _transfer(asker: Asker) -> Json:
    """Between two accounts, of an amount, in a currency: most of them possible."""
    credit = asker.value("account")
    body = transfer_body(CASH, credit, asker.value("amount"), asker.value("currency"))
    return {**body, "metadata": {"note": "fuzz"}} if asker.dice.random() < 0.5 else body


def _keyed(asker: Asker) -> Json:
    return {**_transfer(asker), "idempotency_key": asker.value("idempotency_key")}


SENSIBLE: Final[dict[str, Callable[[Asker], Json]]] = {
    "post_entry": _transfer,
    "post_batch": lambda asker: {"groups": [[_keyed(asker) for _ in range(size)] for size in (1, 2)]},
    "open_hold": lambda asker: {
        "account": "liabilities/ana",
        "amount": asker.dice.choice(["9.00", asker.value("amount")]),
        "currency": "USD",
        "reference": asker.value("reference"),
    },
    "close_account": lambda asker: {
        "account": asker.dice.choice(["liabilities/gone", "liabilities/none"]),
        "currency": "USD",
    },
    "capture_hold": lambda asker: {
        "to": [{"account": FEES, "amount": asker.dice.choice(["0.01", asker.value("amount")])}]
    },
    "release_hold": lambda asker: {"amount": asker.value("amount")},
}


ALWAYS: Final = ("close_account",)
"""What would shut the accounts that the others need, if it were made up."""


@dataclass(frozen=True)
class Asked:
    """One request by the document."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any = None


def ask(asker: Asker, method: str, template: str, operation: Json) -> Asked:
    """A request for `operation`: half of them as they should be, half with something odd in them."""
    dice, query, headers, path = asker.dice, {}, {}, template
    odd = dice.random() < 0.5
    for each in operation["parameters"]:
        name = each["name"]
        meant = "hold" if template.startswith("/v1/holds/{id}") and name == "id" else name
        text = dice.choice(ODD) if odd and dice.random() < 0.3 else asker.value(meant)
        if each["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(text or "-", safe=""))
        elif each["in"] == "header":
            headers[name] = asker.value("idempotency_key")
        elif each["required"] or name == "currency" or dice.random() < 0.25:
            query[name] = text
    body = None
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = asker.request(operation["operationId"], schema)
        body = asker.spoiled(body) if odd else body
    return Asked(method.upper(), f"{path}?{urlencode(query)}" if query else path, headers, body)


def operations() -> Iterator[tuple[str, str, Json]]:
    """Those that a key may ask."""
    for template, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if {"key": []} in operation["security"]:
                yield method, template, operation


async def check(desk: Desk, asker: Asker, asked: Asked, operation: Json) -> str:
    """Ask, and hold the answer against the document. Returns its status, or its slug."""
    headers = {"Authorization": f"Bearer {desk.secret}", **asked.headers}
    body = {} if asked.body is None else {"json": asked.body}
    async with desk.door.client.request(asked.method, asked.path, headers=headers, **body) as answer:
        raw = await answer.read()
    why = f"{asked}: {answer.status} {raw[:300]!r}"
    documented = operation["responses"].get(str(answer.status))
    assert documented is not None, why
    content = documented.get("content", {})
    assert answer.content_type in content, why
    if not answer.content_type.endswith("json"):
        return str(answer.status)
    told = json.loads(raw)
    schema = content[answer.content_type].get("schema", {})
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(told)
    if answer.status < 400:
        asker.remember(told)
        return str(answer.status)
    slug = str(told["type"]).removeprefix("/problems/")
    assert slug in content[answer.content_type]["examples"], why
    assert told["field"] if answer.status in (400, 404) else True, why
    assert not re.search(r"Traceback|asyncpg|pydantic|File \"", raw.decode()), why
    return slug


async def test_every_operation_does_what_is_documented(desk: Desk) -> None:
    asker = Asker(Random(20261122))
    for account in ("liabilities/ana", "liabilities/beto"):
        asker.remember(await desk.fund(account, "500.00"))
    await desk.fund("liabilities/gone", "1.00")
    await desk.post("/v1/entries", transfer_body("liabilities/gone", CASH, "1.00"))
    status, told = await desk.post("/v1/entries", transfer_body(OWN, FEES, "1.00", metadata={"note": "fuzz"}))
    assert status == 201, told
    came: dict[str, Counter[str]] = {}
    for _ in range(TURNS):
        for method, template, operation in operations():
            asked = ask(asker, method, template, operation)
            came.setdefault(operation["operationId"], Counter())[
                await check(desk, asker, asked, operation)
            ] += 1
    never = {name for name, counts in came.items() if not {"200", "201"} & counts.keys()}
    assert never == {"get_close", "list_closed_accounts", "get_seal", "get_proof", "set_player_policy"}, (
        "all but what asks for closes, seals and players, of which there are none here"
    )


@pytest.mark.parametrize(
    ("terms", "methods", "slug"),
    [
        ({"scopes": ["read"]}, {"post", "put"}, "read-only-key"),
        ({"scopes": ["post"]}, {"get"}, "scope-missing"),
        ({"signed": True}, {"get", "post", "put"}, "signature-missing"),
        ({"rate": (1, 1)}, {"get", "post", "put"}, "rate-limited"),
        ({"per_day": 1}, {"get", "post", "put"}, "quota-exceeded"),
    ],
)
async def test_what_a_key_may_not_do_is_documented_everywhere(
    desk: Desk, terms: dict[str, Any], methods: set[str], slug: str
) -> None:
    asker = Asker(Random(1))
    key = await desk.door.key("limited", ["transfer"], ledger=f"shop-{desk.ledger}", **terms)
    limited = replace(desk, secret=key.secret)
    await limited.get("/v1/accounts")  # what there is for a second, or a day, is used up by it
    for method, template, operation in operations():
        if method in methods:
            path = re.sub("{.*?}", asker.value("id"), template)
            body: Json | None = {} if "requestBody" in operation else None
            asked = Asked(method.upper(), path, {"Idempotency-Key": "a"}, body)
            assert await check(limited, asker, asked, operation) == slug, asked
