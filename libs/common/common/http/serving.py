"""Serving until told to stop, and then stopping without losing a request."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvloop
from aiohttp import web

from common.http.app import READINESS
from common.http.lane import lane
from common.settings import ServiceSettings
from common.telemetry.logs import configure_logs

BACKLOG = 1024
KEEPALIVE_SECONDS = 75.0

_log = logging.getLogger(__name__)


def run(app: web.Application, settings: ServiceSettings, fast: Sequence[tuple[str, str]] = ()) -> None:
    """Serve the application in this process until SIGTERM or SIGINT, then drain and return. The routes with the methods and
    paths of `fast` are served by the fast lane (`lane.py`)."""
    configure_logs(settings.service, settings.log_level)
    # What is loaded by now stays: the collector need not look at it again, and what requests leave behind is
    # freed by counting references. With the default thresholds it stopped a busy process for tens of milliseconds.
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_signalled(app, settings, fast))


async def serve(
    app: web.Application, settings: ServiceSettings, stop: asyncio.Event, fast: Sequence[tuple[str, str]] = ()
) -> None:
    """Serve until `stop` is set, then drain.

    First readiness fails while requests are still served and every answer closes its connection, so
    that callers turn away by themselves; then the port closes and requests in flight finish, each
    wait bounded by the settings.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=settings.shutdown_seconds / 2,  # aiohttp waits, cancels, and waits as long again
    )
    await runner.setup()
    try:
        async with _open_door(app, runner, settings, fast):
            _log.info("serving", extra={"host": settings.host, "port": settings.port})
            await stop.wait()
            app[READINESS].draining = True
            _log.info("draining")
            await asyncio.sleep(settings.drain_seconds)
    finally:
        await runner.cleanup()
    _log.info("stopped")


@asynccontextmanager
async def _open_door(
    app: web.Application, runner: web.AppRunner, settings: ServiceSettings, fast: Sequence[tuple[str, str]]
) -> AsyncIterator[None]:
    """The port, until this ends. aiohttp's connections outlast it: the runner sees to them."""
    if not fast:
        await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
        yield
        return
    others = runner.server
    if others is None:
        raise RuntimeError("the runner is not set up")
    half = settings.shutdown_seconds / 2
    async with lane(app, fast, others, host=settings.host, port=settings.port, shutdown_seconds=half):
        yield


async def _until_signalled(
    app: web.Application, settings: ServiceSettings, fast: Sequence[tuple[str, str]]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(app, settings, stop, fast)
