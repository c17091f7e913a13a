"""A team that keeps its own books writes them into the ledger as well, and compares, before it moves over.

`books.py` is what the team had before: payments in its own SQLite file, and a feed of what changed.
`shadow.py` follows the feed: a payment made is posted, one amended is reversed and posted anew, one taken back is
reversed. `report.py` compares both and says what drifted. docs/integrate.md walks through it.
"""
