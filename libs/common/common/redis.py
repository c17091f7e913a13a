"""Redis with every wait bounded, and nothing retried behind our back but a connection that had died while nobody used it.

The driver's ten default retries once turned a time-out of 0.25 s into 6.3 s. With none at all, each connection that lay
idle in the pool when Redis was started again cost the next request that took it a refusal, long after Redis was back. So
a connection that breaks, which is noticed at once, is asked again once on a new one; a time-out never is. What is asked
twice that way may have been done twice: a rate is charged again, and what can be used once may come out as used.
"""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import RedisError

TROUBLE = (RedisError, OSError, TimeoutError)
"""Every way in which Redis can fail to answer."""


def connect(url: str, *, max_connections: int = 32, timeout_seconds: float = 1.0) -> Redis:
    """A client over a bounded pool. It connects when first used; the caller closes it with `aclose`.

    The time-out holds for each of: a free connection, connecting, an answer.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 1, supported_errors=(Broken,)),
    )
    return Redis.from_pool(pool)


async def answers(redis: Redis) -> None:
    """A readiness probe. Raises one of `TROUBLE` unless Redis answers."""
    await redis.ping()
