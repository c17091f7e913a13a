"""A person's app: it keeps asking with the same key until it has a definitive answer."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import aiohttp
from common.signing import RequestSigner, SigningKey
from yarl import URL

from tools.raceday.people import Person

PATIENCE_SECONDS = 120.0
"""A broker or a database killed in the middle of the day is back well within this."""

KEYS = UUID("0f6f0d5c-6a4e-5d0b-8a51-b1a1f6a8f0a1")

CODE_SECONDS = 30.0
"""Until an authenticator shows another code."""

Json = dict[str, Any]


class Refusal(Exception):
    """A definitive no: problem+json below 500 that repeating would not change."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(f"{status} {problem.get('type')}: {problem.get('detail')}")
        self.status = status
        self.slug = str(problem.get("type", "")).rsplit("/", 1)[-1]
        self.problem = problem


@dataclass(slots=True)
class Tally:
    """How often the apps had to ask again, and why."""

    repeats: int = 0
    unreachable: int = 0


class App:
    """One person's session with the gateway."""

    def __init__(self, http: aiohttp.ClientSession, base: str, tally: Tally) -> None:
        self._http = http
        self._base = base
        self._tally = tally
        self.session = ""
        """The bearer credential; empty before logging in."""
        self._signer: RequestSigner | None = None
        self._who: Person | None = None

    async def login(self, who: Person) -> None:
        """Log in; staff with the code of their authenticator, another one if that has been used."""
        self._who = who
        await self._prove("/v1/login", {"email": who.email}, who)

    async def _prove(self, path: str, proof: Json, who: Person) -> None:
        for code in who.codes():
            asked_in = _code_now()
            try:
                answer = await self.call("POST", path, {**proof, "password": who.password, **code})
                self.session = answer["session"]
            except Refusal as refusal:
                grew_old = refusal.slug == "bad-code" and _code_now() != asked_in
                if refusal.slug != "code-used" and not grew_old:
                    raise
            else:
                return
        await asyncio.sleep(CODE_SECONDS)
        await self._prove(path, proof, who)

    async def enrol(self, who: Person) -> None:
        """Enrol this device; from then on it signs. The same person gets the same device again."""
        device = await self.post("/v1/devices", {"name": "Race day"}, f"device:{who.email}")
        self._signer = RequestSigner(SigningKey(device["id"], b64decode(device["key"])))

    async def get(self, path: str) -> Json:
        return await self.call("GET", path)

    async def post(self, path: str, body: Json, key: str) -> Json:
        """A mutation under a key that is the same for the same act of the same simulated day."""
        return await self.call("POST", path, body, key)

    async def delete(self, path: str, key: str) -> Json:
        return await self.call("DELETE", path, None, key)

    async def call(self, method: str, path: str, body: Json | None = None, key: str | None = None) -> Json:
        """Ask until there is a definitive answer.

        Raises:
            Refusal: the answer is no.
            TimeoutError: there was none within `PATIENCE_SECONDS`.
        """
        raw = b"" if body is None else json.dumps(body).encode()
        url = URL(self._base + path, encoded=True)
        headers = self._headers(key)
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause_seconds = 0.05
        while True:
            retry_after = None
            try:
                # Signed anew each time: a signature is good for one request, its key for as many as it takes.
                signed = self.signed(method, url, headers, raw)
                async with self._http.request(method, url, data=raw or None, headers=signed) as answer:
                    text = await answer.json(content_type=None) if answer.status != 204 else {}
                    if answer.status < 400:
                        return dict(text) if isinstance(text, dict) else {"items": text}
                    retry_after = answer.headers.get("Retry-After")
                    if text.get("type") == "/problems/step-up-required" and self._who is not None:
                        await self._prove("/v1/step-up", {}, self._who)
                        headers = self._headers(key)
                        continue
                    if answer.status < 500 and answer.status != 429 and retry_after is None:
                        raise Refusal(answer.status, text)
                    trouble = f"{answer.status} {text}"
                self._tally.repeats += 1
            except (aiohttp.ClientError, TimeoutError, ValueError) as gone:
                trouble = repr(gone)
                self._tally.unreachable += 1
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path} has no answer: {trouble}")
            await asyncio.sleep(max(pause_seconds, min(float(retry_after or 0), 1.0)))
            pause_seconds = min(pause_seconds * 1.6, 1.0)

    def signed(self, method: str, url: URL, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """The headers with this device's signature, if it has been enrolled."""
        return self._signer.headers(method, url, headers, body) if self._signer else headers

    def _headers(self, key: str | None) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.session:
            headers["Authorization"] = f"Bearer {self.session}"
        if key:
            headers["Idempotency-Key"] = str(uuid5(KEYS, key))
        return headers


def _code_now() -> int:
    """Which code an authenticator shows. The one before it, good when it was read, is not any more once this moves on."""
    return int(time.time() // CODE_SECONDS)
