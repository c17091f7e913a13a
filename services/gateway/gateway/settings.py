"""What the gateway is told by its environment."""

from common.rate_limits import RateLimit, WhenBlind
from common.settings import CacheSettings, ServiceSettings, TokenSettings
from pydantic import Field

from gateway.domain import LimitClass, Service


class Settings(ServiceSettings, CacheSettings, TokenSettings):
    """Names are the fields in capitals. Rates are requests a second with a burst on top.

    The default rates are meant for many people behind one address, such as a whole track's wireless network.
    """

    service: str = "gateway"
    betting_url: str
    payments_url: str
    ledger_url: str
    health_urls: dict[str, str] = Field(default_factory=dict)
    """Further processes whose readiness is shown, by name: `{"relay-ledger": "http://127.0.0.1:21010"}`."""
    connect_seconds: float = Field(default=1.0, gt=0)
    """How long connecting to an upstream, or waiting for a free connection to it, may take."""
    upstream_connections: int = Field(default=128, ge=1)
    """Connections to each upstream. Who finds none free in time is answered 503."""
    token_keep_seconds: float = Field(default=30.0, gt=0, le=30)
    """How long a session's internal token is used again before it is asked for anew."""
    sessions_kept: int = Field(default=20_000, ge=1)
    auth_per_second: float = Field(default=40.0, gt=0)
    auth_burst: int = Field(default=600, ge=1)
    """Registrations and log-ins, per address."""
    money_per_second: float = Field(default=50.0, gt=0)
    money_burst: int = Field(default=200, ge=1)
    """Offers, deposits and withdrawals, per person."""

    @property
    def upstreams(self) -> dict[Service, str]:
        return {
            Service.IDENTITY: self.identity_url,
            Service.BETTING: self.betting_url,
            Service.PAYMENTS: self.payments_url,
            Service.LEDGER: self.ledger_url,
        }

    @property
    def limits(self) -> dict[LimitClass, RateLimit]:
        auth = RateLimit(LimitClass.AUTH, self.auth_per_second, self.auth_burst, WhenBlind.REFUSE)
        money = RateLimit(LimitClass.MONEY, self.money_per_second, self.money_burst, WhenBlind.COUNT_HERE)
        return {LimitClass.AUTH: auth, LimitClass.MONEY: money}
