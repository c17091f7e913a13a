"""A simulated card provider that can be told to lie.

A real HTTP server with a truth ledger of its own and a stranger to the platform: it shares no code with it. With
every fault off it is an honest provider, and that is what the development stack talks to. Its faults are drawn
from a seed and from what is asked, never from when: the same seed and the same wishes meet the same fate, in
whatever order and however often they are asked.
"""
