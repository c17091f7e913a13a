"""Sealing the journal: `sealer` makes seals, `proofs` shows them, `checking` reads everything again,
`exporting` writes what `tools/verify_journal.py` verifies elsewhere."""

from ledger.sealing.checking import Finding, check_seals
from ledger.sealing.exporting import export_journal
from ledger.sealing.keys import SealingKeys, make_key, rotate_key
from ledger.sealing.proofs import Seals
from ledger.sealing.sealer import Sealer

__all__ = [
    "Finding",
    "Sealer",
    "SealingKeys",
    "Seals",
    "check_seals",
    "export_journal",
    "make_key",
    "rotate_key",
]
