"""The real rail in a process of its own, and what a customer of another bank does there."""

import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
from payments.domain.deposits import Transfer

SENDER = "002010077777777771"
OTHER_SENDER = "012180015555555550"
ROOT = Path(__file__).parents[3]
STARTS_WITHIN_SECONDS = 20.0


@dataclass
class Server:
    """A simulator in a process of its own, that can be killed and started again on the same log."""

    command: tuple[str, ...]
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it listens."""
        if self.process is not None and self.process.poll() is None:
            return
        self.process = subprocess.Popen(  # noqa: S603 - our own simulators
            [sys.executable, "-m", *self.command],
            cwd=ROOT,
            env=os.environ | {"PORT": str(self.port)} | self.environment,
        )
        patience = time.monotonic() + STARTS_WITHIN_SECONDS
        while time.monotonic() < patience:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"{self.command} did not start")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class RailProcess:
    """The rail's two servers: the participant, and the central bank that reads the same truth log."""

    state_file: Path
    port: int
    central_bank_port: int = field(default_factory=lambda: free_port())
    client_key_file: Path | None = None

    def __post_init__(self) -> None:
        told = {"STATE_FILE": str(self.state_file)}
        keyed = {"CLIENT_PUBLIC_KEY_FILE": str(self.client_key_file)} if self.client_key_file else {}
        self.participant = Server(("tools.rail",), self.port, told | keyed)
        self.central_bank = Server(("tools.rail", "central-bank"), self.central_bank_port, told)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def central_bank_url(self) -> str:
        return f"http://127.0.0.1:{self.central_bank_port}"

    def start(self) -> None:
        """Start both, unless they run, and wait until they listen."""
        self.participant.start()
        self.central_bank.start()

    def kill(self) -> None:
        """kill -9, both."""
        self.participant.kill()
        self.central_bank.kill()

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
        base = self.central_bank_url if path == "/cep" else self.url
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, base + path, json=body, params=params) as answer,
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


@dataclass
class PspProcess:
    """The simulated card provider."""

    state_file: Path
    port: int
    webhook_url: str | None = None
    webhook_secret: str = "whsec_" + base64.b64encode(b"provider's webhook secret").decode()

    def __post_init__(self) -> None:
        self.server = Server(
            ("tools.chaos_psp",),
            self.port,
            {
                "STATE_FILE": str(self.state_file),
                "API_KEY_FILE": str(self._file("psp-key", PSP_KEY)),
                "READ_KEY_FILE": str(self._file("psp-read-key", PSP_READ_KEY)),
                "PAYOUT_EVERY_SECONDS": "0",
                "WEBHOOK_SECRET_FILE": str(self._file("psp-webhooks", self.webhook_secret)),
            }
            | ({"WEBHOOK_URL": self.webhook_url} if self.webhook_url else {}),
        )

    def _file(self, name: str, text: str) -> Path:
        path = self.state_file.with_name(name)
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {PSP_KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.request(method, self.url + path, json=body) as answer,
        ):
            told: dict[str, Any] = await answer.json()
            return told

    async def faults(self, **rates: float) -> None:
        """Which faults strike from now on, and nothing else."""
        await self.ask("PUT", "/control/faults", {"rates": rates, "hold_seconds": 1.0, "lag_seconds": 0.3})


PSP_KEY = "psp-test-key"
PSP_READ_KEY = "psp-test-key-that-only-reads"
"""The attestor's: it orders nothing."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
