"""Cursors: where a page ended, opaque to the client.

A cursor carries the name of the order it belongs to, so that one taken from another list is refused instead of being
read as a place in this one.
"""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Final

from common.errors import Invalid

MAX_CURSOR: Final = 600
"""Characters; more cannot be a cursor of ours."""


def write_cursor(order: str, *place: str | int) -> str:
    """A cursor at `place` in that order."""
    text = json.dumps([order, *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(
    cursor: str, order: str, *kinds: type[str] | type[int], field: str = "after"
) -> list[str | int]:
    """The place that `write_cursor` was given, as values of those kinds.

    Raises `Invalid`, naming `field`, for anything that no page in this order ended with.
    """
    try:
        if len(cursor) > MAX_CURSOR or "=" in cursor:
            raise ValueError("not as we write them")
        padded = (cursor + "=" * (-len(cursor) % 4)).encode("ascii")
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(found, list) or not found or found[0] != order:
            raise ValueError("of another list")
        place: list[str | int] = found[1:]
        if [type(each) for each in place] != list(kinds):
            raise ValueError("of another shape")
        if any(isinstance(each, str) and "\0" in each for each in place):
            raise ValueError("with a NUL")
        for each in place:
            str(each).encode()  # half of a surrogate pair is no text
        if any(isinstance(each, int) and not -(2**63) <= each < 2**63 for each in place):
            raise ValueError("beyond every number")
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Invalid("take the cursor from the page before, with the same filters", field=field) from error
    return place


def cursor_moment(text: str, *, field: str = "after") -> datetime:
    """A moment out of a cursor, in UTC. Raises `Invalid`, naming `field`, for one without an offset or beyond the calendar."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("a moment has an offset")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid("take the cursor from the page before", field=field) from error
