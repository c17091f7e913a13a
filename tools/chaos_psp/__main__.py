"""`python -m tools.chaos_psp`: serve the simulated card provider.

Environment: HOST, PORT, STATE_FILE (its log), API_KEY_FILE, READ_KEY_FILE (a key that may look and
order nothing), WEBHOOK_URL and WEBHOOK_SECRET_FILE (Standard Webhooks, the
first line counts; without them it sends none) and PAYOUT_EVERY_SECONDS (0: settlement files are published only by order).
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web
from pydantic_settings import BaseSettings
from standardwebhooks.webhooks import Webhook

from tools.chaos_psp.api import API_KEY, READ_KEY, ROUTES, STATE, State, publish, refusals
from tools.chaos_psp.faults import Faults
from tools.chaos_psp.log import Log
from tools.chaos_psp.webhooks import Sender


class Settings(BaseSettings):
    """What the provider is told at the start."""

    host: str = "127.0.0.1"
    port: int
    state_file: Path
    api_key_file: Path
    read_key_file: Path | None = None
    webhook_url: str | None = None
    webhook_secret_file: Path | None = None
    payout_every_seconds: float = 30.0


def build_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=[refusals])
    log = Log(settings.state_file)
    secrets = settings.webhook_secret_file
    webhook = Webhook(secrets.read_text(encoding="utf-8").split()[0]) if secrets else None
    sender = Sender(settings.webhook_url, webhook, Faults())
    app[STATE] = State(log.replay(), log, sender, hold_seconds=2.0, lag_seconds=0.3)
    app[API_KEY] = settings.api_key_file.read_text(encoding="utf-8").strip()
    reading = settings.read_key_file
    app[READ_KEY] = reading.read_text(encoding="utf-8").strip() if reading else None
    app.add_routes(ROUTES)

    async def sending(app: web.Application) -> AsyncIterator[None]:
        sender.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3))
        paying = asyncio.create_task(_pay_out(app[STATE], settings.payout_every_seconds))
        yield
        paying.cancel()
        await asyncio.gather(paying, return_exceptions=True)
        await sender.close()
        log.close()

    app.cleanup_ctx.append(sending)
    return app


async def _pay_out(state: State, every_seconds: float) -> None:
    while every_seconds > 0:
        await asyncio.sleep(every_seconds)
        publish(state)


def main() -> None:
    settings = Settings()
    web.run_app(build_app(settings), host=settings.host, port=settings.port, print=None)


if __name__ == "__main__":
    main()
