"""The posting engine: commands from both doors, committed in groups.

`queue.py` gathers while the last batch commits; `batch.py` commits one batch.
"""

from ledger.engine.queue import PostingEngine
from ledger.store.outcomes import PostedEntry

__all__ = ["PostedEntry", "PostingEngine"]
