"""What is asked for, drawn from a seed. Pure.

Every payment has an amount that no other has, so that the providers' faults, which are drawn for what is asked,
strike the same payments in every run. No wish depends on another's outcome but by its own player's money, of which
there is always enough: so it does not matter in which order they are asked for.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

FUNDS = Decimal("30000.00")
RICH_FUNDS = Decimal("60000.00")
BIG = Decimal("21000.00")
"""Above the threshold for money that only passes through: goes to review."""
RICH = 3
"""So many players have the money for that, twice."""


class Kind(StrEnum):
    """What a payment is."""

    DEPOSIT = "deposit"
    DEPOSIT_UNCLAIMED = "deposit-unclaimed"
    DEPOSIT_LIED_ABOUT = "deposit-lied-about"
    DEPOSIT_MISNAMED = "deposit-misnamed"
    DEPOSIT_STOLEN = "deposit-stolen"
    UNKNOWN_CLABE = "unknown-clabe"
    WITHDRAWAL = "withdrawal"
    WITHDRAWAL_TED = "withdrawal-ted"
    WITHDRAWAL_RETURNED = "withdrawal-returned"
    WITHDRAWAL_CLOSED = "withdrawal-closed-account"
    CARD = "card"
    CARD_SLOW = "card-slow"
    CARD_ACTION = "card-action"
    CARD_DECLINED = "card-declined"
    CARD_PARTS = "card-parts"
    CARD_VOID = "card-void"
    CARD_EXPIRES = "card-expires"
    CARD_REFUND = "card-refund"
    CARD_REFUND_FAILS = "card-refund-fails"


WEIGHTS = {
    Kind.DEPOSIT: 18,
    Kind.DEPOSIT_UNCLAIMED: 4,
    Kind.DEPOSIT_LIED_ABOUT: 2,
    Kind.DEPOSIT_MISNAMED: 3,
    Kind.DEPOSIT_STOLEN: 2,
    Kind.UNKNOWN_CLABE: 3,
    Kind.WITHDRAWAL: 16,
    Kind.WITHDRAWAL_TED: 4,
    Kind.WITHDRAWAL_RETURNED: 3,
    Kind.WITHDRAWAL_CLOSED: 2,
    Kind.CARD: 16,
    Kind.CARD_SLOW: 3,
    Kind.CARD_ACTION: 2,
    Kind.CARD_DECLINED: 3,
    Kind.CARD_PARTS: 5,
    Kind.CARD_VOID: 3,
    Kind.CARD_EXPIRES: 3,
    Kind.CARD_REFUND: 6,
    Kind.CARD_REFUND_FAILS: 2,
}

SPEI_KINDS = frozenset(kind for kind in Kind if not kind.startswith("card"))
WITHDRAWALS = frozenset(
    {Kind.WITHDRAWAL, Kind.WITHDRAWAL_TED, Kind.WITHDRAWAL_RETURNED, Kind.WITHDRAWAL_CLOSED}
)


@dataclass(frozen=True, slots=True)
class Wish:
    """One payment. `number` is its name in every run; `who` the player's number; `then` a second amount: what is
    captured first, or refunded."""

    number: int
    kind: Kind
    who: int
    amount: Decimal
    then: Decimal

    @property
    def clave(self) -> str:
        return f"CHAOS{self.number:06}"

    @property
    def token(self) -> str:
        """The card's token: what it says is how the card behaves."""
        traits = {
            Kind.CARD_SLOW: "slow",
            Kind.CARD_ACTION: "action",
            Kind.CARD_DECLINED: "declined",
            Kind.CARD_EXPIRES: "expires",
            Kind.CARD_REFUND_FAILS: "refundfails",
        }
        return f"tok_{self.number:06}_{traits.get(self.kind, 'ok')}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A day: wishes, and how many players of each sort. Players of cards are others than those of transfers, because
    money from a card goes back to the card first."""

    seed: int
    wishes: Sequence[Wish]
    spei_players: int
    card_players: int

    @property
    def players(self) -> int:
        return self.spei_players + self.card_players

    @property
    def closed(self) -> int:
        """The player whose account at the other bank is closed after the first deposit."""
        return self.spei_players - 1


def draw_plan(seed: int, payments: int) -> Plan:
    """The plan of that seed."""
    dice = random.Random(seed)
    spei_players = max(4, payments // 20)
    card_players = max(2, payments // 40)
    kinds = dice.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=payments)
    withdrawals = 0
    wishes = []
    for number, kind in enumerate(kinds):
        amount = Decimal(2000 + number * 7 + dice.randrange(7)) / 100
        then = (amount / dice.choice((2, 3, 4))).quantize(Decimal("0.01"))
        if kind is Kind.WITHDRAWAL_CLOSED:
            who = spei_players - 1
        elif kind in WITHDRAWALS:
            turn, who = divmod(withdrawals, spei_players - 1)
            withdrawals += 1
            if kind is Kind.WITHDRAWAL and who < RICH and turn < 2:
                amount += BIG
        elif kind in SPEI_KINDS:
            who = dice.randrange(spei_players)
        else:
            who = spei_players + dice.randrange(card_players)
        wishes.append(Wish(number, kind, who, amount, then))
    return Plan(seed, tuple(wishes), spei_players, card_players)
