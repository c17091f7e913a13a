"""Every guard of the gate, in the order in which they are taken away."""

from __future__ import annotations

from typing import Final

from tools.mutations import (
    badges,
    barring,
    betting,
    cards,
    edge,
    engine,
    identity,
    lane,
    ledger,
    limits,
    messages,
    payments,
    reading,
    transfers,
    withholding,
)
from tools.mutations.guards import CodeGuard, DatabaseGuard

EVERY: Final[tuple[CodeGuard | DatabaseGuard, ...]] = (
    *cards.CODE, *transfers.CODE, *reading.CODE, *edge.CODE, *identity.CODE, *limits.CODE, *betting.CODE, *barring.CODE,
    *engine.CODE, *ledger.CODE, *lane.CODE, *messages.CODE, *payments.CODE, *withholding.CODE,
    *cards.DATABASE, *transfers.DATABASE, *identity.DATABASE, *limits.DATABASE, *badges.DATABASE, *betting.DATABASE,
    *barring.DATABASE, *ledger.DATABASE, *messages.DATABASE, *payments.DATABASE, *withholding.DATABASE,
)  # fmt: skip
