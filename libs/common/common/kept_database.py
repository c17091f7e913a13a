"""For tests: one copy of a service's database for many of them, as new for each.

Making a copy and dropping it is 480 files made and unlinked, which costs more than most tests do: 0.1 s of a processor,
and half a second once some hundred copies have gone, since ext4 looks at every inode that was freed in the last minutes
before it takes one. So a copy is kept, and what a test has left in it is deleted: rows that were not there at first go, those
that were there are put back, sequences begin anew. A test that changed the schema (switched a trigger off, say), or filled
the copy with more than a few megabytes, has had it for itself: the next one gets another copy.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import asyncpg

from common.testing import Database, copy_database, drop_database

MOST_BYTES_MORE: Final = 8 * 1024 * 1024
"""What deleted rows leave behind: a copy that has grown by more is not kept."""


class KeptDatabase:
    """A copy that is made when it is first asked for. The caller drops it with `drop`."""

    def __init__(self, service: str, *, like: Database | None = None) -> None:
        """As `copy_database`."""
        self._service = service
        self._like = like
        self._made: Database | None = None
        self._schema = ""
        self._bytes = 0
        self._as_new = ""

    async def as_new(self) -> Database:
        """The copy as it was when it was made. Whoever is still connected to it is not any more."""
        if self._made is not None:
            async with _owner(self._made) as owner:
                await owner.execute(_OTHERS_LEAVE)
                schema, size = await _schema_and_bytes(owner)
                if schema == self._schema and size <= self._bytes + MOST_BYTES_MORE:
                    await owner.execute(self._as_new)
                    return self._made
            await self.drop()
        self._made = await copy_database(self._service, like=self._like)
        async with _owner(self._made) as owner:
            self._schema, self._bytes = await _schema_and_bytes(owner)
            self._as_new = await _script(owner)
        return self._made

    async def forget(self) -> None:
        """Delete what a test has left, while those who are connected stay. Raises LookupError if there is no copy."""
        if self._made is None:
            raise LookupError("nobody has asked for the copy yet")
        async with _owner(self._made) as owner:
            await owner.execute(self._as_new)

    async def drop(self) -> None:
        """Drop the copy, if there is one."""
        if self._made is not None:
            await drop_database(self._made)
            self._made = None


@contextmanager
def keeping(service: str, *, like: Database | None = None) -> Iterator[KeptDatabase]:
    """A copy for a whole run of tests, for a fixture that no event loop outlives."""
    kept = KeptDatabase(service, like=like)
    yield kept
    asyncio.run(kept.drop())


@asynccontextmanager
async def _owner(database: Database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _schema_and_bytes(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[str, int]:
    """What changes with every change of the schema, of privileges and of settings; and how large the tables are."""
    [row] = await connection.fetch(_SCHEMA_AND_BYTES)
    return row["schema"], row["bytes"]


async def _script(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    """What deletes everything and puts back what there is now."""
    tables = await connection.fetch(_TABLES)
    rows = {name: await connection.fetchval(_ROWS.format(name)) for name, _ in tables}
    put_back = [
        await connection.fetchval(_PUT_BACK, name, columns, rows[name])
        for name, columns in tables
        if rows[name] is not None
    ]
    sequences = [row[0] for row in await connection.fetch(_SEQUENCES)]
    emptied = [f"DELETE FROM {name}" for name, _ in tables]  # noqa: S608
    return ";\n".join(
        ["BEGIN", "SET LOCAL session_replication_role = replica", *emptied, *put_back, *sequences, "COMMIT"]
    )


_OTHERS_LEAVE: Final = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

# A row of a catalog that is changed is written anew, by a later transaction. Statistics are written in place. What PostgreSQL
# brings along has numbers below 16384. Each part is a value of its own: as a join of eleven single rows it took 15 ms to plan.
_SCHEMA_AND_BYTES: Final = """
    SELECT concat_ws(' ',
        (SELECT count(*) || ':' || max(xmin::text::bigint) FROM pg_class WHERE relpersistence <> 't'),
        (SELECT count(*) || ':' || max(a.xmin::text::bigint) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
         WHERE c.relpersistence <> 't' AND a.attrelid >= 16384),
        (SELECT count(*) || ':' || max(xmin::text::bigint) FROM pg_constraint),
        (SELECT count(*) || ':' || max(xmin::text::bigint) FROM pg_trigger),
        (SELECT count(*) || ':' || max(xmin::text::bigint) FROM pg_proc WHERE oid >= 16384),
        (SELECT count(*) || ':' || max(xmin::text::bigint) FROM pg_policy),
        (SELECT count(*) || ':' || max(xmin::text::bigint) FROM pg_attrdef),
        (SELECT count(*) || ':' || max(xmin::text::bigint) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'),
        (SELECT array_agg(setconfig::text ORDER BY setrole)::text FROM pg_db_role_setting
         WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
        (SELECT datacl::text FROM pg_database WHERE datname = current_database())) AS schema,
        (SELECT coalesce(sum(pg_relation_size(oid)), 0)::bigint FROM pg_class
         WHERE relkind = 'r' AND relnamespace <> 'pg_catalog'::regnamespace) AS bytes
"""

_TABLES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
           (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""

_ROWS: Final = "SELECT json_agg(t)::text FROM {} AS t"

_PUT_BACK: Final = """
    SELECT format('INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM json_populate_recordset(NULL::%1$s, %3$L)',
                  $1::text, $2::text, $3::text)
"""

_SEQUENCES: Final = """
    SELECT format('SELECT setval(%L, %s, %L)', format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value),
                  last_value IS NOT NULL)
    FROM pg_sequences
"""
