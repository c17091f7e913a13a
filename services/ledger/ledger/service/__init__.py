"""The ledger's use cases: posting, reading, closing, rebuilding; one transaction each."""

from ledger.service.exporting import Exporting
from ledger.service.finding import Finding
from ledger.service.posting import Ledger, accept_receipt
from ledger.service.reading import Reading

__all__ = ["Exporting", "Finding", "Ledger", "Reading", "accept_receipt"]
