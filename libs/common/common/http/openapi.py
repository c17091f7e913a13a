"""OpenAPI 3.1 from routes: the page cannot drift from the code, and needs no running service."""

import inspect
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import JsonSchemaMode, JsonSchemaValue, models_json_schema

from common.errors import DomainError, Forbidden, Invalid, Unauthenticated
from common.http.edge import StepUpRequired
from common.http.routes import Route
from common.idempotency import KeyReused
from common.problem import CONTENT_TYPE as PROBLEM
from common.problem import PayloadTooLarge, RequestTimeout, UnsupportedMediaType, type_of

JSON: Final = "application/json"
_REF: Final = "#/components/schemas/{model}"
_SCHEMES: Final[dict[str, JsonSchemaValue]] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of at most 60 seconds, which identity gives for a session.",
    },
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "lk_live_…",
        "description": "An API key. It fixes the ledger and the kinds it may post.",
    },
}
_IDEMPOTENCY_KEY: Final[JsonSchemaValue] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Names this request for ever: sending it again with the same key has no second effect.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_REPLAYED: Final[JsonSchemaValue] = {
    "Idempotent-Replayed": {
        "description": "`true` when this is the stored answer to an earlier request with the key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


class FieldProblem(BaseModel):
    """One thing wrong with the input."""

    field: str = Field(description="Dotted path of the field, such as `postings.0.amount`.")
    message: str


class Problem(BaseModel):
    """RFC 9457. Branch on `type`; `detail` is for people and may change."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`/problems/<slug>`")
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    field: str | None = Field(default=None, description="Dotted path of the offending field.")
    errors: list[FieldProblem] | None = None


@lru_cache(maxsize=16)
def written(routes: tuple[Route, ...], title: str, version: str) -> bytes:
    """The whole document as JSON. Kept, since writing one takes up to 40 ms of a processor. Raises as `openapi`."""
    return json.dumps(openapi(routes, title, version), ensure_ascii=False).encode()


def openapi(routes: Sequence[Route], title: str, version: str) -> dict[str, object]:
    """The whole document. Raises `ValueError` if two routes share an operation id (the handler's name)."""
    ids = [_operation_id(route) for route in routes]
    if twins := {each for each in ids if ids.count(each) > 1}:
        raise ValueError(f"handlers of the same name: {', '.join(sorted(twins))}")
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, JsonSchemaValue]] = {}
    for route in routes:
        paths.setdefault(_template(route.path), {})[route.method.lower()] = _operation(route, schemas)
    kinds = sorted({route.auth for route in routes} - {"none"})
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {kind: _SCHEMES[kind] for kind in kinds},
        },
    }


class _Schemas:
    """The models' schemas, each under one name, referred to from the operations."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._queries = {route.query for route in routes if route.query is not None}
        bodies = {route.body for route in routes if route.body is not None}
        returned = {route.returns for route in routes if route.returns is not None} | {Problem}
        wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
            *((model, "validation") for model in _by_name(bodies | self._queries)),
            *((model, "serialization") for model in _by_name(returned)),
        ]
        self._refs, definitions = models_json_schema(wanted, ref_template=_REF)
        self._definitions: dict[str, JsonSchemaValue] = definitions.get("$defs", {})

    def ref(self, model: type[BaseModel], mode: JsonSchemaMode) -> JsonSchemaValue:
        return self._refs[model, mode]

    def parameters(self, query: type[BaseModel]) -> list[JsonSchemaValue]:
        """A query model's fields, one parameter each."""
        schema = self._definitions[self._name(query)]
        required = schema.get("required", [])
        return [
            {"name": name, "in": "query", "required": name in required, "schema": field}
            for name, field in schema.get("properties", {}).items()
        ]

    def components(self) -> dict[str, JsonSchemaValue]:
        """All schemas but those of the queries, which are spelled out as parameters."""
        spelled_out = {self._name(query) for query in self._queries}
        return {
            name: self._definitions[name] for name in sorted(self._definitions) if name not in spelled_out
        }

    def _name(self, query: type[BaseModel]) -> str:
        ref: str = self._refs[query, "validation"]["$ref"]
        return ref.rpartition("/")[2]


def _operation(route: Route, schemas: _Schemas) -> JsonSchemaValue:
    summary, _, description = (inspect.getdoc(route.handler) or "").partition("\n\n")
    admitted = f"Roles: {', '.join(sorted(route.roles))}." if route.roles else ""
    text = "\n\n".join(part for part in (description.strip(), admitted) if part)
    operation: JsonSchemaValue = {
        "operationId": _operation_id(route),
        "tags": [_tag(route.path)],
        "summary": " ".join(summary.split()).removesuffix("."),
        **({"description": text} if text else {}),
        "parameters": _parameters(route, schemas),
        "responses": {str(route.status): _success(route, schemas), **_problems(route, schemas)},
        "security": [] if route.auth == "none" else [{route.auth: []}],
    }
    if route.body is not None:
        content = {JSON: {"schema": schemas.ref(route.body, "validation")}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route, schemas: _Schemas) -> list[JsonSchemaValue]:
    in_path: list[JsonSchemaValue] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)", route.path)
    ]
    in_header = [_IDEMPOTENCY_KEY] if route.idempotent else []
    return in_path + in_header + (schemas.parameters(route.query) if route.query else [])


def _success(route: Route, schemas: _Schemas) -> JsonSchemaValue:
    response: JsonSchemaValue = {"description": HTTPStatus(route.status).phrase}
    if route.idempotent:
        response["headers"] = _REPLAYED
    if route.returns is not None:
        response["content"] = {JSON: {"schema": schemas.ref(route.returns, "serialization")}}
    if route.files:
        response["content"] = {each: {"schema": {"type": "string"}} for each in route.files}
    return response


def _problems(route: Route, schemas: _Schemas) -> dict[str, JsonSchemaValue]:
    """One response per status, with an example per refusal that has it."""
    by_status: dict[int, dict[str, type[DomainError]]] = {}
    for refusal in (*_every_route_gives(route), *route.refusals):
        by_status.setdefault(refusal.status, {})[refusal.slug] = refusal
    return {
        str(status): {
            "description": "; ".join(refusal.title for refusal in refusals.values()),
            "content": {
                PROBLEM: {
                    "schema": schemas.ref(Problem, "serialization"),
                    "examples": {slug: {"value": _example(refusal)} for slug, refusal in refusals.items()},
                }
            },
        }
        for status, refusals in sorted(by_status.items())
    }


def _every_route_gives(route: Route) -> Iterable[type[DomainError]]:
    if route.body or route.query or route.idempotent:
        yield Invalid
    if route.auth != "none":
        yield from (Unauthenticated, Forbidden) if route.roles else (Unauthenticated,)
    if route.step_up:
        yield StepUpRequired
    if route.body:
        yield from (RequestTimeout, PayloadTooLarge, UnsupportedMediaType)
    if route.idempotent:
        yield KeyReused


def _example(refusal: type[DomainError]) -> JsonSchemaValue:
    return {"type": type_of(refusal.slug), "title": refusal.title, "status": refusal.status}


def _by_name(models: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    return sorted(models, key=lambda model: (model.__name__, model.__module__))


def _operation_id(route: Route) -> str:
    name: str = getattr(route.handler, "__name__", type(route.handler).__name__)
    return name


def _template(path: str) -> str:
    """aiohttp's `{id:regex}` as OpenAPI's `{id}`."""
    return re.sub(r"{(\w+):[^{}]*}", r"{\1}", path)


def _tag(path: str) -> str:
    """The first word of the path after its version."""
    words = [word for word in path.split("/") if word and not re.fullmatch(r"v\d+", word)]
    return words[0] if words else "root"
