"""What can become of a message on its way to a broker, whichever broker that is."""

from __future__ import annotations

from common.errors import Unavailable


class BrokerUnavailable(Unavailable):
    """The broker cannot be reached, or went away before it answered."""

    slug = "broker-unavailable"
    title = "Message broker unavailable"


class NotTaken(Exception):
    """The broker did not take a message."""


class Unroutable(NotTaken):
    """Nobody there would ever get it: the broker gave the message back."""


class Nacked(NotTaken):
    """The broker refused: it is full, or its leader is changing."""


class Rejected(NotTaken):
    """The broker will never have this message: no such exchange, a key that this login may not use, a thing that
    cannot be written."""


class Unconfirmed(NotTaken):
    """No word in time, or the link broke before it. The message may have arrived or may yet."""


class Unclear(Unconfirmed):
    """The broker ended the channel over one of the messages sent together and did not say which: one alone is told."""
