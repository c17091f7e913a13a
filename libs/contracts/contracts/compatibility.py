"""What may change within a published `.v1`, and what needs a `.v2` beside it.

A message is published when its schema lies in `docs/contracts`. From then on somebody may rely on every field of
it: a field may be added, an enumeration may grow (readers take an unknown value for "something else"), and
nothing more. `make docs` keeps the schemas fresh and refuses one that breaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel, TypeAdapter

from contracts.catalogue import MESSAGES
from contracts.envelope import Envelope
from contracts.wire import Command

Schema = Mapping[str, object]

ENVELOPE: Final = "envelope"
"""The name under which the envelope itself is published."""

_TOLD: Final = frozenset({"title", "description", "examples"})
"""What a schema says to people alone."""

_SCHEMA: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


def published() -> dict[str, dict[str, object]]:
    """The schema of every message by type, and of the envelope, each complete in itself."""
    models: dict[str, type[BaseModel]] = {ENVELOPE: Envelope, **MESSAGES}
    return {name: model.model_json_schema(mode="validation") for name, model in models.items()}


def is_command(name: str) -> bool:
    """Whether others send it and we read it. Everything else we send and others read."""
    model = MESSAGES.get(name)
    return model is not None and issubclass(model, Command)


def breaks(before: Schema, now: Schema, *, command: bool = False) -> list[str]:
    """What of a published schema is no longer so, as sentences; empty when only fields were added.

    For a `command` a new field that senders must fill breaks them, too; for an event one that readers
    could rely on may not become optional.
    """
    return list(_differences(_resolved(before, before), _resolved(now, now), "", command=command))


def _differences(before: object, now: object, at: str, *, command: bool) -> Iterator[str]:
    if not (isinstance(before, dict) and isinstance(now, dict)):
        if before != now:
            yield f"{at or 'it'}: was {before!r}, is {now!r}"
        return
    for word in sorted(before.keys() | now.keys()):
        match word:
            case "properties":
                yield from _fields(_object(before, word), _object(now, word), at, command=command)
            case "enum":
                gone = [each for each in _values(before) if each not in _values(now)]
                yield from (f"{at or 'it'}: no longer {each!r}" for each in gone)
            case "required":
                yield from _required(_names(before), _names(now), at, command=command)
            case _ if word not in before or word not in now:
                yield f"{at or 'it'}: {word} {'is new' if word in now else 'is gone'}"
            case _:
                yield from _differences(before[word], now[word], f"{at} {word}".strip(), command=command)


def _fields(before: Schema, now: Schema, at: str, *, command: bool) -> Iterator[str]:
    for field, schema in before.items():
        where = f"{at}.{field}" if at else field
        if field not in now:
            yield f"{where}: the field is gone"
        else:
            yield from _differences(schema, now[field], where, command=command)


def _required(before: set[str], now: set[str], at: str, *, command: bool) -> Iterator[str]:
    stricter, looser = now - before, before - now
    for field in sorted(stricter if command else looser):
        yield f"{at}.{field}: " + ("must be sent now" if command else "may be missing now")


def _object(schema: Schema, word: str) -> Schema:
    return _SCHEMA.validate_python(schema.get(word, {}))


def _values(schema: Schema) -> list[object]:
    found = schema.get("enum", [])
    return found if isinstance(found, list) else []


def _names(schema: Schema) -> set[str]:
    found = schema.get("required", [])
    return set(found) if isinstance(found, list) else set()


def _resolved(part: object, whole: Schema) -> object:
    """With every reference replaced by what it names, and without what is said to people alone. A schema's
    field may be called `title`: names of fields are no words of the schema."""
    if isinstance(part, list):
        return [_resolved(each, whole) for each in part]
    if not isinstance(part, dict):
        return part
    if isinstance(reference := part.get("$ref"), str):
        found: object = whole
        for step in reference.removeprefix("#/").split("/"):
            found = _SCHEMA.validate_python(found)[step]
        part = {**_SCHEMA.validate_python(found), **{k: v for k, v in part.items() if k != "$ref"}}
    return {
        word: {name: _resolved(each, whole) for name, each in value.items()}
        if word == "properties" and isinstance(value, dict)
        else _resolved(value, whole)
        for word, value in part.items()
        if word not in _TOLD and word != "$defs"
    }
