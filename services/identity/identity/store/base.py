"""What every store has: one connection, and the way events leave."""

from collections.abc import Sequence

from common.outbox import Announcement, announce_all
from common.pg import Connection
from contracts.envelope import Envelope


class Store:
    """Statements over one connection; the caller holds the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def announce(self, *events: Envelope) -> None:
        """Let events leave when this transaction commits, in this order."""
        told: Sequence[Announcement] = [
            Announcement(aggregate=each.partitionkey, version=each.sequence, envelope=each) for each in events
        ]
        await announce_all(self._connection, told)
