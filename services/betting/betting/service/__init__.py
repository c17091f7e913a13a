"""Betting's use cases, one transaction each.

`programme` sets races up, `placing` and `trading` are the exchange, `officiating` and `settling` end a race.
"""
