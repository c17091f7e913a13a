"""What things are called by: one type per identity, so that no two can be mixed up."""

from typing import NewType, TypeAlias
from uuid import UUID

EventId = NewType("EventId", UUID)
RaceId = NewType("RaceId", UUID)
RunnerId = NewType("RunnerId", UUID)
MarketId = NewType("MarketId", UUID)
OfferId = NewType("OfferId", UUID)
FillId = NewType("FillId", UUID)
UserId = NewType("UserId", UUID)
StableId = NewType("StableId", UUID)
SuspensionId = NewType("SuspensionId", UUID)

Minor: TypeAlias = int
"""A whole number of minor units (centavos) of the market's currency."""
