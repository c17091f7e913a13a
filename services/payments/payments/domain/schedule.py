"""When to try again."""

from datetime import timedelta


def backoff(tries: int, *, first_seconds: float, longest_seconds: float, spread: float) -> timedelta:
    """How long to wait after that many tries (from 1): doubling up to `longest_seconds`.

    `spread`, a random number from 0 to 1, takes away up to half, so that what failed together does not
    come back together.
    """
    whole = min(longest_seconds, first_seconds * 2.0 ** min(tries - 1, 30))
    return timedelta(seconds=whole * (1 - spread / 2))
