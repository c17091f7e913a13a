"""What identity is told by its environment."""

from datetime import timedelta
from pathlib import Path

from common.rate_limits import RateLimit, WhenBlind
from common.settings import CacheSettings, DatabaseSettings, ServiceSettings
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings

from identity.service.access import Lifetimes
from identity.sessions import Lifetime


class HashSettings(BaseModel):
    """What a password hash costs and how many are made at once. The floors are OWASP's: no setting undercuts them."""

    hash_memory_kib: int = Field(default=19_456, ge=19_456)
    hash_passes: int = Field(default=2, ge=2)
    hash_workers: int = Field(default=2, ge=1, le=16)
    hash_queue: int = Field(default=64, ge=0)
    """How many may wait for a worker before the next one is answered 503."""


class MessageSettings(BaseModel):
    """How messages reach people."""

    messenger_url: SecretStr = SecretStr("print:")
    """`print:`, `file:///path`, `smtp://user:password@host`, `smtps://…`; see `identity.messengers`."""
    messages_from: str = "El Carril <no-reply@elcarril.mx>"


class MasterSettings(BaseModel):
    """For a process that derives secrets."""

    master_key_file: Path
    """32 bytes in base64; `python -m identity keys create-master` makes them."""


class Settings(
    ServiceSettings, DatabaseSettings, CacheSettings, HashSettings, MasterSettings, MessageSettings
):
    """The serving process. Names are the fields in capitals."""

    service: str = "identity"
    signing_keys_file: Path
    """Ed25519 keys as a JWK set; `python -m identity keys create` makes one, `keys rotate` changes the key."""
    badge_key_file: Path
    """The key of badges; `python -m identity keys create-badge` makes one, and betting's database is given it as well."""
    ledger_url: str
    ledger_api_key: SecretStr
    ledger_signing_key: SecretStr
    token_seconds: int = Field(default=60, ge=5, le=60)
    session_idle_minutes: int = Field(default=60, ge=1)
    """A session unused for this long ends."""
    session_hours: int = Field(default=24, ge=1)
    """A session ends after this long whatever happens."""
    staff_session_idle_minutes: int = Field(default=30, ge=1)
    staff_session_hours: int = Field(default=12, ge=1)
    account_attempts: int = Field(default=10, ge=1)
    """Wrong log-ins at one account in a row, from wherever they come."""
    account_attempt_seconds: float = Field(default=30.0, gt=0)
    """After that, one more in each of these periods."""
    pool_size: int = Field(default=8, ge=1)

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(seconds=self.token_seconds)

    @property
    def lifetimes(self) -> Lifetimes:
        return Lifetimes(
            bettor=Lifetime(
                timedelta(minutes=self.session_idle_minutes), timedelta(hours=self.session_hours)
            ),
            staff=Lifetime(
                timedelta(minutes=self.staff_session_idle_minutes), timedelta(hours=self.staff_session_hours)
            ),
        )

    @property
    def sendings(self) -> RateLimit:
        """Codes to one address: five at once, then one in five minutes."""
        return RateLimit("codes", 1 / 300, 5, WhenBlind.REFUSE)

    @property
    def attempts(self) -> RateLimit:
        per_second = 1 / self.account_attempt_seconds
        return RateLimit("account", per_second, self.account_attempts, WhenBlind.REFUSE)


class StaffSettings(BaseSettings, DatabaseSettings, HashSettings, MasterSettings):
    """The `staff` command, which needs the database and the master key."""
