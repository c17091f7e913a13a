"""Why betting says no. Each refusal has a slug of its own; one middleware turns them into problem+json."""

from common.errors import Conflict, Forbidden, Invalid, NotFound, NotReady, Refused, TooMany


class RatioOffLadder(Invalid):
    slug = "ratio-off-ladder"
    title = "Ratio is not on the ladder"


class StakeNotWholeLots(Invalid):
    slug = "stake-not-whole-lots"
    title = "Stake is not a whole number of lots"


class StakeOutOfBounds(Invalid):
    slug = "stake-out-of-bounds"
    title = "Stake is out of the market's bounds"


class CurrencyNotTaken(Invalid):
    slug = "currency-not-taken"
    title = "The market is in another currency"


class TermsInvalid(Invalid):
    slug = "terms-invalid"
    title = "These terms cannot be offered"


class HorsesInvalid(Invalid):
    slug = "horses-invalid"
    title = "A match race is between two different horses"


class ResultInvalid(Invalid):
    slug = "result-invalid"
    title = "This cannot be the result of the race"


class RunnerNotInMarket(Invalid):
    slug = "runner-not-in-market"
    title = "The runner is not in this market"


class EventNotFound(NotFound):
    slug = "event-not-found"
    title = "No such event"


class RaceNotFound(NotFound):
    slug = "race-not-found"
    title = "No such race"


class MarketNotFound(NotFound):
    slug = "market-not-found"
    title = "No such market"


class OfferNotFound(NotFound):
    slug = "offer-not-found"
    title = "No such offer"


class EventStateConflict(Conflict):
    slug = "event-state"
    title = "The event's state does not allow this"


class RaceStateConflict(Conflict):
    slug = "race-state"
    title = "The race's state does not allow this"


class RaceNumberTaken(Conflict):
    slug = "race-number-taken"
    title = "The event already has a race of this number"


class MarketExists(Conflict):
    slug = "market-exists"
    title = "The race already has this market"


class MarketNotOpen(Conflict):
    slug = "market-not-open"
    title = "The market is not open"


class MarketStateConflict(Conflict):
    slug = "market-state"
    title = "The market's state does not allow this"


class StaleMarket(Conflict):
    slug = "stale-market"
    title = "The market has changed since you saw it"


class OfferPending(NotReady):
    """The hold's answer is not known yet; the offer will be finished without the bettor's help."""

    slug = "offer-pending"
    title = "The offer is still being placed"


class ResultAlreadyDeclared(Conflict):
    slug = "result-already-declared"
    title = "You have declared this race's result"


class OfficialHasBet(Forbidden):
    slug = "official-has-bet"
    title = "An official who bet in an event does not judge it"


class HoldRefused(Refused):
    """The ledger would not set the stake aside, for a reason of its own that `extra` names."""

    slug = "hold-refused"
    title = "The stake could not be held"


class InsufficientFunds(HoldRefused):
    slug = "insufficient-funds"
    title = "Insufficient funds"


class AccountClosed(HoldRefused):
    slug = "account-closed"
    title = "The account is closed"


class LimitExceeded(HoldRefused):
    """Beyond what the player has allowed themselves."""

    slug = "limit-exceeded"
    title = "Beyond a limit of your own"


class PlayerBlocked(HoldRefused):
    slug = "player-blocked"
    title = "Excluded from playing"


class OfferKeyUsed(Conflict):
    slug = "offer-key-used"
    title = "The key has placed an offer before"


class OptionsInvalid(Invalid):
    slug = "options-invalid"
    title = "These options cannot be meant"


class CardInvalid(Refused):
    """Nothing was imported; `rows` in the problem says what is wrong with each bad row."""

    slug = "card-invalid"
    title = "The race card has bad rows"


class PermitMissing(Refused):
    slug = "permit-missing"
    title = "No permit covers the event"


class PermitExists(Conflict):
    slug = "permit-exists"
    title = "The permit is registered already"


class CarrilExists(Conflict):
    slug = "carril-exists"
    title = "The carril is registered already"


class CarrilNotFound(NotFound):
    slug = "carril-not-found"
    title = "No such carril"


class StableNotFound(NotFound):
    slug = "stable-not-found"
    title = "No such stable"


class StableExists(Conflict):
    slug = "stable-exists"
    title = "A stable has this name already"


class MemberOfStable(Conflict):
    slug = "member-of-a-stable"
    title = "This person belongs to a stable already"


class RunnerNotFound(NotFound):
    slug = "runner-not-found"
    title = "No such runner in this race"


class ChallengeNotFound(NotFound):
    slug = "challenge-not-found"
    title = "No such challenge to you"


class DuplicateSlip(Conflict):
    """Place it again with `repeat` if you mean it."""

    slug = "duplicate-slip"
    title = "You placed the same offer a moment ago"


class ExposureExceeded(Refused):
    slug = "exposure-exceeded"
    title = "You would have too much at risk in this market"


class TooManyOffers(Refused):
    slug = "too-many-offers"
    title = "You have too many open offers"


class BettingSuspended(Conflict):
    slug = "betting-suspended"
    title = "Betting is suspended"


class OfficialBarred(Forbidden):
    slug = "official-barred"
    title = "Whoever officiates at an event does not bet in it"


class ConnectionBarred(Forbidden):
    slug = "connection-barred"
    title = "A horse's connections bet only on it"


class BettorBarred(Conflict):
    """While the stake was held the bettor became one of a stable or an official, or a horse became their stable's."""

    slug = "bettor-barred"
    title = "The offer was not yours to make any more"


class OfficialConnected(Forbidden):
    slug = "official-connected"
    title = "A horse's connections do not judge its event"


class SuspensionNotFound(NotFound):
    slug = "suspension-not-found"
    title = "No such suspension in force"


class NotAParty(Forbidden):
    slug = "not-a-party"
    title = "You are not of the stables in this race"


class WindowClosed(Conflict):
    slug = "objection-window-closed"
    title = "The objection window has closed"


class AlreadySigned(Conflict):
    slug = "already-signed"
    title = "You have signed before"


class BooksDiffer(Conflict):
    """`differences` in the problem names the first of them."""

    slug = "books-differ"
    title = "Betting's books of this market and the ledger's differ"


class Overloaded(TooMany):
    slug = "overloaded"
    title = "Too many offers at once"


class RateTooLate(Refused):
    slug = "rate-too-late"
    title = "A rate is for days to come"


class RateExists(Conflict):
    slug = "rate-exists"
    title = "That day has its rate already"


class NoSuchApproval(NotFound):
    slug = "no-such-approval"
    title = "There is no such request"


class ApprovalDecided(Conflict):
    slug = "approval-decided"
    title = "The request has been decided"


class ApprovalEnded(Conflict):
    slug = "approval-ended"
    title = "The request was not decided in time"


class FourEyesNeeded(Forbidden):
    """Who asked does not decide."""

    slug = "four-eyes-needed"
    title = "Somebody else must decide"


class AskerMayNot(Conflict):
    """Whoever asked was dismissed or moved since, and one pair of eyes is not two."""

    slug = "asker-may-not"
    title = "Whoever asked may not ask for this any more"
