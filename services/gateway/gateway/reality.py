"""Reality checks: whoever has been playing for an hour is told so, with every answer, until they log out."""

from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

PLAYING_SINCE: Final = web.RequestKey("playing_since", datetime)
EVERY: Final = timedelta(hours=1)
HEADER: Final = "Reality-Check"


async def remind(request: web.Request, response: web.StreamResponse) -> None:
    """Tell how long the session has lasted and how often to interrupt; for `on_response_prepare`.

    An app shows it when `minutes` has passed another multiple of `every`.
    """
    since = request.get(PLAYING_SINCE)
    if since is not None and datetime.now(UTC) - since >= EVERY:
        minutes = int((datetime.now(UTC) - since).total_seconds() // 60)
        response.headers[HEADER] = f"minutes={minutes}, every={int(EVERY.total_seconds() // 60)}"
