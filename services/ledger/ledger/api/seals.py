"""Seals and proofs: what an auditor or a player needs to verify, offline, that an entry is in the books."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import datetime
from uuid import UUID

from aiohttp import web
from common.http import PRINCIPAL, Role, Route, read_query, reply
from common.wire import Body, View
from pydantic import Field, JsonValue, TypeAdapter

from ledger.api.parts import SEALS
from ledger.api.wallet import EL_CARRIL
from ledger.domain import refusals
from ledger.domain.seals import VERSION, Json
from ledger.keys import HOLDER
from ledger.sealing.proofs import NoSuchSeal, NotSealedYet, Proof
from ledger.store.seals import SealKeyRow, SealRow

_FREE = TypeAdapter(dict[str, JsonValue])
_NUMBER = re.compile("[1-9][0-9]{0,17}")


class SealView(View):
    """A seal. `statement` is what was signed, to the letter; `hash` (SHA-256 of 0x02 and the statement) names it."""

    number: int
    first: int
    last: int
    hash: str
    key: str
    statement: str
    signature: str
    sealed_at: datetime


class SealsView(View):
    """One page of seals, oldest first. `next` goes into `after`."""

    seals: tuple[SealView, ...]
    next: int | None


class SealKeyView(View):
    """A public key (base64), the first seal it signs, and its predecessor's endorsement."""

    id: str
    public_key: str
    from_seal: int
    endorsement: str | None
    signature: str | None


class ProofView(View):
    """That an entry is leaf `index` of `size` under a seal: `tools/verify_journal.py proof` checks it.

    `header` has each posting's digest; `postings` shows, by leg, those that the asker may see.
    """

    v: int
    header: dict[str, JsonValue]
    postings: dict[str, dict[str, JsonValue]]
    index: int
    size: int
    path: tuple[str, ...]
    seal: SealView
    keys: tuple[SealKeyView, ...]


class SealsQuery(Body):
    after: int = Field(default=0, ge=0, le=2**63 - 1)
    limit: int = Field(default=100, ge=1, le=500)


async def list_seals(request: web.Request) -> web.Response:
    """Seals, oldest first, a page at a time."""
    wanted = read_query(request, SealsQuery)
    rows = await request.app[SEALS].page(request[HOLDER].ledger, wanted.after, wanted.limit)
    following = rows[-1].number if len(rows) == wanted.limit else None
    return reply(SealsView(seals=tuple(_seal(row) for row in rows), next=following))


async def get_seal(request: web.Request) -> web.Response:
    """A seal by its number."""
    text = request.match_info["number"]
    if _NUMBER.fullmatch(text) is None:
        raise NoSuchSeal("a seal's number is a number", field="number")
    return reply(_seal(await request.app[SEALS].one(request[HOLDER].ledger, int(text))))


async def get_proof(request: web.Request) -> web.Response:
    """The proof that an entry is sealed, with all of its postings."""
    return reply(_proof(await request.app[SEALS].proof(request[HOLDER].ledger, _entry_id(request))))


async def get_wallet_proof(request: web.Request) -> web.Response:
    """The proof that an entry of the player's is sealed. Other people's postings are digests alone."""
    player = request[PRINCIPAL].subject
    return reply(_proof(await request.app[SEALS].proof(EL_CARRIL, _entry_id(request), player=player)))


def _entry_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise refusals.NoSuchEntry("an entry's id is a UUID", field="id") from None


def _seal(row: SealRow) -> SealView:
    return SealView(
        number=row.number,
        first=row.first,
        last=row.last,
        hash=row.hash.hex(),
        key=row.key_id,
        statement=row.statement.decode(),
        signature=b64encode(row.signature).decode(),
        sealed_at=row.sealed_at,
    )


def _key(row: SealKeyRow) -> SealKeyView:
    return SealKeyView(
        id=row.id,
        public_key=b64encode(row.public_key).decode(),
        from_seal=row.from_seal,
        endorsement=row.endorsement.decode() if row.endorsement else None,
        signature=b64encode(row.signature).decode() if row.signature else None,
    )


def _proof(proof: Proof) -> ProofView:
    return ProofView(
        v=VERSION,
        header=_free(dict(proof.header)),
        postings={str(leg): _free(posting.written()) for leg, posting in proof.postings.items()},
        index=proof.index,
        size=proof.size,
        path=tuple(each.hex() for each in proof.path),
        seal=_seal(proof.seal),
        keys=tuple(_key(row) for row in proof.keys),
    )


def _free(value: dict[str, Json]) -> dict[str, JsonValue]:
    return _FREE.validate_python(value)


ROUTES = (
    Route("GET", "/v1/seals", list_seals, query=SealsQuery, returns=SealsView, auth="key"),
    Route("GET", "/v1/seals/{number}", get_seal, returns=SealView, auth="key", refusals=(NoSuchSeal,)),
    Route("GET", "/v1/entries/{id}/proof", get_proof, returns=ProofView, auth="key",
          refusals=(refusals.NoSuchEntry, NotSealedYet)),
    Route("GET", "/v1/wallet/entries/{id}/proof", get_wallet_proof, returns=ProofView, role=Role.BETTOR,
          refusals=(refusals.NoSuchEntry, NotSealedYet)),
)  # fmt: skip
