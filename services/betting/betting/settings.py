"""What betting is told by its environment."""

from common.settings import BrokerSettings, DatabaseSettings, ServiceSettings, TokenSettings
from pydantic import Field, SecretStr


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, TokenSettings):
    """ledger_timeout_seconds   bounds one attempt at a hold, of three
    patience_seconds            after this long a sweeper takes up an offer that its request left pending
    sweep_seconds               between two looks for such offers
    settle_seconds              between two looks for markets whose race is decided, and for deadlines
    users_per_chunk             bettors whose shares one ledger entry of a settlement books
    """

    service: str = "betting"
    ledger_url: str
    ledger_api_key: SecretStr
    ledger_signing_key: SecretStr
    ledger_timeout_seconds: float = Field(default=2.0, gt=0)
    ledger_connections: int = Field(default=64, ge=1)
    pool_size: int = Field(default=16, ge=2)
    patience_seconds: float = Field(default=10.0, gt=0)
    sweep_seconds: float = Field(default=1.0, gt=0)
    settle_seconds: float = Field(default=0.25, gt=0)
    users_per_chunk: int = Field(default=200, ge=1, le=200)
