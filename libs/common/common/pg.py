"""PostgreSQL: pools with every wait bounded, transactions, and driver errors translated at one seam.

Numbers are `Decimal`, json and jsonb are `str` (asyncpg's own default): a store maps them itself.
The connection's time limits are set on the server, which keeps them even when the client hangs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import asyncpg
from prometheus_client import Counter
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from common.errors import DomainError, Unavailable

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
else:  # the driver's classes are generic only for the type checker
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection


class _Session(asyncpg.Connection):
    """A connection that is given back to its pool as it is: nobody here changes a session's state, and to
    reset what nobody set costs a round trip every time. An open transaction is rolled back all the same."""

    def get_reset_query(self) -> str:
        return ""


Isolation = Literal["read_committed", "repeatable_read", "serializable"]
Result = TypeVar("Result")

UNAVAILABLE = Counter(
    "database_unavailable", "Times that the database did not answer, by what it or the driver said.", ("why",)
)
for _why in ("TooManyConnectionsError", "DiskFullError", "OutOfMemoryError", "InsufficientResourcesError"):
    UNAVAILABLE.labels(
        _why
    )  # what somebody is woken for is there at 0, or the first time would be no increase

ACQUIRE_TIMEOUT_SECONDS = 2.0
"""How long a request may wait for a free connection before it is answered 503."""

COMMAND_TIMEOUT_SECONDS = 10.0
"""The client's own limit, above the server's: it only bites when the server is frozen. A pool whose statements
may take longer has five seconds more than they."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer in time. If it was a commit, its outcome is unknown: ask again
    with the same idempotency key."""

    slug = "database-unavailable"
    title = "Database unavailable"


async def create_pool(
    dsn: str,
    *,
    min_size: int = 2,
    max_size: int = 10,
    application_name: str,
    statement_timeout_ms: int = 5_000,
    lock_timeout_ms: int = 3_000,
    idle_in_transaction_timeout_ms: int = 10_000,
    settings: Mapping[str, str] | None = None,
) -> "Pool":
    """A pool of at most `max_size` connections, each with the server's time limits and `settings` set.

    Raises `DatabaseUnavailable` if the database cannot be reached.
    """
    with unavailable():
        return await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            command_timeout=max(
                COMMAND_TIMEOUT_SECONDS, statement_timeout_ms / 1_000 + COMMAND_TIMEOUT_SECONDS / 2
            ),
            timeout=ACQUIRE_TIMEOUT_SECONDS * 2,
            connection_class=_Session,
            server_settings={
                "application_name": application_name,
                "statement_timeout": str(statement_timeout_ms),
                "lock_timeout": str(lock_timeout_ms),
                "idle_in_transaction_session_timeout": str(idle_in_transaction_timeout_ms),
                "timezone": "UTC",
                **(settings or {}),
            },
        )


_GIVEN_BACK: set[asyncio.Task[None]] = set()
"""Connections on their way back: the event loop itself only remembers tasks weakly."""


@asynccontextmanager
async def borrowed(pool: "Pool") -> "AsyncIterator[Connection]":
    """A connection of the pool, which goes back by itself afterwards.

    Nobody waits for that: asyncpg takes three turns of the event loop over it, and in a busy process each turn is
    behind all the requests that have come meanwhile. Whoever borrows again at once gets another one, so the pool should
    keep two; where it does not matter, `transaction` waits.
    Raises `DatabaseUnavailable` when no connection is free in time, or as `unavailable` does.
    """
    with unavailable():
        connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
        try:
            yield connection
        finally:
            going = asyncio.ensure_future(pool.release(connection))
            _GIVEN_BACK.add(going)
            going.add_done_callback(_given_back)


def _given_back(gone: "asyncio.Task[None]") -> None:
    _GIVEN_BACK.discard(gone)
    if not gone.cancelled():
        gone.exception()  # one that cannot go back is closed, and the pool opens another


@asynccontextmanager
async def transaction(
    pool: "Pool", *, isolation: Isolation = "read_committed", readonly: bool = False
) -> "AsyncIterator[Connection]":
    """One transaction on one connection: commits on exit, rolls back on raise.

    Raises `DatabaseUnavailable` when no connection is free in time, the connection breaks, or the
    server stops a statement for taking or waiting too long.
    """
    with unavailable():
        async with (
            pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection,
            connection.transaction(isolation=isolation, readonly=readonly),
        ):
            yield connection


async def retry_serialization(work: Callable[[], Awaitable[Result]], *, attempts: int = 5) -> Result:
    """Run a whole SERIALIZABLE transaction again when the server asks for it, at most `attempts` times.

    `work` must hold the transaction and nothing that cannot be repeated.
    Raises `DatabaseUnavailable` when the last attempt loses as well.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type((asyncpg.SerializationError, asyncpg.DeadlockDetectedError)),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.01, max=0.5),
        reraise=True,
    )
    try:
        return await retrying(work)
    except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
        raise DatabaseUnavailable("too much contention, try again", retry_after=1) from error


@contextmanager
def translate(errors: Mapping[str, Callable[[], DomainError]]) -> Iterator[None]:
    """Turn the violation of a named constraint (or a trigger that names one) into its domain error.

    A violation that is not named here stays what it is: a defect.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        make = errors.get(error.constraint_name or "")
        if make is None:
            raise
        raise make() from error


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn every way in which the database can fail to answer into `DatabaseUnavailable`."""
    try:
        yield
    except (
        TimeoutError,
        OSError,
        asyncpg.InterfaceError,
        # The server has ended the connection with its last words still being read: whoever uses it next, if only to
        # roll back, is told that another operation is in progress.
        asyncpg.InternalClientError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        asyncpg.LockNotAvailableError,
        asyncpg.IdleInTransactionSessionTimeoutError,
    ) as error:
        UNAVAILABLE.labels(type(error).__name__).inc()
        raise DatabaseUnavailable("the database did not answer in time", retry_after=1) from error


async def answers(pool: "Pool") -> None:
    """A readiness probe. Raises `DatabaseUnavailable` unless the database answers a query."""
    with unavailable():
        await pool.fetchval("SELECT 1", timeout=ACQUIRE_TIMEOUT_SECONDS)


async def migrated(pool: "Pool", version: str) -> None:
    """A readiness probe. Raises `DatabaseUnavailable` when that migration has not been applied.

    A database that does not answer says nothing about that: it is named by `answers`, and not by this as well.
    """
    applied = True
    with suppress(DatabaseUnavailable), unavailable():
        applied = await pool.fetchval(
            "SELECT EXISTS (SELECT FROM schema_migrations WHERE version = $1)",
            version,
            timeout=ACQUIRE_TIMEOUT_SECONDS,
        )
    if not applied:
        raise DatabaseUnavailable(f"migration {version} has not been applied")
