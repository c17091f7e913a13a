"""API keys: `door` turns one back into its holder at every request, `managing` makes and ends them.

A key is 256 random bits, shown once and stored as a digest. A key that must sign has a second secret,
derived from a root that is kept in a file, so that the database alone can forge nothing.
"""

from ledger.keys.door import HOLDER, READING, REFUSALS, KeyRing
from ledger.keys.managing import create_key, list_keys, revoke_key, revoke_keys, rotate_key
from ledger.keys.secrets import SigningRoots

__all__ = [
    "HOLDER",
    "READING",
    "REFUSALS",
    "KeyRing",
    "SigningRoots",
    "create_key",
    "list_keys",
    "revoke_key",
    "revoke_keys",
    "rotate_key",
]
