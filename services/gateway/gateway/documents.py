"""The services' own OpenAPI documents, fetched and cut to the public surface."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from time import monotonic

import aiohttp
from common.errors import Unavailable
from pydantic import JsonValue, TypeAdapter, ValidationError

from gateway.domain import PublicRoute, Service
from gateway.openapi import Document, public_document

KEEP_SECONDS = 60.0
FETCH_TIMEOUT_SECONDS = 3.0

DOCUMENT = TypeAdapter(dict[str, JsonValue])


class DocumentUnavailable(Unavailable):
    """A service has not shown its document yet."""

    slug = "document-unavailable"
    title = "The document cannot be put together now"


class PublicDocument:
    """The merged document, made anew every minute and kept as it is sent: to write it takes longer than many requests, and
    anybody may ask. A service that is away is shown as it was last seen."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        upstreams: Mapping[Service, str],
        table: Sequence[PublicRoute],
        *,
        own: Document,
    ) -> None:
        """`own` is the document of the gateway's own routes."""
        self._client = client
        self._upstreams = upstreams
        self._table = table
        self._own = own
        self._seen: dict[Service, Document] = {}
        self._merged: bytes | None = None
        self._merged_at = 0.0
        self._lock = asyncio.Lock()

    async def get(self) -> bytes:
        """In JSON. Raises DocumentUnavailable while a service has never been seen."""
        async with self._lock:
            if self._merged is None or monotonic() - self._merged_at > KEEP_SECONDS:
                await asyncio.gather(*(self._fetch(service, url) for service, url in self._upstreams.items()))
                self._merged = self._merge()
                self._merged_at = monotonic()
            return self._merged

    def _merge(self) -> bytes:
        missing = [service for service in self._upstreams if service not in self._seen]
        if missing:
            raise DocumentUnavailable(f"not seen yet: {', '.join(missing)}", retry_after=2)
        return json.dumps(
            public_document(self._table, self._seen, own=self._own), ensure_ascii=False
        ).encode()

    async def _fetch(self, service: Service, base_url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
        url = f"{base_url.rstrip('/')}/openapi.json"
        try:
            async with self._client.get(url, timeout=timeout, raise_for_status=True) as answer:
                self._seen[service] = DOCUMENT.validate_json(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValidationError):
            return  # what was last seen of it stays
