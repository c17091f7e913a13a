"""The fast lane: a few of an application's routes served by a bare asyncio protocol, on the application's own port.

Only the transport differs. Requests are read by `httptools` (llhttp) instead of aiohttp's server, and then go the same
way through the same middleware (`edge.py`) into the same handlers, which find what they use of a request in `LaneRequest`.
So who may do what, how often and how large, what is answered and what is logged is the same either way.

A connection is in the lane as long as each request begins with the very line of one of its routes. At the first that
begins with anything else it is handed over to aiohttp, as it came and for good. See docs/adr/0072-fast-lane.md.
"""

from common.http.lane.port import lane
from common.http.lane.served import EDGE, Lane

__all__ = ["EDGE", "Lane", "lane"]
