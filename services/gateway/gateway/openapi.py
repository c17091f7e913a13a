"""One OpenAPI document of the public surface, cut out of the services' own documents along the routing table.

Pure: documents in, document out. A schema keeps its name unless two services use it for different things.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue

from gateway.domain import Access, PublicRoute, Service, shape_of

Document: TypeAlias = dict[str, JsonValue]

SCHEMA_PREFIX = "#/components/schemas/"
SESSION_SCHEME = "session"
TITLE = "El Carril"
VERSION = "1.0"
DESCRIPTION = (
    "The public surface of El Carril. Register, log in, and send the session as `Authorization: Bearer …`. "
    "Amounts are decimal strings. Errors are problem+json (RFC 9457); branch on `type`."
)


class UndocumentedRouteError(Exception):
    """The routing table names an operation that its service's document lacks: one of the two is wrong."""


@dataclass(slots=True)
class _Merged:
    """The document as it grows."""

    paths: dict[str, Document]
    schemas: Document


def public_document(
    table: Sequence[PublicRoute], documents: Mapping[Service, Document], *, own: Document
) -> Document:
    """Every routed operation of the services in `documents`, and all of the gateway's `own`.

    Raises UndocumentedRouteError.
    """
    merged = _Merged(
        paths={path: dict(_object(operations)) for path, operations in _object(own.get("paths")).items()},
        schemas=dict(_schemas_of(own)),
    )
    for service, document in documents.items():
        _add_service(merged, [route for route in table if route.service is service], service, document)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION},
        "paths": {path: merged.paths[path] for path in sorted(merged.paths)},
        "components": {
            "schemas": {name: merged.schemas[name] for name in sorted(merged.schemas)},
            "securitySchemes": {SESSION_SCHEME: {"type": "http", "scheme": "bearer"}},
        },
    }


def _add_service(merged: _Merged, routes: list[PublicRoute], service: Service, document: Document) -> None:
    operations = [(route, _operation(route, document)) for route in routes]
    schemas = _reachable(_schemas_of(document), [operation for _, operation in operations])
    renamed = {
        name: f"{service.capitalize()}{name}"
        for name, schema in schemas.items()
        if name in merged.schemas and merged.schemas[name] != schema
    }
    for name, schema in schemas.items():
        merged.schemas[renamed.get(name, name)] = _with_renamed_refs(schema, renamed)
    for route, operation in operations:
        public = _object(_with_renamed_refs(operation, renamed))
        public["tags"] = [service.value]
        public["security"] = [] if route.access is Access.PUBLIC else [{SESSION_SCHEME: []}]
        merged.paths.setdefault(_documented_path(route, document), {})[route.method.lower()] = public


def _documented_path(route: PublicRoute, document: Document) -> str:
    """The path as its service writes it: the operation's parameters are named after that one."""
    for path in _object(document.get("paths")):
        if shape_of(path) == route.shape:
            return path
    raise UndocumentedRouteError(f"{route.service} does not document {route.path}")


def _operation(route: PublicRoute, document: Document) -> Document:
    operations = _object(_object(document.get("paths"))[_documented_path(route, document)])
    operation = operations.get(route.method.lower())
    if not isinstance(operation, dict):
        raise UndocumentedRouteError(f"{route.service} does not document {route.method} {route.path}")
    return operation


def _schemas_of(document: Document) -> Document:
    return _object(_object(document.get("components")).get("schemas"))


def _reachable(schemas: Document, roots: list[Document]) -> Document:
    """The schemas that these operations use, directly or through other schemas."""
    found: Document = {}
    waiting = [name for root in roots for name in _refs(root)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = schemas[name]
            waiting.extend(_refs(schemas[name]))
    return found


def _refs(value: JsonValue) -> list[str]:
    """The names of the schemas that a value refers to."""
    if isinstance(value, list):
        return [name for item in value for name in _refs(item)]
    if not isinstance(value, dict):
        return []
    below = [name for item in value.values() for name in _refs(item)]
    ref = value.get("$ref")
    return [ref.removeprefix(SCHEMA_PREFIX), *below] if isinstance(ref, str) else below


def _with_renamed_refs(value: JsonValue, renamed: Mapping[str, str]) -> JsonValue:
    if isinstance(value, list):
        return [_with_renamed_refs(item, renamed) for item in value]
    if isinstance(value, dict):
        return {key: _with_renamed_refs(item, renamed) for key, item in value.items()}
    if isinstance(value, str) and value.startswith(SCHEMA_PREFIX):
        name = value.removeprefix(SCHEMA_PREFIX)
        return SCHEMA_PREFIX + renamed.get(name, name)
    return value


def _object(value: JsonValue) -> Document:
    return value if isinstance(value, dict) else {}
