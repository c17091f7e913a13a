"""Every guard of the gate, in the order in which they are taken away."""

from __future__ import annotations

from typing import Final

from tools.mutations import (
    badges,
    barring,
    betting,
    edge,
    engine,
    identity,
    lane,
    ledger,
    limits,
    messages,
    payments,
    withholding,
)
from tools.mutations.guards import CODE, DATABASE, CodeGuard, DatabaseGuard

EVERY: Final[tuple[CodeGuard | DatabaseGuard, ...]] = (
    *CODE, *edge.CODE, *identity.CODE, *limits.CODE, *betting.CODE, *barring.CODE, *engine.CODE, *ledger.CODE, *lane.CODE,
    *messages.CODE, *payments.CODE, *withholding.CODE,
    *DATABASE, *identity.DATABASE, *limits.DATABASE, *badges.DATABASE, *betting.DATABASE, *barring.DATABASE,
    *ledger.DATABASE, *messages.DATABASE, *payments.DATABASE, *withholding.DATABASE,
)  # fmt: skip
