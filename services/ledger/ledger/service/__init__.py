"""The ledger's use cases: posting, correcting, holding, reading, closing, rebuilding; one transaction each."""

from ledger.service.account_keeping import AccountKeeping
from ledger.service.correcting import Correcting
from ledger.service.exporting import Exporting
from ledger.service.finding import Finding
from ledger.service.holding import Holding
from ledger.service.limiting import Limiting
from ledger.service.posting import Ledger, accept_receipt
from ledger.service.reading import Reading

__all__ = [
    "AccountKeeping",
    "Correcting",
    "Exporting",
    "Finding",
    "Holding",
    "Ledger",
    "Limiting",
    "Reading",
    "accept_receipt",
]
