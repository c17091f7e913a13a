"""A ledger small enough to be read at a glance: it books what betting asks for and refuses what cannot be.

The real one is tried by the end-to-end tests. This one can be made to fall silent at the worst moments.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import NAMESPACE_OID, UUID, uuid5

from contracts.ledger import EntryCommitted, EntryRequest, PostedLeg, Posting, PostRequested, Side

CREDIT = {Side.DEBIT: -1, Side.CREDIT: 1}


class Refusal(Exception):
    """A lasting no."""


class NotYet(Exception):
    """What the entry waits for has not been booked."""


@dataclass
class Books:
    balances: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    holds: dict[UUID, Decimal] = field(default_factory=dict)
    answers: dict[str, EntryCommitted | Refusal] = field(default_factory=dict)
    sequences: Counter[str] = field(default_factory=Counter)
    paid: Counter[tuple[str, int]] = field(default_factory=Counter)
    versions: dict[str, int] = field(default_factory=dict)

    def fund(self, user: UUID, amount: str) -> None:
        self.balances[f"players/{user}/available"] += Decimal(amount)

    def post(self, key: str, wanted: EntryRequest) -> EntryCommitted:
        """Book an entry once. Raises Refusal (for ever) or NotYet."""
        if key not in self.answers:
            try:
                self.answers[key] = self._entry(key, wanted, self._book(wanted))
            except Refusal as refusal:
                self.answers[key] = refusal
        answer = self.answers[key]
        if isinstance(answer, Refusal):
            raise answer
        return answer

    @property
    def everything(self) -> Decimal:
        return sum(self.balances.values(), Decimal(0))

    def of(self, user: UUID) -> Mapping[str, str]:
        """What a player has, by account."""
        prefix = f"players/{user}/"
        return {
            path.removeprefix(prefix): str(amount)
            for path, amount in self.balances.items()
            if path.startswith(prefix)
        }

    def _book(self, wanted: EntryRequest) -> tuple[Posting, ...]:
        """The legs as they were booked."""
        self._check(wanted)
        legs = tuple(self._with_debts(wanted))
        for leg in legs:
            self.balances[leg.account] += CREDIT[leg.side] * Decimal(leg.amount)
            self.sequences[leg.account] += 1
            if leg.hold is not None:
                self.holds[leg.hold] = self.holds.get(leg.hold, Decimal(0)) + CREDIT[leg.side] * Decimal(
                    leg.amount
                )
        return legs

    def _with_debts(self, wanted: EntryRequest) -> Iterator[Posting]:
        """What a player lacks when too much is taken back becomes a debt."""
        for leg in wanted.postings:
            left = self.balances[leg.account] - Decimal(leg.amount)
            if wanted.kind != "bet.resettle" or leg.side is Side.CREDIT or left >= 0:
                yield leg
                continue
            owed = leg.account.replace("/available", "/debt")
            if left + Decimal(leg.amount):
                yield leg.model_copy(update={"amount": str(left + Decimal(leg.amount))})
            yield leg.model_copy(update={"account": owed, "amount": str(-left)})

    def _check(self, wanted: EntryRequest) -> None:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for leg in wanted.postings:
            sums[leg.account] += CREDIT[leg.side] * Decimal(leg.amount)
            drawn = leg.hold is not None and leg.side is Side.DEBIT
            if drawn and self.holds.get(leg.hold, Decimal(0)) < Decimal(leg.amount):  # type: ignore[arg-type]
                raise Refusal("hold-exhausted")
            if leg.hold is not None and leg.side is Side.CREDIT and leg.hold in self.holds:
                raise Refusal("hold-exists")
        if sum(sums.values()) != 0:
            raise Refusal("unbalanced-entry")
        part = wanted.settlement
        recovery = wanted.kind == "bet.resettle"
        if part is not None:
            escrow = f"markets/{part.market}/escrow"
            there = self.balances[escrow] + self.paid_out(part.market, part.version)
            if not recovery and there < Decimal(part.total):
                raise NotYet
            known = self.versions.get(escrow, 0)
            if self.paid[f"{escrow}:{part.version}", part.chunk] or part.version not in (known, known + 1):
                raise Refusal("settlement-mismatch")
            self.versions[escrow] = part.version
            self.paid[f"{escrow}:{part.version}", part.chunk] += 1
        growing = {
            account: -amount if account.endswith("/debt") else amount for account, amount in sums.items()
        }
        there_is = {account: abs(self.balances[account]) for account in sums}
        if not recovery and any(there_is[account] + amount < 0 for account, amount in growing.items()):
            raise Refusal("insufficient-funds")

    def paid_out(self, market: UUID, version: int) -> Decimal:
        """What the chunks booked so far took out of a market's escrow."""
        return sum(
            (
                Decimal(answer.postings[0].amount)
                for key, answer in self.answers.items()
                if key.startswith(f"settle:{market}:{version}:") and isinstance(answer, EntryCommitted)
            ),
            Decimal(0),
        )

    def holds_under(self, reference: str) -> list[dict[str, str]]:
        """The holds of a reference by id, as the ledger shows them."""
        shown: dict[str, dict[str, str]] = {}
        for entry in self.answers.values():
            if isinstance(entry, Refusal) or entry.reference != reference:
                continue
            for leg in entry.postings:
                if leg.hold is None:
                    continue
                hold = shown.setdefault(
                    str(leg.hold), {"id": str(leg.hold), "account": leg.account, "captured": "0.00"}
                )
                hold["remaining"] = str(self.holds[leg.hold])
                if entry.kind == "bet.match":
                    hold["captured"] = str(Decimal(hold["captured"]) + Decimal(leg.amount))
        return [shown[id] for id in sorted(shown)]

    def _entry(self, key: str, wanted: EntryRequest, legs: Sequence[Posting]) -> EntryCommitted:
        return EntryCommitted(
            id=uuid5(NAMESPACE_OID, key),
            sequence=len(self.answers) + 1,
            kind=wanted.kind,
            posted_at=datetime.now(UTC),
            reference=wanted.reference,
            principal="betting",
            idempotency_key=key,
            metadata=wanted.metadata,
            settlement=wanted.settlement,
            postings=tuple(
                PostedLeg(
                    account=leg.account,
                    side=leg.side,
                    amount=leg.amount,
                    currency=leg.currency,
                    balance=str(abs(self.balances[leg.account])),
                    account_sequence=self.sequences[leg.account],
                    hold=leg.hold,
                )
                for leg in legs
            ),
        )

    def command(self, wanted: PostRequested) -> EntryCommitted:
        """Book a command from the broker."""
        return self.post(wanted.idempotency_key, wanted)
