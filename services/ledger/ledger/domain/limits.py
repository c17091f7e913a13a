"""Responsible gaming: how much a player may deposit, stake and lose in a day, a week, a month, and whether at all.

Only stakes and deposits are refused. What is under way goes to its end whatever the limits say: matches, releases,
settlements, withdrawals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal

from common.errors import DomainError

from ledger.domain import refusals
from ledger.domain.books import Account
from ledger.domain.chart import Chart, Kind
from ledger.domain.standings import Count, Standing

COUNTED: Final = frozenset({"player.available", "player.uncleared", "player.debt"})
"""The classes of accounts on which a player's own money comes, goes and is owed."""


LIMIT: Final = "player.limit"
"""The kind that lets a principal set players' limits. No entry has it."""

Capped = Literal["refuse", "wait"] | None
WAIT_SECONDS: Final = 60
"""After how long to ask again for what waits until a period is over."""


def check_limiting(permitted: frozenset[str]) -> None:
    """Raises MayNotLimit unless a principal that may do what is `permitted` may set players' limits."""
    if LIMIT not in permitted:
        raise refusals.MayNotLimit("this principal may not set players' limits")


def after(
    kind: Kind,
    lines: Sequence[tuple[Account, Decimal]],
    known: Mapping[str, Standing],
    chart: Chart,
    *,
    capped: Capped,
) -> dict[str, Standing]:
    """Where the players with a policy stand when these postings of an entry of that kind are made. For a mirror,
    `kind` is its original's, which it takes back; `capped` is always the entry's own.

    Raises PlayerBlocked, LimitExceeded; LimitNotReady for what may wait; LimitsUnread when a player has a policy
    that is not in `known`.
    """
    standings: dict[str, Standing] = {}
    if kind.counts is None:
        return standings
    for account, amount in lines:
        player = account.owner
        if not account.limited or player is None or account.cls.name not in COUNTED:
            continue
        standing = standings.get(player) or known.get(player)
        if standing is None:
            raise refusals.LimitsUnread("the player's limits are not at hand")
        standing = _moved(kind, standing, account.currency, amount)
        beyond = _beyond(kind, standing, account.currency, chart) if capped else None
        if beyond is not None and capped == "wait":
            raise refusals.LimitNotReady(beyond.detail, field=beyond.field, retry_after=WAIT_SECONDS)
        if beyond is not None:
            raise beyond
        standings[player] = standing
    return standings


def _moved(kind: Kind, standing: Standing, currency: str, amount: Decimal) -> Standing:
    """`amount` is as posted: a credit to the player is negative."""
    counts = dict(standing.counts)
    for period in ("day", "week", "month"):
        count = counts.get((currency, period), Count())
        if kind.counts == "deposit":
            count = replace(count, deposited=count.deposited - amount)
        elif kind.counts == "stake":
            count = replace(count, staked=count.staked + amount)
        else:
            count = replace(count, returned=count.returned - amount)
        counts[currency, period] = count
    return replace(standing, counts=counts)


def _beyond(kind: Kind, standing: Standing, currency: str, chart: Chart) -> DomainError | None:
    """Why an entry of that kind, which has led to this standing, is not to be."""
    if standing.blocked:
        return refusals.PlayerBlocked("neither stakes nor deposits now", field="kind")
    for cap in standing.caps:
        if cap.currency != currency or (cap.measure == "deposit") != (kind.counts == "deposit"):
            continue
        if standing.counts[currency, cap.period].of(cap.measure) > cap.amount:
            return refusals.LimitExceeded(
                f"beyond the {cap.measure} limit of {chart.money(cap.amount, currency)} a {cap.period}",
                field="postings",
                extra={"measure": cap.measure, "period": cap.period},
            )
    return None
