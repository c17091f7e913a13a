"""Betting's use cases, one transaction each.

`registry` and `programme` set races up. `placing` (by way of the `desk` and the `floor`), `trading` and `suspending` are the
exchange; `batching` and `session` are how a floor works. `gates`, `officiating` and `settling` end a race.
"""
