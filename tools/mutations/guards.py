"""The guards, and how each is taken away."""

from __future__ import annotations

from dataclasses import dataclass

P = "services/payments/payments"
T = "services/payments/tests"
L = "services/ledger/ledger"
LT = "services/ledger/tests"


@dataclass(frozen=True, slots=True)
class CodeGuard:
    """A guard in a file: `old` is replaced by `new`, and `tests` must fail. `whole`: they need every service, started
    from the copy that lacks the guard."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseGuard:
    """A guard in a service's database: `drop` takes it away, `restore` brings it back."""

    name: str
    service: str
    drop: str
    restore: str
    tests: tuple[str, ...]
