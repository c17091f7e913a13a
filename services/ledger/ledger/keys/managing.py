"""Making, showing, rotating and revoking API keys: one transaction each, under the role ledger_keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from common.errors import Conflict, Invalid, NotFound
from common.pg import Connection, Pool, transaction
from common.signing import SigningKey

from ledger.domain.derived import CLOCK
from ledger.domain.keys import KeyTerms
from ledger.keys.secrets import HINT_LENGTH, SigningRoots, digest, new_key
from ledger.store import keys as store
from ledger.store.chart import ledgers

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A principal's."""


class NoSuchKey(NotFound):
    slug, title = "key-not-found", "No such key"


class KeyEnded(Conflict):
    slug, title = "key-ended", "The key was revoked, has expired or was replaced"


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key's secrets: shown once. `signing` when its requests must be signed."""

    id: UUID
    secret: str
    signing: SigningKey | None


async def create_key(
    pool: Pool,
    roots: SigningRoots,
    ledger_name: str,
    principal: str,
    kinds: Sequence[str] | None,
    terms: KeyTerms,
) -> MadeKey:
    """Make a key for `principal`. `kinds` is what the principal may post from now on by any key and door;
    None leaves that as it is (nothing, for a new one).

    Raises:
        Invalid: no such ledger, a name that is none, kinds its chart does not have, unknown scopes, or no root to sign by.
    """
    if not NAME.fullmatch(principal) or principal == CLOCK:
        raise Invalid(
            f"is 1 to 64 letters, digits, dots, dashes or underscores, and not {CLOCK}", field="name"
        )
    async with transaction(pool) as connection:
        ledger = await _ledger(connection, ledger_name)
        unknown = await store.unknown_kinds(connection, ledger, [*(kinds or ()), *terms.kinds])
        if unknown:
            raise Invalid(f"the chart has no kind {', '.join(unknown)}", field="kinds")
        await store.save_principal(connection, ledger, principal, kinds)
        return await _make(connection, roots, ledger, principal, terms, None)


async def rotate_key(pool: Pool, roots: SigningRoots, id: UUID, overlap: timedelta) -> MadeKey:
    """Make the key's successor, on the same terms; the older one goes on for `overlap`, so that whoever
    uses it can change over without a gap.

    Raises:
        NoSuchKey; KeyEnded: it is not live, or has a successor.
    """
    async with transaction(pool) as connection:
        old = await store.key_for_update(connection, id)
        if old is None:
            raise NoSuchKey(f"no key {id}", field="key")
        if old.state != "live" or old.replaced:
            raise KeyEnded(
                f"{id} is {old.state}" + (" and has a successor" if old.replaced else ""), field="key"
            )
        terms = KeyTerms(
            old.scopes,
            old.signing_root is not None,
            old.lifetime,
            old.rate_per_second,
            old.burst,
            old.requests_per_day,
        )
        made = await _make(connection, roots, old.ledger, old.principal, terms, id)
        await store.end_key(connection, id, overlap)
        return made


async def list_keys(pool: Pool, ledger_name: str, principal: str | None) -> Sequence[store.KeyRecord]:
    """Every key of a ledger, or of one principal, newest first; secrets are not among what is known.

    Raises `Invalid`: no such ledger.
    """
    async with transaction(pool, readonly=True) as connection:
        return await store.keys(connection, await _ledger(connection, ledger_name), principal)


async def revoke_key(pool: Pool, id: UUID) -> None:
    """Revoke one key. Raises `NoSuchKey`; revoking it again changes nothing."""
    async with transaction(pool) as connection:
        if not await store.revoke_key(connection, id):
            raise NoSuchKey(f"no key {id}", field="key")


async def revoke_keys(pool: Pool, ledger_name: str, principal: str) -> int:
    """Revoke every key of `principal`; returns how many were not revoked before.

    Raises `Invalid`: no such ledger.
    """
    async with transaction(pool) as connection:
        return await store.revoke_keys(connection, await _ledger(connection, ledger_name), principal)


async def _ledger(connection: Connection, name: str) -> int:
    ledger = (await ledgers(connection)).get(name)
    if ledger is None:
        raise Invalid(f"no ledger {name}", field="ledger")
    return ledger


async def _make(
    connection: Connection,
    roots: SigningRoots,
    ledger: int,
    principal: str,
    terms: KeyTerms,
    replaces: UUID | None,
) -> MadeKey:
    _check(terms)
    root = roots.newest if terms.signed else None
    if terms.signed and root is None:
        raise Invalid("a key that signs needs a signing root", field="signed")
    id, secret = uuid4(), new_key()
    new = store.NewKey(id, ledger, principal, digest(secret), secret[:HINT_LENGTH], root, replaces)
    await store.add_key(connection, new, terms)
    return MadeKey(id, secret, roots.key_of(id, root) if root else None)


def _check(terms: KeyTerms) -> None:
    if terms.unknown or not terms.scopes:
        given = ", ".join(sorted(terms.unknown)) or "nothing"
        raise Invalid(f"scopes are read, post and post:<kind>, not {given}", field="scopes")
    if (terms.rate_per_second is None) != (terms.burst is None):
        raise Invalid("a rate and its burst go together", field="rate")
    for name, bound in (
        ("rate", terms.rate_per_second),
        ("burst", terms.burst),
        ("per_day", terms.requests_per_day),
    ):
        if bound is not None and bound < 1:
            raise Invalid("is at least 1", field=name)
    if terms.lifetime is not None and terms.lifetime <= timedelta():
        raise Invalid("a key lives for some time", field="expires_in_days")
