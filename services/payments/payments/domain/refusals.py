"""Why payments says no."""

from common.errors import Conflict, Invalid, NotFound, Refused


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
