"""What a market's entries make of its escrow: the stakes in it, its settlements, and what settling brought each.

Refusals are as in `decide`, and every rule stands a second time in the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial

from ledger.domain import refusals
from ledger.domain.books import Account, Books, Settlement, ShareKey, Stake
from ledger.domain.chart import Kind
from ledger.domain.commands import Command, SettlementPart
from ledger.domain.lines import Line

ZERO = Decimal(0)
MARKETS = "markets/"


def stakes_after(
    command: Command, kind: Kind, lines: list[Line], books: Books
) -> dict[tuple[str, str], Stake]:
    """What each player has in the market once these `lines` are posted; nothing for a kind that stakes nothing.

    Raises:
        EscrowFrozen: the market is being settled.
    """
    if not kind.stake:
        return {}
    if command.reference in books.settlements:
        raise refusals.EscrowFrozen(f"{command.reference} is already settling", field="reference")
    after: dict[tuple[str, str], Stake] = {}
    for line in lines:
        if line.account.cls.owner_kind == "player" and line.account.owner is not None:
            key = (command.reference, line.account.owner)
            stake = after.get(key) or books.stakes.get(key) or Stake(ZERO, ZERO)
            after[key] = replace(stake, contributed=stake.contributed + line.amount)
    return after


def settlement_after(command: Command, kind: Kind, lines: list[Line], books: Books) -> Settlement | None:
    """The market's settlement once this chunk is posted; None for what is no chunk of any.

    Raises:
        SettlementMismatch: it does not fit the version it names, or pays or takes back too much.
        EscrowNotReady: what it pays out of is not all there yet.
        TemplateViolation: it names no escrow.
    """
    part = command.settlement
    if part is None:
        return None
    if command.reference != f"{MARKETS}{part.market}":
        raise refusals.SettlementMismatch("the reference names another market", field="settlement.market")
    escrow = next((line.account for line in lines if line.account.cls.owner_kind == "market"), None)
    if escrow is None:
        raise refusals.TemplateViolation(f"{kind.name} pays out of an escrow", field="postings")
    money = partial(books.chart.money, currency=escrow.currency)
    header = _header(command, kind, part, escrow, books, money)
    if part.chunk in header.seen:
        raise refusals.SettlementMismatch(f"chunk {part.chunk} was posted before", field="settlement.chunk")
    if kind.settlement == "recover":
        return _recovered(header, part.chunk, into_market(lines), money)
    paid = header.paid + _out_of_market(lines)
    last = len(header.seen) + 1 == header.chunks
    if paid > header.total or (last and paid != header.total):
        raise refusals.SettlementMismatch(
            f"the chunks pay {money(paid)} of {money(header.total)} {'in all' if last else 'so far'}",
            field="settlement.total",
        )
    return replace(header, paid=paid, seen=header.seen | {part.chunk})


def _header(
    command: Command,
    kind: Kind,
    part: SettlementPart,
    escrow: Account,
    books: Books,
    money: Callable[[Decimal], str],
) -> Settlement:
    """The open settlement this chunk belongs to, or a new one: a first version when the whole escrow is there, a
    later one when something is recovered for it."""
    known = books.settlements.get(command.reference)
    if known is not None and known.version == part.version:
        if known.closed or (known.total, known.chunks, known.escrow_id) != (
            part.total,
            part.chunks,
            escrow.id,
        ):
            raise refusals.SettlementMismatch(
                "the chunk does not fit its settlement's header", field="settlement"
            )
        if known.version > 1 and kind.settlement != "recover" and known.recovered < known.total:
            raise refusals.EscrowNotReady(
                f"{money(known.recovered)} of {money(known.total)} has been recovered",
                field="settlement.total",
                retry_after=1,
            )
        return known
    if known is not None and known.closed and part.version == known.version + 1:
        if kind.settlement != "recover":
            raise refusals.EscrowNotReady("nothing has been recovered yet", field="settlement", retry_after=1)
        return Settlement(part.version, part.total, ZERO, part.chunks, escrow.id, frozenset())
    if part.version != 1 or known is not None or kind.settlement == "recover":
        raise refusals.SettlementMismatch(f"version {part.version} is not next", field="settlement.version")
    escrowed = books.escrowed.get(command.reference, ZERO)
    if escrowed < part.total:
        raise refusals.EscrowNotReady(
            f"{money(escrowed)} of {money(part.total)} has reached the escrow",
            field="settlement.total",
            retry_after=1,
        )
    if escrowed > part.total:
        raise refusals.SettlementMismatch(
            f"the escrow holds {money(escrowed)}, not {money(part.total)}", field="settlement.total"
        )
    return Settlement(part.version, part.total, ZERO, part.chunks, escrow.id, frozenset())


def _recovered(
    header: Settlement, chunk: int, amount: Decimal, money: Callable[[Decimal], str]
) -> Settlement:
    """The header after a chunk that takes back; the last chunk is one that pays."""
    recovered = header.recovered + amount
    if recovered > header.total or len(header.seen) + 1 == header.chunks:
        raise refusals.SettlementMismatch(
            f"the chunks recover {money(recovered)} of {money(header.total)}", field="settlement.total"
        )
    return replace(header, recovered=recovered, seen=header.seen | {chunk})


def returned_stakes(
    command: Command, kind: Kind, lines: list[Line], books: Books
) -> dict[tuple[str, str], Stake]:
    """Every player paid must have staked; a void returns no more than the stake. Raises SettlementMismatch."""
    after: dict[tuple[str, str], Stake] = {}
    for line in lines:
        if line.account.cls.owner_kind != "player" or line.account.owner is None:
            continue
        key = (command.reference, line.account.owner)
        stake = after.get(key) or books.stakes.get(key)
        if stake is None:
            raise refusals.SettlementMismatch(
                f"{line.account.path} has no stake in {command.reference}", field=f"{line.field}.account"
            )
        if kind.settlement == "void":
            stake = replace(stake, returned=stake.returned - line.amount)
            if stake.returned > stake.contributed:
                raise refusals.SettlementMismatch(
                    f"{line.account.path} staked only {books.chart.money(stake.contributed, line.account.currency)}",
                    field=f"{line.field}.amount",
                )
            after[key] = stake
    return after


def shares_after(command: Command, kind: Kind, lines: list[Line], books: Books) -> dict[ShareKey, Decimal]:
    """What settling the market has brought each. From nobody is more taken back than that, be it only as a debt:
    raises SettlementMismatch."""
    after: dict[ShareKey, Decimal] = {}
    for line in lines:
        if line.account.cls.owner_kind == "market":
            continue
        key = (command.reference, line.account.owner or line.account.path)
        before = after.get(key, books.shares.get(key, ZERO))
        after[key] = before - line.amount
        if kind.settlement == "recover" and after[key] < 0:
            raise refusals.SettlementMismatch(
                f"{command.reference} has brought {line.account.path} no more than "
                f"{books.chart.money(before, line.account.currency)}",
                field=f"{line.field}.amount",
            )
    return after


def into_market(lines: list[Line]) -> Decimal:
    """What the escrow receives."""
    return -sum((line.amount for line in lines if line.account.cls.owner_kind == "market"), ZERO)


def _out_of_market(lines: list[Line]) -> Decimal:
    return sum((line.amount for line in lines if line.account.cls.owner_kind == "market"), ZERO)
