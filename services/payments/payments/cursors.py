"""Cursors: where a page begins, opaque to the client."""

import base64
import binascii
from uuid import UUID

from common.errors import Invalid
from common.http.cursors import cursor_moment

from payments.domain.refusals import InvalidCursor
from payments.store.pages import Place


def write_cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{place.at.isoformat()} {place.id}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> Place:
    """Raises `InvalidCursor` for anything that no page of ours ended with."""
    try:
        padded = text + "=" * (-len(text) % 4)
        at, _, identity = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii").partition(" ")
        return Place(cursor_moment(at), UUID(identity))
    except (Invalid, ValueError, binascii.Error) as error:
        raise InvalidCursor("take the cursor from the page before", field="after") from error
