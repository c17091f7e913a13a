"""The real rail in a process of its own, and what a customer of another bank does there."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import aiohttp
from payments.domain.deposits import Transfer

SENDER = "002010077777777771"
OTHER_SENDER = "012180015555555550"
ROOT = Path(__file__).parents[3]
STARTS_WITHIN_SECONDS = 20.0


@dataclass
class RailProcess:
    """A rail that can be killed and started again on the same truth log."""

    state_file: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, unless it runs, and wait until it listens."""
        if self.process is not None and self.process.poll() is None:
            return
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.rail"],
            cwd=ROOT,
            env=os.environ | {"PORT": str(self.port), "STATE_FILE": str(self.state_file)},
        )
        patience = time.monotonic() + STARTS_WITHIN_SECONDS
        while time.monotonic() < patience:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError("the rail did not start")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def get(self, path: str, **params: str) -> tuple[int, dict[str, str]]:
        return await self.ask("GET", path, params=params)

    async def put(self, path: str, body: Mapping[str, object]) -> tuple[int, dict[str, str]]:
        return await self.ask("PUT", path, body=body)

    async def post(self, path: str, body: Mapping[str, object]) -> tuple[int, dict[str, str]]:
        return await self.ask("POST", path, body=body)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        params: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str]]:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.url + path, json=body, params=params) as answer,
        ):
            return answer.status, await answer.json()

    async def transfer(
        self, to: str, amount: str, *, sender: str = SENDER, name: str = "Ana López", **more: object
    ) -> Transfer:
        """Somebody at another bank sends money to that CLABE."""
        status, told = await self.post(
            "/transfers",
            {"beneficiary_clabe": to, "ordering_clabe": sender, "ordering_name": name, "amount": amount}
            | more,
        )
        assert status == 201, told
        return Transfer(told["clave"], date.fromisoformat(told["operation_date"]), told["institution"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
