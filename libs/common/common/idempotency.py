"""Idempotency keys: one transaction holds the key, the effect and the stored answer.

Every service that takes mutations over HTTP has this table:

    CREATE TABLE idempotency (
        principal text NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        status int,                      -- null while a use case of several transactions is under way
        body json,                       -- the answer as it was sent (json keeps the text, jsonb would not)
        resource text,                   -- what the key made, for the sweeper and for people
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (principal, key)
    );

and the rules in `RULES`, which a migration copies word for word (a test compares). A key is kept for ever: the API
promises that the same key has no second effect, and in most cases this row alone knows of the first.

A use case of one transaction calls `once`. A use case of several (a saga) calls `claim` in its first
transaction and `finish` in its last; until then the same key is answered 409 with Retry-After. `claim_all` and
`finish_all` do the same for a batch of requests that share a transaction.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from common.errors import Conflict, DomainError, NotReady, Refused
from common.pg import Connection
from common.problem import problem_of
from common.wire import CANONICAL

RULES: Final = """\
-- The first stored answer stays, and a key is never free again (libs/common/common/idempotency.py).
CREATE FUNCTION idempotency_answers_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'idempotency_answers_once',
        MESSAGE = format('a key of %s has been used at %s', OLD.principal, OLD.created_at);
END $$;
CREATE TRIGGER idempotency_answers_once BEFORE UPDATE ON idempotency
    FOR EACH ROW WHEN (OLD.status IS NOT NULL) EXECUTE FUNCTION idempotency_answers_once();
CREATE TRIGGER idempotency_is_kept BEFORE DELETE ON idempotency
    FOR EACH ROW EXECUTE FUNCTION idempotency_answers_once();
REVOKE ALL ON FUNCTION idempotency_answers_once() FROM PUBLIC;
"""
"""What a migration copies."""


class KeyReused(Refused):
    """The key was used for a different request."""

    slug = "idempotency-key-reused"
    title = "Idempotency key reused"


class KeyInFlight(NotReady):
    """The first request with this key is still being worked on."""

    slug = "idempotency-key-in-flight"
    title = "Request in flight"


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer: the JSON text and the status it was sent with, and whether this is a replay."""

    status: int
    body: str
    resource: str | None = None
    replayed: bool = False

    @classmethod
    def of(cls, view: BaseModel, *, status: int = 200, resource: str | None = None) -> "Answer":
        """The answer that shows this view."""
        return cls(status, view.model_dump_json(), resource)

    @classmethod
    def refusing(cls, error: DomainError) -> "Answer":
        """The answer that tells of a refusal."""
        return cls(error.status, json.dumps(problem_of(error)))


def fingerprint(operation: str, body: BaseModel | None = None) -> bytes:
    """What a request asks for, over parsed values: "1.50" equals "1.5", and member order does not count.

    `operation` is the method and the path with its ids filled in, such as `DELETE /v1/offers/<id>`.
    """
    values = None if body is None else body.model_dump(mode="json", context=CANONICAL)
    canonical = json.dumps([operation, values], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).digest()


async def once(
    conn: Connection, *, principal: str, key: str, fingerprint: bytes, work: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Do the work the first time this principal uses the key; afterwards give the stored answer.

    Runs in the caller's transaction. A business refusal (`Refused`, `Conflict`) undoes the work, is
    stored and comes back as an answer, and does so again on every replay; any other error is raised
    and rolls the key back with the rest.
    Raises `KeyReused` for another request under the key, `KeyInFlight` while the first one is running.
    """
    stored = await claim(conn, principal=principal, key=key, fingerprint=fingerprint)
    if stored is not None:
        return stored
    try:
        async with conn.transaction():
            answer = await work()
    except NotReady:
        raise
    except (Refused, Conflict) as error:
        answer = Answer.refusing(error)
    await finish(conn, principal=principal, key=key, answer=answer)
    return answer


async def claim(
    conn: Connection, *, principal: str, key: str, fingerprint: bytes, resource: str | None = None
) -> Answer | None:
    """Take the key, or give the answer stored under it. None means: go on, you are the first.

    Raises `KeyReused` for another request under the key, `KeyInFlight` while the first one is running
    (in this process, in another, or between the transactions of a saga).
    """
    if not await conn.fetchval(_TRY_LOCK, principal, key):
        raise KeyInFlight("the first request with this key is still being worked on")
    if await conn.fetchval(_CLAIM, principal, key, fingerprint, resource):
        return None
    stored = await stored_answer(conn, principal=principal, key=key, fingerprint=fingerprint)
    if stored is None:
        raise KeyInFlight("the first request with this key is still being worked on")
    return stored


async def stored_answer(conn: Connection, *, principal: str, key: str, fingerprint: bytes) -> Answer | None:
    """The answer stored under the key, without taking it: for work that may be done again until it is stored.

    Raises `KeyReused` for another request under the key, `KeyInFlight` while the first one is running.
    """
    row = await conn.fetchrow(_STORED, principal, key)
    if row is None:
        return None
    if row["fingerprint"] != fingerprint:
        raise KeyReused("this key was used for a different request", field="Idempotency-Key")
    if row["status"] is None:
        raise KeyInFlight("the first request with this key is still being worked on")
    return Answer(row["status"], row["body"], row["resource"], replayed=True)


@dataclass(frozen=True, slots=True)
class Claim:
    """A key somebody wants to use, and for which request."""

    principal: str
    key: str
    fingerprint: bytes


async def claim_all(conn: Connection, claims: Sequence[Claim]) -> set[tuple[str, str]]:
    """Take all the keys that nobody has taken; returns those (principal, key) of which this is the first use.

    For a batch of independent requests in one transaction. A key that somebody else is just taking is waited for.
    Whoever asked for one of the others is answered from what is stored, by `claim` in a transaction of its own.
    """
    rows = await conn.fetch(
        _CLAIM_ALL,
        [each.principal for each in claims],
        [each.key for each in claims],
        [each.fingerprint for each in claims],
    )
    return {(row["principal"], row["key"]) for row in rows}


async def finish_all(conn: Connection, answers: Sequence[tuple[str, str, Answer]]) -> None:
    """Store the answer of each (principal, key), as `finish` does."""
    await conn.execute(
        _FINISH_ALL,
        [principal for principal, _, _ in answers],
        [key for _, key, _ in answers],
        [answer.status for _, _, answer in answers],
        [answer.body for _, _, answer in answers],
        [answer.resource for _, _, answer in answers],
    )


async def finish(conn: Connection, *, principal: str, key: str, answer: Answer) -> None:
    """Store the answer under the claimed key, in the transaction that completes the effect.

    The first stored answer stays: finishing twice (a request and a sweeper) changes nothing.
    """
    await conn.execute(_FINISH, principal, key, answer.status, answer.body, answer.resource)


_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended($2, hashtextextended($1, 0)))"
_CLAIM = """
    INSERT INTO idempotency (principal, key, fingerprint, resource) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING RETURNING true
"""
# In the order of the keys, so that two batches cannot wait for each other.
_CLAIM_ALL = """
    INSERT INTO idempotency (principal, key, fingerprint)
    SELECT principal, key, fingerprint FROM unnest($1::text[], $2::text[], $3::bytea[]) AS c (principal, key, fingerprint)
    ORDER BY principal, key
    ON CONFLICT DO NOTHING RETURNING principal, key
"""
_FINISH_ALL = """
    UPDATE idempotency i SET status = f.status, body = f.body, resource = coalesce(f.resource, i.resource)
      FROM unnest($1::text[], $2::text[], $3::integer[], $4::json[], $5::text[])
           AS f (principal, key, status, body, resource)
     WHERE i.principal = f.principal AND i.key = f.key AND i.status IS NULL
"""
_STORED = "SELECT fingerprint, status, body, resource FROM idempotency WHERE principal = $1 AND key = $2"
_FINISH = """
    UPDATE idempotency SET status = $3, body = $4, resource = coalesce($5, resource)
    WHERE principal = $1 AND key = $2 AND status IS NULL
"""
