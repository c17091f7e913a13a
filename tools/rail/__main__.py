"""`python -m tools.rail`: serve the simulated rail.

Environment: HOST, PORT, STATE_FILE (the truth log) and RAIL_DELAY_SECONDS.
"""

from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from pydantic_settings import BaseSettings

from tools.rail.api import BEHAVIOUR, BOOK, LOG, ROUTES, refusals
from tools.rail.book import Behaviour
from tools.rail.truth import TruthLog


class Settings(BaseSettings):
    """What the rail is told at the start."""

    host: str = "127.0.0.1"
    port: int
    state_file: Path
    rail_delay_seconds: float = 0.0


def build_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=[refusals])
    app[BEHAVIOUR] = Behaviour(delay_seconds=settings.rail_delay_seconds)
    app[LOG] = TruthLog(settings.state_file)
    app[BOOK] = app[LOG].replay()
    app.add_routes(ROUTES)
    app.cleanup_ctx.append(_close_log)
    return app


async def _close_log(app: web.Application) -> AsyncIterator[None]:
    yield
    app[LOG].close()


def main() -> None:
    settings = Settings()
    web.run_app(build_app(settings), host=settings.host, port=settings.port, print=None)


if __name__ == "__main__":
    main()
