"""Why payments says no."""

from common.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Unauthenticated


class InvalidClabe(Invalid):
    slug, title = "invalid-clabe", "Not a CLABE"


class InvalidClaim(Invalid):
    slug, title = "invalid-claim", "The claim cannot be right"


class InvalidCurrency(Invalid):
    slug, title = "invalid-currency", "Not a currency of this rail"


class InvalidCursor(Invalid):
    slug, title = "invalid-cursor", "Not a cursor of this list"


class NoSuchDeposit(NotFound):
    slug, title = "deposit-not-found", "No such deposit"


class NoSuchWithdrawal(NotFound):
    slug, title = "withdrawal-not-found", "No such withdrawal"


class NoClabeYet(Conflict):
    slug, title = "no-clabe-yet", "Ask for your deposit CLABE first"


class TransferClaimed(Conflict):
    slug, title = "transfer-claimed", "This transfer was claimed before"


class UnknownPayoutClabe(Refused):
    slug, title = "clabe-never-deposited", "Money only goes back to where it came from"


class ClabesExhausted(Conflict):
    slug, title = "clabes-exhausted", "No deposit CLABE is left to give out"


class AttestedBefore(Conflict):
    """This transfer or this document backs another deposit already. `detail` is the reason it is told by."""

    slug, title = "attested-before", "The transfer was attested before"


class NoSuchCardPayment(NotFound):
    slug, title = "card-payment-not-found", "No such card payment"


class NoSuchPayment(NotFound):
    slug, title = "payment-not-found", "No such payment"


class NoSuchCase(NotFound):
    slug, title = "case-not-found", "No such case"


class CaptureImpossible(Conflict):
    slug, title = "capture-impossible", "Not more than is authorized can be captured"


class RefundImpossible(Conflict):
    slug, title = "refund-impossible", "Not more can be refunded than was captured"


class VoidImpossible(Conflict):
    slug, title = "void-impossible", "There is nothing left to void"


class CancelImpossible(Conflict):
    slug, title = "cancel-impossible", "The rail has it already"


class CardMoneyFirst(Refused):
    slug, title = "card-money-returns-to-card", "Money from a card goes back to the card first"


class DecisionImpossible(Conflict):
    slug, title = "decision-impossible", "This cannot be decided so"


class ProposerMayNot(Conflict):
    slug, title = "proposer-may-not", "Whoever proposed it may not any more"


class NoCashierNow(Forbidden):
    slug, title = "no-cashier-now", "You are no cashier any more, or not by this session"


class FourEyes(Forbidden):
    slug, title = "four-eyes", "Somebody else has to decide this"


class BadWebhook(Unauthenticated):
    slug, title = "bad-webhook", "The webhook is not signed with a live secret"


class BadPayoutFile(Refused):
    slug, title = "bad-payout-file", "The file does not add up"
