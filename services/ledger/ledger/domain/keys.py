"""What an API key may do. Pure: who presents it, and that it is genuine, is found out elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ledger.domain.refusals import ReadOnlyKey, ScopeMissing

READ = "read"
POST = "post"
KIND = "post:"
"""`post:<kind>`: may post that kind alone."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whoever presented a valid key: its ledger, its principal, and what the key lets it do.

    `signing_root` names the secret that its requests must be signed with; None: they need not be.
    `rate_per_second` with `burst`, and `requests_per_day`: at most; None: no limit of its own.
    """

    key: UUID
    ledger: int
    principal: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    signing_root: str | None = None
    rate_per_second: int | None = None
    burst: int | None = None
    requests_per_day: int | None = None

    @property
    def read_only(self) -> bool:
        """Whether it can change nothing."""
        return self.scopes <= {READ}

    def require(self, *, mutation: bool) -> None:
        """Raises `ReadOnlyKey` for a mutation by a key that may only read, `ScopeMissing` for reading by
        one that may only post."""
        if mutation and self.read_only:
            raise ReadOnlyKey("this key may only read")
        if not mutation and READ not in self.scopes:
            raise ScopeMissing("this key may only post", extra={"scope": READ})

    def require_kind(self, kind: str) -> None:
        """Raises `ScopeMissing` unless the key may post that kind. The principal must be permitted, too:
        that is for the books to decide."""
        if POST not in self.scopes and KIND + kind not in self.scopes:
            raise ScopeMissing(f"this key may not post {kind}", field="kind", extra={"scope": KIND + kind})


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key is made with. See `KeyHolder`; `lifetime` None: until it is revoked."""

    scopes: frozenset[str] = frozenset((READ, POST))
    signed: bool = False
    lifetime: timedelta | None = None
    rate_per_second: int | None = None
    burst: int | None = None
    requests_per_day: int | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds its scopes name."""
        return frozenset(scope.removeprefix(KIND) for scope in self.scopes if scope.startswith(KIND))

    @property
    def unknown(self) -> frozenset[str]:
        """Scopes that are none."""
        return frozenset(
            scope for scope in self.scopes if scope not in (READ, POST) and not scope.startswith(KIND)
        )
