"""A day of mixed payments against providers that lie, while our own processes are killed.

Everything is real: the stack's processes, its databases and broker, the rail's two servers and the card provider.
What is asked for and what goes wrong at the providers is drawn from a seed; when something is killed, and what is
being worked on at that moment, is not. Whatever happens in between, the invariants hold at every look, and the same
seed ends in the same books.
"""
