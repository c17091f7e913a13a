"""Faults, drawn from a seed. Pure.

Whether a fault strikes depends on the seed, its name, what it would strike and how often that was asked before: so a
run can be repeated although the machine never schedules two runs alike.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SENDING: Final = (
    "timeout_before",
    "timeout_after",
    "reset_mid_body",
    "ok_with_error_body",
    "error_after_success",
    "html_502",
    "conflict_in_progress",
)
"""What may happen to the first request of its kind for one thing. At most one of them does."""

ASKING: Final = ("query_timeout", "query_reset", "query_html_502", "query_error_body")
"""What may happen to the first look at one thing."""

WEBHOOKS: Final = (
    "webhook_lost",
    "webhook_delayed",
    "webhook_duplicated",
    "webhook_duplicated_new_id",
    "webhook_reordered",
    "webhook_badly_signed",
    "webhook_before_answer",
)

LIES: Final = ("wrong_amount", "wrong_currency", "partial_capture", "double_capture", "expired_authorization")
"""What is wrong with the thing itself, from the beginning."""

LATE: Final = ("reversal_after_success", "refund_fails_after_success", "dispute_during_refund")
"""What goes wrong with it long afterwards."""

FILES: Final = ("file_line_missing", "file_line_duplicated", "file_line_altered", "file_line_shifted")

OTHERS: Final = ("key_ignored", "not_found_after_success")

ALL: Final = (*SENDING, *ASKING, *WEBHOOKS, *LIES, *LATE, *FILES, *OTHERS)


@dataclass(frozen=True, slots=True)
class Faults:
    """Which faults strike how often: rates from 0 to 1 by name. Without rates there are none.

    `struck` remembers what each has struck: to be counted, never to be decided by.
    """

    seed: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    struck: dict[str, set[str]] = field(default_factory=dict, compare=False)

    def strikes(self, name: str, *what: object) -> bool:
        """Whether that fault strikes this."""
        rate = self.rates.get(name, 0.0)
        hit = rate > 0 and self.draw(name, *what) < rate
        if hit:
            self.struck.setdefault(name, set()).add("|".join(map(str, what)))
        return hit

    def count(self) -> dict[str, int]:
        """How many things each fault has struck."""
        return {name: len(self.struck[name]) for name in sorted(self.struck)}

    def one_of(self, names: tuple[str, ...], *what: object) -> str | None:
        """The first of these faults that strikes this, if any does."""
        return next((name for name in names if self.strikes(name, *what)), None)

    def draw(self, *what: object) -> float:
        """A number from 0 to 1 that depends on the seed and on this alone."""
        text = "|".join(map(str, (self.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) / 256**7


def everything(seed: int, rate: float = 0.15, lies: float = 0.04) -> Faults:
    """Every fault at once: transport faults often, lies seldom enough that most payments still end well."""
    rare = {*LIES, *LATE, *FILES}
    return Faults(seed, {name: lies if name in rare else rate for name in ALL})
