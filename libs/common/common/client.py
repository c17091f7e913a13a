"""Calling another service: every wait bounded, and retried only where a repeat is harmless.

A request is repeated only when its method says so (GET) or an idempotency key makes it so. When no
answer comes the outcome is unknown, and the error says just that: `Unreachable`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from yarl import URL

from common.errors import Unavailable
from common.signing import RequestSigner
from common.telemetry.context import REQUEST_ID
from common.telemetry.traces import traceparent

Model = TypeVar("Model", bound=BaseModel)

ATTEMPTS: Final = 3
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
_PASSING: Final = frozenset((429, 502, 503, 504))
"""Statuses by which a service says: not now."""


class Unreachable(Unavailable):
    """No answer, or none that makes sense: whether the request had its effect is unknown."""

    slug = "upstream-unreachable"
    title = "A service we depend on does not answer"


class RemoteProblem(Exception):
    """The other service refused. Branch on `slug`; whoever called decides what it means here."""

    def __init__(self, status: int, slug: str, detail: str, body: bytes, retry_after: int | None) -> None:
        super().__init__(f"{status} {slug}: {detail}")
        self.status = status
        self.slug = slug
        self.detail = detail
        self.body = body
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer below 400. `replayed` when it is the stored answer to an earlier request."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def replayed(self) -> bool:
        """Whether the other service had answered this idempotency key before."""
        return self.headers.get("Idempotent-Replayed") == "true"

    def read(self, model: type[Model]) -> Model:
        """The body as that model. Raises `Unreachable` for one that does not fit: we cannot tell what it did."""
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise Unreachable("the answer does not make sense") from error


class ServiceClient:
    """A client of one service. Use it as an async context manager; it keeps its connections open."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_seconds: float = 5.0,
        headers: Mapping[str, str] | None = None,
        connections: int = 100,
        signer: RequestSigner | None = None,
    ) -> None:
        """`timeout_seconds` bounds each attempt; `headers` go with every request; `connections` are at most open.

        With a `signer` every attempt is signed, each with a nonce of its own.
        """
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._headers = dict(headers or {})
        self._connections = connections
        self._signer = signer
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=10)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, headers=self._headers, auto_decompress=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self,
        path: str,
        returns: type[Model],
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Model:
        """GET a view. Raises `RemoteProblem` or `Unreachable`."""
        return (await self.send("GET", path, params=params, headers=headers)).read(returns)

    async def post(
        self,
        path: str,
        body: BaseModel,
        returns: type[Model],
        *,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Model:
        """POST a model and read a view. Raises `RemoteProblem` or `Unreachable`."""
        raw = body.model_dump_json(exclude_none=True).encode()
        sent = await self.send("POST", path, body=raw, idempotency_key=idempotency_key, headers=headers)
        return sent.read(returns)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        harmless_to_repeat: bool = False,
    ) -> Reply:
        """Send a request, again with jitter if it may be repeated and the other side does not answer.

        It may be if it is a GET, has an idempotency key, or carries its keys inside (`harmless_to_repeat`).
        Raises `RemoteProblem` for an answer of 400 or more, `Unreachable` when none comes.
        """
        whole = {**_context_headers(), **(headers or {})}
        if body is not None:
            whole.setdefault("Content-Type", "application/json")
        if idempotency_key is not None:
            whole["Idempotency-Key"] = idempotency_key
        if method != "GET" and idempotency_key is None and not harmless_to_repeat:
            return await self._attempt(method, path, body, params, whole)
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            reraise=True,
        )
        return await retrying(self._attempt, method, path, body, params, whole)

    async def _attempt(
        self,
        method: str,
        path: str,
        body: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Reply:
        if self._session is None:
            raise RuntimeError("the client is not open")
        url = URL(f"{self._base_url}{path}")
        if params:
            url = url.update_query(params)
        if self._signer is not None:
            headers = self._signer.headers(method, url, headers, body or b"")
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                raw = await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable("no answer from a service we depend on", retry_after=1) from error
        if response.status >= 400:
            raise _remote_problem(response, raw)
        return Reply(response.status, raw, response.headers)


class _RemoteProblemBody(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str = ""
    title: str = ""
    detail: str = ""


def _context_headers() -> dict[str, str]:
    """The request and the trace this call belongs to."""
    known = {"X-Request-Id": REQUEST_ID.get(), "traceparent": traceparent()}
    return {name: value for name, value in known.items() if value is not None}


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Unreachable) or (isinstance(error, RemoteProblem) and error.status in _PASSING)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    raw = await response.content.read(MAX_ANSWER_BYTES + 1)
    while len(raw) <= MAX_ANSWER_BYTES and not response.content.at_eof():
        raw += await response.content.read(MAX_ANSWER_BYTES + 1 - len(raw))
    if len(raw) > MAX_ANSWER_BYTES:
        raise aiohttp.ClientPayloadError("the answer is too long")
    return raw


def _remote_problem(response: aiohttp.ClientResponse, raw: bytes) -> RemoteProblem:
    """The refusal, from problem+json if it is that, else from the status alone."""
    try:
        told = _RemoteProblemBody.model_validate_json(raw)
    except ValidationError:
        told = _RemoteProblemBody()
    after = response.headers.get("Retry-After", "")
    return RemoteProblem(
        status=response.status,
        slug=told.type.removeprefix("/problems/") or f"http-{response.status}",
        detail=told.detail or told.title or response.reason or "",
        body=raw,
        retry_after=int(after) if after.isascii() and after.isdigit() else None,
    )
