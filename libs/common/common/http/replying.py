"""Replying with views, or with an answer stored under an idempotency key."""

from collections.abc import Mapping, Sequence
from typing import NewType

from aiohttp import web
from pydantic import BaseModel

from common.idempotency import Answer
from common.problem import CONTENT_TYPE as PROBLEM

JSON = "application/json"

Rendered = NewType("Rendered", bytes)
"""A view that is JSON already, for answers that are given thousands of times a second."""


def reply(
    view: BaseModel | Sequence[BaseModel] | Rendered | Answer | None,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The view as JSON (200 unless told), an `Answer` as it was stored, or, for None, an empty 204."""
    if view is None:
        return web.Response(status=status or 204, headers=headers)
    if isinstance(view, Answer):
        return _stored(view, headers or {})
    body = view if isinstance(view, bytes) else _json(view).encode()
    return web.Response(body=body, status=status or 200, headers=headers, content_type=JSON)


def _json(view: BaseModel | Sequence[BaseModel]) -> str:
    if isinstance(view, BaseModel):
        return view.model_dump_json()
    return f"[{','.join(each.model_dump_json() for each in view)}]"


def _stored(answer: Answer, headers: Mapping[str, str]) -> web.Response:
    marks = {"Idempotent-Replayed": "true"} if answer.replayed else {}
    content_type = JSON if answer.status < 400 else PROBLEM
    body = answer.body.encode()
    return web.Response(
        body=body, status=answer.status, headers={**headers, **marks}, content_type=content_type
    )
