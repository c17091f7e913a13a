"""Live updates: what committed events make of markets, told to everybody who watches.

Read `images` (what a market looks like and what changed), `watchers` (one client's queue), `hub` (events to watchers),
`feed` (where the events come from), `doors` (WebSocket and SSE) in that order.

Every replica of the gateway listens to all events on a queue of its own and keeps the images its clients watch, so any
replica can serve any client. Commands go over HTTP; nothing is ever asked for here but to watch.
"""
