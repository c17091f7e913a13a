"""Answers as bytes."""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from aiohttp import web

from common.problem import CONTENT_TYPE, bare_problem


class Refused(Exception):
    """Not a request that this door takes: refused by its form alone."""

    def __init__(self, status: int, detail: str, field: str | None = None) -> None:
        super().__init__(status)
        self._status = HTTPStatus(status)
        self._detail = detail
        self._field = field

    def written(self) -> bytes:
        """The answer, the last on its connection."""
        told = bare_problem(self._status, self._detail, self._field)
        head = (
            f"{_first(self._status)}Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(told)}\r\n"
            f"Date: {_date(int(time()))}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + told


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=64)
def _first(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"


def written(response: web.Response, method: str, *, last: bool) -> bytes:
    """The answer as bytes. Raises `ValueError` for a header that would be two."""
    body = response.body
    sent = body if isinstance(body, bytes | bytearray) else b""
    lines = [_first(response.status)]
    for name, value in response.headers.items():
        if "\r" in value or "\n" in value:
            raise ValueError(f"a line break in {name}")
        if name != "Content-Length":
            lines.append(f"{name}: {value}\r\n")
    lines.append(f"Content-Length: {len(sent)}\r\nDate: {_date(int(time()))}\r\n")
    lines.append("Connection: close\r\n\r\n" if last else "\r\n")
    head = "".join(lines).encode("utf-8", "surrogateescape")
    return head if method == "HEAD" else head + sent
