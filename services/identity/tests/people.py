"""People to register, with papers that check."""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

import asyncpg
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from stdnum.mx import curp

if TYPE_CHECKING:
    Owner: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:  # generic only for the type checker
    Owner = asyncpg.Connection
Client: TypeAlias = TestClient[web.Request, web.Application]

ADULT = date(1990, 5, 17)
PASSWORD = "un caballo colorado"
CONSONANTS = "BCDFGJKLMNPQRSTVXZ"


@dataclass(frozen=True, slots=True)
class Papers:
    """What somebody registers with."""

    curp: str
    email: str
    full_name: str = "Wanda Bolaños"
    password: str = PASSWORD

    @property
    def body(self) -> dict[str, object]:
        return {
            "curp": self.curp,
            "full_name": self.full_name,
            "email": self.email,
            "password": self.password,
        }


@dataclass(frozen=True, slots=True)
class Letters:
    """The messages that the printer has added to its file."""

    path: Path

    def all(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    async def wait(self, kind: str, *, to: str, number: int = 1) -> str:
        """The text of the newest letter of that kind to somebody, once so many have come."""
        async with asyncio.timeout(10):
            while True:
                found = [each["text"] for each in self.all() if (each["kind"], each["to"]) == (kind, to)]
                if len(found) >= number:
                    return found[-1]
                await asyncio.sleep(0.05)

    async def code(self, kind: str, *, to: str, number: int = 1) -> str:
        """The code in it."""
        found = re.search(r"\d{8}", await self.wait(kind, to=to, number=number))
        assert found is not None
        return found[0]


def papers(number: int = 0, *, born: date = ADULT) -> Papers:
    """The papers of the `number`-th person born on a day."""
    letters = "".join(CONSONANTS[number // len(CONSONANTS) ** at % len(CONSONANTS)] for at in range(3))
    stem = f"BOLW{born:%y%m%d}MSL{letters}{'0' if born.year < 2000 else 'A'}"
    return Papers(stem + curp.calc_check_digit(stem), f"wanda{number}@example.mx")


async def register(client: Client, body: dict[str, object], *, key: str | None = None) -> ClientResponse:
    headers = {"Idempotency-Key": key or str(uuid4())}
    return await client.post("/v1/register", json=body, headers=headers)


async def login(client: Client, who: Papers) -> str:
    """The session of somebody who is registered."""
    answer = await client.post("/v1/login", json={"email": who.email, "password": who.password})
    assert answer.status == 200, await answer.text()
    session: str = (await answer.json())["session"]
    return session


async def token(client: Client, session: str, audience: str = "identity") -> str:
    answer = await client.post("/internal/token", json={"session": session, "audience": audience})
    assert answer.status == 200, await answer.text()
    issued: str = (await answer.json())["token"]
    return issued


def keyed(headers: dict[str, str]) -> dict[str, str]:
    """The same for a request of its own."""
    return {**headers, "Idempotency-Key": str(uuid4())}


async def as_user(client: Client, session: str) -> dict[str, str]:
    """Headers as the gateway sends them."""
    return {"Authorization": f"Bearer {await token(client, session)}"}
