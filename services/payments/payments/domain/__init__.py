"""What payments knows: accounts at banks, claims and evidence, and how a deposit or a withdrawal may move.

Pure: no clock, no randomness, no I/O.
"""
