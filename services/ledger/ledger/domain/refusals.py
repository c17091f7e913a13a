"""Why the ledger says no.

A `Verdict` is a business refusal: it is stored under the command's id and replayed to every retry.
`NotReady` is not: what the command waits for may still come.
"""

from __future__ import annotations

from common.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotFound,
    NotReady,
    Refused,
    TooMany,
    Unavailable,
)


class InsufficientFunds(Refused):
    slug, title = "insufficient-funds", "Insufficient funds"


class BalanceTooLarge(Refused):
    slug, title = "balance-too-large", "The balance would be beyond the largest amount"


class UnbalancedEntry(Refused):
    slug, title = "unbalanced-entry", "The entry does not balance"


class TemplateViolation(Refused):
    slug, title = "template-violation", "The entry does not fit its kind"


class UnknownAccount(Refused):
    slug, title = "unknown-account", "The chart has no such account"


class UnknownKind(Refused):
    slug, title = "unknown-kind", "The chart has no such kind of entry"


class WrongCurrency(Refused):
    slug, title = "wrong-currency", "The currency or its decimals are not the ledger's"


class HoldExhausted(Refused):
    slug, title = "hold-exhausted", "The hold has less remaining"


class HoldMismatch(Refused):
    slug, title = "hold-mismatch", "The hold belongs to another account or purpose"


class HoldExists(Refused):
    slug, title = "hold-exists", "The hold was opened before"


class ExpiryPassed(Refused):
    slug, title = "expiry-passed", "The moment at which the hold ends has passed"


class ReceiptMismatch(Refused):
    slug, title = "receipt-mismatch", "The receipt attests something else"


class ReceiptSpent(Refused):
    slug, title = "receipt-spent", "The receipt was spent before"


class SettlementMismatch(Refused):
    slug, title = "settlement-mismatch", "The settlement does not fit its market"


class EscrowFrozen(Refused):
    slug, title = "escrow-frozen", "The market is already settling"


class PeriodClosed(Refused):
    slug, title = "period-closed", "The day is closed"


class KindNotPermitted(Forbidden):
    slug, title = "kind-not-permitted", "This principal may not post this kind"


class AccountClosed(Refused):
    slug, title = "account-closed", "The account is closed"


class NotReversible(Refused):
    slug, title = "not-reversible", "Entries of this kind are not reversed"


class AlreadyReversed(Refused):
    slug, title = "already-reversed", "The entry was reversed before"


class LinkedRefused(Refused):
    slug, title = "linked-refused", "Another of the linked entries was refused"


class ReadOnlyKey(Forbidden):
    slug, title = "read-only-key", "This key may only read"


class ScopeMissing(Forbidden):
    slug, title = "scope-missing", "The key's scopes do not reach this far"


class KeyReused(Refused):
    slug, title = "idempotency-key-reused", "The idempotency key was used for another request"


class Overloaded(TooMany):
    slug, title = "overloaded", "The ledger is at capacity"


class Draining(Unavailable):
    slug, title = "draining", "The ledger is shutting down"


class LedgerNotServed(Unavailable):
    """The ledger was made after this process had started."""

    slug, title = "ledger-not-served", "This ledger is not served yet"


class RefusedByDatabase(Refused):
    """The two nets disagreed: the domain accepted what the database refused. Never stored."""

    slug, title = "refused-by-database", "The entry breaks a rule of the journal"


class MomentOutOfRange(Invalid):
    slug, title = "moment-out-of-range", "The moment is too early or too late"


class NoSuchEntry(NotFound):
    slug, title = "entry-not-found", "No such entry"


class NoSuchAccount(NotFound):
    slug, title = "account-not-found", "No such account"


class NoSuchHold(NotFound):
    slug, title = "hold-not-found", "No such hold"


class AccountNotEmpty(Conflict):
    slug, title = "account-not-empty", "The account has a balance, open holds or stakes"


class MayNotClose(Forbidden):
    slug, title = "account-close-not-permitted", "This principal may not close accounts"


class MayNotDescribe(Forbidden):
    slug, title = "account-describe-not-permitted", "This principal may not describe accounts"


class MayNotLimit(Forbidden):
    slug, title = "player-limit-not-permitted", "This principal may not set players' limits"


class EntryNotReady(NotReady):
    slug, title = "entry-not-ready", "The entry is not in the journal yet"


class NoSuchReference(NotFound):
    slug, title = "reference-not-found", "No entry has this reference"


class NoSuchMetadata(NotFound):
    slug, title = "metadata-not-found", "No entry has this metadata"


class NoSuchClose(NotFound):
    slug, title = "close-not-found", "The period is not closed"


class SequenceNotReached(NotReady):
    slug, title = "sequence-not-reached", "The account has fewer postings so far"


class HoldNotReady(NotReady):
    slug, title = "hold-not-ready", "The hold has not been opened yet"


class ReceiptNotReady(NotReady):
    slug, title = "receipt-not-ready", "The receipt has not arrived yet"


class OriginUnknown(NotReady):
    slug, title = "receipt-origin-unknown", "No receipt of this transfer in suspense yet"


class EscrowNotReady(NotReady):
    slug, title = "escrow-not-ready", "The escrow does not hold the market's matched total yet"


class BadAttestation(Refused):
    slug, title = "bad-attestation", "The attestation is not signed by a known attestor"


class DuplicateTrackingKey(Conflict):
    slug, title = "receipt-duplicate-tracking-key", "This transfer was attested before"


class DuplicateDocument(Conflict):
    slug, title = "receipt-duplicate-document", "This document was attested before"


class ReceiptExists(Conflict):
    slug, title = "receipt-exists", "The receipt id was used for another attestation"


class PlayerBlocked(Refused):
    """Cooling off, self-excluded, or gone: no stakes and no deposits. What is under way goes to its end."""

    slug, title = "player-blocked", "Neither stakes nor deposits now"


class LimitExceeded(Refused):
    slug, title = "limit-exceeded", "Beyond a limit of the player's own"


class LimitNotReady(NotReady):
    """Money in suspense for a player who is at a limit waits until there is room for it."""

    slug, title = "limit-not-ready", "The player's own limit leaves no room yet"


class LimitsUnread(NotReady):
    """Never told: whoever meets it decides again where the limits are read."""

    slug, title = "limits-unread", "The player's limits are not at hand"


STORED: dict[str, type[DomainError]] = {
    refusal.slug: refusal
    for refusal in (
        InsufficientFunds,
        BalanceTooLarge,
        UnbalancedEntry,
        TemplateViolation,
        UnknownAccount,
        UnknownKind,
        WrongCurrency,
        HoldExhausted,
        HoldMismatch,
        HoldExists,
        ExpiryPassed,
        ReceiptMismatch,
        ReceiptSpent,
        SettlementMismatch,
        EscrowFrozen,
        PeriodClosed,
        KindNotPermitted,
        AccountClosed,
        NotReversible,
        AlreadyReversed,
        LinkedRefused,
        PlayerBlocked,
        LimitExceeded,
    )
}
"""Refusals that are stored and replayed, by slug: each is a lasting answer to its command."""
