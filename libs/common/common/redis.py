"""Redis with every wait bounded, and nothing retried behind our back but a connection that had died while nobody used it.

The driver's ten default retries once turned a time-out of 0.25 s into 6.3 s. With none at all, each connection that lay
idle in the pool when Redis was started again cost the next request that took it a refusal, long after Redis was back. So
a connection that breaks, which is noticed at once, is asked again once on a new one; a time-out never is. What is asked
twice that way may have been done twice: a rate is charged again, and what can be used once may come out as used.

A Redis that is frozen (its machine, its disk) costs whoever asks it the whole time-out, and a request asks up to three
times. So after a few time-outs in a row it is not asked for a while, and then by one command at a time.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as Silent

from common.breaker import Breaker, CircuitOpen

TRIP_AFTER: Final = 3
"""Time-outs in a row after which Redis is left alone for a while."""
LONGEST_REST_SECONDS: Final = 2.0
"""Without Redis some requests are refused, so it is soon asked again."""

TROUBLE = (RedisError, OSError, TimeoutError)
"""Every way in which Redis can fail to answer."""


class _Spared(Redis):
    """A client that leaves a Redis alone which does not answer."""

    def __init__(self, pool: BlockingConnectionPool, circuit: Breaker) -> None:
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self._circuit = circuit

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Ask, unless it rests. Raises one of `TROUBLE`."""
        try:
            with self._circuit.attempt():
                return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except CircuitOpen as resting:
            raise Broken("Redis did not answer a moment ago, so it was not asked") from resting


def connect(url: str, *, max_connections: int = 32, timeout_seconds: float = 1.0) -> Redis:
    """A client over a bounded pool. It connects when first used; the caller closes it with `aclose`.

    The time-out holds for each of: a free connection, connecting, an answer. Commands are spared a Redis that is silent;
    pipelines, of which there is none where requests wait, are not.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 1, supported_errors=(Broken,)),
    )
    where = urlsplit(url)
    circuit = Breaker(
        f"redis {where.hostname}:{where.port}",
        (Silent,),
        trip_after=TRIP_AFTER,
        longest_rest_seconds=LONGEST_REST_SECONDS,
    )
    return _Spared(pool, circuit)


async def answers(redis: Redis) -> None:
    """A readiness probe. Raises one of `TROUBLE` unless Redis takes what it is told: one without memory left, or one that is
    somebody's copy, still answers a ping."""
    await redis.set("readiness", "", px=1_000)
