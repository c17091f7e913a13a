"""What the gateway is told by its environment."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from common.rate_limits import RateLimit, WhenBlind
from common.settings import BrokerSettings, CacheSettings, ServiceSettings, TokenSettings
from pydantic import Field

from gateway.domain import Dimension, LimitClass, Service

Origin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:[0-9]+)?$")]
"""As a browser sends it: small letters, without a path or a last slash."""


class Settings(ServiceSettings, BrokerSettings, CacheSettings, TokenSettings):
    """Names are the fields in capitals. Rates are requests a second with a burst on top.

    The default rates are meant for many people behind one address, such as a whole track's wireless network.
    """

    service: str = "gateway"
    betting_url: str
    payments_url: str
    ledger_url: str
    health_urls: dict[str, str] = Field(default_factory=dict)
    """Further processes whose readiness is shown, by name: `{"relay-ledger": "http://127.0.0.1:21010"}`."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Our own proxies, whose `X-Forwarded-For` is believed."""
    cors_origins: frozenset[Origin] = frozenset()
    """Web pages that may call us: `["https://app.elcarril.mx"]`."""
    connect_seconds: float = Field(default=1.0, gt=0)
    """How long connecting to an upstream may take, and before that waiting for a place there."""
    upstream_places: int = Field(default=128, ge=1)
    """Requests at each upstream at once. Who finds no place in time is answered 503."""
    requests_in_hand: int = Field(default=512, ge=10)
    """Requests worked on at once. Beyond a share of it browsing is turned away, then logging in, money last."""
    bodies_waited_for: int = Field(default=512, ge=1)
    """Bodies that have not come with their heads, at once; of one address a quarter of these. They hold no place of the above."""
    token_keep_seconds: float = Field(default=30.0, gt=0, le=30)
    """How long a session's internal token, or a device's key, is used again before it is asked for anew."""
    sessions_kept: int = Field(default=20_000, ge=1)
    auth_per_second: float = Field(default=40.0, gt=0)
    auth_burst: int = Field(default=600, ge=1)
    """What tries a password or a code, per address."""
    money_per_second: float = Field(default=50.0, gt=0)
    money_burst: int = Field(default=200, ge=1)
    """Offers, deposits and withdrawals, per person and per device."""
    other_per_second: float = Field(default=50.0, gt=0)
    other_burst: int = Field(default=400, ge=1)
    """Everything else, per person."""
    address_per_second: float = Field(default=2_000.0, gt=0)
    address_burst: int = Field(default=8_000, ge=1)
    """Money and everything else, per address."""

    @property
    def upstreams(self) -> dict[Service, str]:
        return {
            Service.IDENTITY: self.identity_url,
            Service.BETTING: self.betting_url,
            Service.PAYMENTS: self.payments_url,
            Service.LEDGER: self.ledger_url,
        }

    @property
    def limits(self) -> dict[LimitClass, dict[Dimension, RateLimit]]:
        """Nobody tries passwords uncounted; for the rest each gateway counts alone while Redis is away."""
        auth = RateLimit("auth", self.auth_per_second, self.auth_burst, WhenBlind.REFUSE)
        alone = WhenBlind.COUNT_HERE
        money = RateLimit("money", self.money_per_second, self.money_burst, alone)
        device = RateLimit("device", self.money_per_second, self.money_burst, alone)
        other = RateLimit("other", self.other_per_second, self.other_burst, alone)
        address = RateLimit("address", self.address_per_second, self.address_burst, alone)
        return {
            LimitClass.AUTH: {Dimension.ADDRESS: auth},
            LimitClass.MONEY: {
                Dimension.ACCOUNT: money,
                Dimension.DEVICE: device,
                Dimension.ADDRESS: address,
            },
            LimitClass.OTHER: {Dimension.ACCOUNT: other, Dimension.ADDRESS: address},
        }
