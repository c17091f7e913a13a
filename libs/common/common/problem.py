"""Refusals as problem+json (RFC 9457), from one place.

`type` is `/problems/<slug>` and is what clients branch on. Input errors name the field. An error we did
not foresee is logged whole and answered with nothing but its request id.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic_core import PydanticSerializationError, to_json

from common.errors import DomainError, Invalid
from common.telemetry.context import REQUEST_ID

CONTENT_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)


def type_of(slug: str) -> str:
    """The problem type of that slug: a path, so that it means the same behind every host."""
    return f"/problems/{slug}"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with the input. `field` is a dotted path such as `postings.0.amount`."""

    field: str
    message: str


class InvalidInput(Invalid):
    """Input that does not fit its model; carries every error, the first one on top."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__(errors[0].message, field=errors[0].field)
        self.errors = errors


class PayloadTooLarge(Invalid):
    """A body longer than this service reads."""

    status = 413
    slug = "payload-too-large"
    title = "Payload too large"


class UnsupportedMediaType(Invalid):
    """A body that is not JSON."""

    status = 415
    slug = "unsupported-media-type"
    title = "Unsupported media type"


class RequestTimeout(Invalid):
    """A body that took too long to arrive."""

    status = 408
    slug = "request-timeout"
    title = "Request timeout"


Problem = Mapping[str, str | int | list[dict[str, str]]]


def problem_of(error: DomainError) -> dict[str, str | int | list[dict[str, str]]]:
    """The problem's members, without the request's own (`instance`, `request_id`)."""
    members: dict[str, str | int | list[dict[str, str]]] = {
        **error.extra,
        "type": type_of(error.slug),
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }
    if error.field is not None:
        members["field"] = error.field
    if isinstance(error, InvalidInput):
        members["errors"] = [{"field": each.field, "message": each.message} for each in error.errors]
    return members


def problem_response(error: Exception, request: web.Request) -> web.Response:
    """Turn any error into its answer. Unforeseen ones are logged and become a bare 500."""
    if isinstance(error, DomainError):
        if error.status >= 500:
            _log.warning("unavailable: %s", error.detail, exc_info=error)
        return _respond(request, problem_of(error), error.status, _headers(error))
    if isinstance(error, web.HTTPException):
        return _from_http(error, request)
    _log.error("unforeseen error", exc_info=error, extra={"method": request.method, "path": request.path})
    detail = "Something went wrong on our side. Quote the request id when you ask about it."
    return _respond(request, _bare("internal-error", "Internal server error", 500, detail), 500, {})


def bare_problem(status: HTTPStatus, detail: str, field: str | None = None) -> bytes:
    """The problem of something that could not even be read as a request: its slug is the status's own phrase."""
    members = dict(_bare(status.phrase.lower().replace(" ", "-"), status.phrase, status, detail))
    return _json(members if field is None else {**members, "field": field})


@web.middleware
async def problem_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """For an application that is not made by `common.http.build_app`."""
    try:
        return await handler(request)
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
        return problem_response(error, request)


def _headers(error: DomainError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def _from_http(error: web.HTTPException, request: web.Request) -> web.Response:
    """aiohttp's own refusals (no such route, wrong method, …) in our words; their headers stay."""
    status = HTTPStatus(error.status)
    headers = {name: value for name, value in error.headers.items() if name in ("Allow", "Location")}
    if error.status < 400:
        return web.Response(status=error.status, headers=headers)
    slug = status.phrase.lower().replace(" ", "-")
    return _respond(request, _bare(slug, status.phrase, status, status.description), status, headers)


def _bare(slug: str, title: str, status: int, detail: str) -> Problem:
    return {"type": type_of(slug), "title": title, "status": status, "detail": detail or title}


def _respond(request: web.Request, members: Problem, status: int, headers: dict[str, str]) -> web.Response:
    whole = {**members, "instance": request.path, "request_id": REQUEST_ID.get() or ""}
    return web.Response(body=_json(whole), status=status, headers=headers, content_type=CONTENT_TYPE)


def _json(members: Problem) -> bytes:
    """Written by pydantic's encoder, in a twentieth of the time: whoever is refused in a storm is to cost little."""
    try:
        return to_json(members)
    except PydanticSerializationError:  # a path may hold half a character
        return json.dumps(members, ensure_ascii=False).encode(errors="replace")
