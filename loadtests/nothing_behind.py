"""The ledger's door with nothing behind it: what no engine behind the same door could exceed. Never a ledger.

`loadtests.posts --nothing-behind` starts `python -m loadtests.nothing_behind serve` in the ledger's place. Connections, keys,
reading, the command's id and fingerprint, and the answer are the ledger's own; but nothing is decided, nothing is written, and
every post is answered at once.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

from ledger.cli import main
from ledger.domain.commands import Command
from ledger.service import Ledger
from ledger.store.outcomes import PostedEntry, PostedLeg

_SEQUENCE = count(1)


async def answer(_: Ledger, command: Command) -> tuple[PostedEntry, bool]:
    """An entry as it would look, in the ledger's place."""
    now = datetime.now(UTC)
    legs = [
        PostedLeg(leg.account, leg.currency, 1, leg.amount, Decimal("100.00"), 1, leg.hold)
        for leg in command.legs
    ]
    return (
        PostedEntry(
            command.id,
            next(_SEQUENCE),
            command.kind,
            command.principal,
            command.key,
            command.fingerprint,
            command.reference,
            dict(command.metadata),
            command.receipt,
            now,
            now,
            tuple(legs),
        ),
        False,
    )


if __name__ == "__main__":
    Ledger.post = answer  # type: ignore[method-assign, assignment] # that is the experiment
    sys.exit(main())
