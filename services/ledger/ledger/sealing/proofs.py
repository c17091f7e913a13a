"""Showing seals, and that an entry is in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from common.errors import NotFound, NotReady
from common.pg import Pool, transaction

from ledger.domain.refusals import NoSuchEntry
from ledger.domain.seals import Json, SealedPosting, inclusion_path
from ledger.sealing.sealer import check_whole
from ledger.store import seals as store


class NoSuchSeal(NotFound):
    slug, title = "seal-not-found", "No such seal"


class NotSealedYet(NotReady):
    slug, title = "not-sealed-yet", "The entry is not sealed yet"


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry is leaf `index` of `size` under a seal. `postings` by leg, as far as they may be shown."""

    header: Mapping[str, Json]
    postings: Mapping[int, SealedPosting]
    index: int
    size: int
    path: tuple[bytes, ...]
    seal: store.SealRow
    keys: Sequence[store.SealKeyRow]


class Seals:
    """Reads seals and proves by them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, ledger: int, after: int, limit: int) -> Sequence[store.SealRow]:
        """Seals beyond number `after`, in order."""
        async with transaction(self._pool, readonly=True) as connection:
            return await store.seals(connection, ledger, after, limit)

    async def one(self, ledger: int, number: int) -> store.SealRow:
        """Raises `NoSuchSeal`."""
        async with transaction(self._pool, readonly=True) as connection:
            found = await store.seal(connection, ledger, number)
        if found is None:
            raise NoSuchSeal(f"no seal {number}", field="number")
        return found

    async def keys(self, ledger: int) -> Sequence[store.SealKeyRow]:
        """Every public key, oldest first."""
        async with transaction(self._pool, readonly=True) as connection:
            return await store.seal_keys(connection, ledger)

    async def proof(self, ledger: int, entry: UUID, *, player: str | None = None) -> Proof:
        """The proof for an entry. For a player only their own postings are shown, and only if there is one.

        Raises:
            NoSuchEntry: not in this ledger, or none of this player's.
            NotSealedYet: ask again when the next seal is made.
        """
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as connection:
            sequence = await store.sequence_of(connection, ledger, entry)
            if sequence is None:
                raise NoSuchEntry(f"no entry {entry}", field="id")
            seal = await store.seal_over(connection, ledger, sequence)
            first, last = (seal.first, seal.last) if seal else (sequence, sequence)
            entries = await store.journal(connection, ledger, first, last)
            keys = await store.seal_keys(connection, ledger)
        check_whole(entries, first, last)
        found = entries[sequence - first]
        shown = {
            leg: posting
            for leg, posting in enumerate(found.postings, 1)
            if player is None or posting.account.startswith(f"players/{player}/")
        }
        if not shown:
            raise NoSuchEntry(f"no entry {entry}", field="id")
        if seal is None:
            raise NotSealedYet("the next seal covers it", retry_after=10)
        return Proof(
            found.hashed(),
            shown,
            sequence - first,
            len(entries),
            inclusion_path([each.leaf() for each in entries], sequence - first),
            seal,
            keys,
        )
