"""What betting is told by its environment."""

from common.settings import BrokerSettings, DatabaseSettings, ServiceSettings, TokenSettings
from pydantic import BaseModel, Field, SecretStr


class LedgerSettings(BaseModel):
    """How to ask the ledger. ledger_timeout_seconds bounds one attempt, of three."""

    ledger_url: str
    ledger_api_key: SecretStr
    ledger_signing_key: SecretStr
    ledger_timeout_seconds: float = Field(default=2.0, gt=0)
    ledger_connections: int = Field(default=8, ge=1)


class Settings(ServiceSettings, DatabaseSettings, LedgerSettings, TokenSettings):
    """patience_seconds   after this long a sweeper takes up an offer that its request left pending
    sweep_seconds         between two looks for such offers
    deadline_seconds      between two looks for deadlines
    """

    service: str = "betting"
    pool_size: int = Field(default=16, ge=2)
    patience_seconds: float = Field(default=10.0, gt=0)
    sweep_seconds: float = Field(default=1.0, gt=0)
    deadline_seconds: float = Field(default=0.25, gt=0)


class SettlerSettings(ServiceSettings, DatabaseSettings, LedgerSettings, BrokerSettings):
    """settle_seconds   between two looks for markets whose race is decided
    collect_seconds     between two looks for debts that could be repaid
    users_per_chunk     bettors whose shares one ledger entry of a settlement books
    """

    service: str = "betting-settler"
    pool_size: int = Field(default=4, ge=2)
    settle_seconds: float = Field(default=0.25, gt=0)
    collect_seconds: float = Field(default=1.0, gt=0)
    users_per_chunk: int = Field(default=200, ge=1, le=200)
