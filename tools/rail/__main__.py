"""`python -m tools.rail [central-bank]`: serve the simulated rail, or the central bank's receipts.

The two are separate servers: each can be down, slow or wrong by itself. Environment: HOST, PORT, STATE_FILE (the
truth log, which the central bank only reads), RAIL_DELAY_SECONDS and CLIENT_PUBLIC_KEY_FILE (orders must be signed
with its private half; without it they need no signature).
"""

import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic_settings import BaseSettings

from tools.rail.api import BEHAVIOUR, BOOK, CENTRAL_BANK_ROUTES, CLIENT_KEY, LOG, READER, ROUTES, refusals
from tools.rail.book import Behaviour
from tools.rail.chaos import SEEN, STRUCK, strike_by, told_of_faults
from tools.rail.truth import TruthLog, TruthReader


class Settings(BaseSettings):
    """What the rail is told at the start."""

    host: str = "127.0.0.1"
    port: int
    state_file: Path
    rail_delay_seconds: float = 0.0
    client_public_key_file: Path | None = None


def build_app(settings: Settings) -> web.Application:
    """The participant. Raises ValueError or OSError for a bad key."""
    app = web.Application(middlewares=[strike_by(BEHAVIOUR, lambda app: app[BOOK]), refusals])
    app[SEEN], app[STRUCK] = Counter(), Counter()
    app[BEHAVIOUR] = Behaviour(delay_seconds=settings.rail_delay_seconds)
    app[LOG] = TruthLog(settings.state_file)
    app[BOOK] = app[LOG].replay()
    if settings.client_public_key_file is not None:
        key = load_pem_public_key(settings.client_public_key_file.read_bytes())
        if not isinstance(key, RSAPublicKey):
            raise ValueError(f"{settings.client_public_key_file} holds no RSA key")
        app[CLIENT_KEY] = key
    app.add_routes((*ROUTES, web.get("/faults", told_of_faults)))
    app.cleanup_ctx.append(_close_log)
    return app


def build_central_bank(settings: Settings) -> web.Application:
    """The central bank: it reads what the rail has written down, and says of it what it says."""
    app = web.Application(middlewares=[strike_by(BEHAVIOUR, lambda app: app[READER].refresh()), refusals])
    app[SEEN], app[STRUCK], app[BEHAVIOUR] = Counter(), Counter(), Behaviour()
    app[READER] = TruthReader(settings.state_file)
    app.add_routes((*CENTRAL_BANK_ROUTES, web.get("/faults", told_of_faults)))
    return app


async def _close_log(app: web.Application) -> AsyncIterator[None]:
    yield
    app[LOG].close()


def main() -> None:
    settings = Settings()
    app = build_central_bank(settings) if sys.argv[1:] == ["central-bank"] else build_app(settings)
    web.run_app(app, host=settings.host, port=settings.port, print=None)


if __name__ == "__main__":
    main()
