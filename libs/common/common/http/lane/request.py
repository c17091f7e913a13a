"""A request of the fast lane."""

from typing import Any

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL


class Matched:
    """What the edge asks of a request's match: the route."""

    __slots__ = ("route",)

    def __init__(self, route: web.AbstractRoute | None) -> None:
        self.route = route


class LaneRequest(dict[object, Any]):
    """What handlers and the edge use of an `aiohttp.web.Request`, and nothing else.

    The body is whole when the request is handled, or `failed` says why it is not.
    """

    __slots__ = ("app", "body", "client_max_size", "failed", "headers", "match_info", "method", "path")

    def __init__(self, app: web.Application, method: str, path: str, headers: CIMultiDict[str]) -> None:
        super().__init__()
        self.app = app
        self.client_max_size: int = app._client_max_size
        self.method = method
        self.path = path
        self.headers = headers
        self.body = b""
        self.failed: Exception | None = None
        self.match_info = Matched(None)

    @property
    def rel_url(self) -> URL:
        """Without a query: a request that has one is not the lane's."""
        return URL.build(path=self.path, encoded=True)

    @property
    def content_type(self) -> str:
        given = self.headers.get("Content-Type")
        return "application/octet-stream" if given is None else given.partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        given = self.headers.get("Content-Length")
        return None if given is None else int(given)

    @property
    def content(self) -> "LaneRequest":
        return self

    def is_eof(self) -> bool:
        """Whether the body has arrived; nothing is waited for any more."""
        return True

    async def read(self) -> bytes:
        """The body. Raises what kept it from arriving."""
        if self.failed is not None:
            raise self.failed
        return self.body
