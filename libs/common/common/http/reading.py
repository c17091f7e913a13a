"""Reading what a client sends: bounded in size and time, strict in form, and always naming the field."""

import asyncio
import json
from collections.abc import Mapping
from typing import Final, TypeVar

from aiohttp import ClientPayloadError, web
from aiohttp.http import HttpProcessingError
from pydantic import BaseModel, ValidationError

from common.http import strict_json
from common.problem import FieldError, InvalidInput, PayloadTooLarge, RequestTimeout, UnsupportedMediaType

Model = TypeVar("Model", bound=BaseModel)

BODY_TIMEOUT_SECONDS: Final = web.AppKey("body_timeout_seconds", float)
"""How long a body may take to arrive; `build_app` sets it."""

BROKEN: Final = (ConnectionResetError, ClientPayloadError, HttpProcessingError, web.RequestPayloadError)
"""Every way in which aiohttp says that a body broke off or cannot be decoded."""

MAX_PATH: Final = 200
"""Characters of a field's path that are told: the client chose its names."""


async def read(request: web.Request, model: type[Model]) -> Model:
    """The request's JSON body as that model.

    Raises `UnsupportedMediaType`, `PayloadTooLarge`, `RequestTimeout`, or `InvalidInput` for anything
    that is not strict JSON (see `strict_json`) or does not fit the model.
    """
    if request.content_type != "application/json":
        raise UnsupportedMediaType("send the body as application/json", field="Content-Type")
    raw = await body_of(request)
    strict_json.check(raw)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid(error) from None


def read_query(request: web.Request, model: type[Model]) -> Model:
    """The request's query string as that model. Raises `InvalidInput`, also for a repeated parameter."""
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name in found:
            raise InvalidInput((FieldError(name, "is given more than once"),))
        if "\0" in value:
            raise InvalidInput((FieldError(name, "must not contain a NUL character"),))
        found[name] = value
    return _from_texts(found, model)


def _from_texts(values: Mapping[str, str], model: type[Model]) -> Model:
    """A query has no types, so its values are read as text even by a strict model; but a number or a boolean has one
    spelling, the one of JSON: pydantic would read `+5`, `1_0` and ` 5 ` as numbers too, and `on` as true."""
    try:
        found = model.model_validate_strings(values)
    except ValidationError as error:
        raise _invalid(error) from None
    misspelt = tuple(
        FieldError(name, f"is written {plain}")
        for name, text in values.items()
        if isinstance(read := getattr(found, name), int) and text != (plain := json.dumps(read))
    )
    if misspelt:
        raise InvalidInput(misspelt)
    return found


async def body_of(request: web.Request) -> bytes:
    """The whole body, as sent. One that has already arrived, which is the rule, costs no timer.

    Raises `PayloadTooLarge`, `RequestTimeout`, or `InvalidInput` for one that broke off.
    """
    length = request.content_length
    if length is not None and length > request.client_max_size:
        raise _too_large(request)
    try:
        if request.content.is_eof():
            return await request.read()
        async with asyncio.timeout(request.app[BODY_TIMEOUT_SECONDS]):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(request) from None
    except TimeoutError:
        raise RequestTimeout("the body did not arrive in time", field="body") from None
    except BROKEN as error:
        broken = FieldError("body", "did not arrive whole, or is not encoded as it says")
        raise InvalidInput((broken,)) from error


def _too_large(request: web.Request) -> PayloadTooLarge:
    return PayloadTooLarge(f"a body has at most {request.client_max_size} bytes", field="body")


def _invalid(error: ValidationError) -> InvalidInput:
    """The errors with their paths. Never the value: it may be a password."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return InvalidInput(
        tuple(
            FieldError(
                field=".".join(str(part) for part in each["loc"])[:MAX_PATH] or "body",
                message=each["msg"].removeprefix("Value error, "),
            )
            for each in found[: strict_json.MAX_FLAWS]
        )
    )
