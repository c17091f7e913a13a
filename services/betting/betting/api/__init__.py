"""Betting over HTTP: what is asked (`requests`, `official_requests`), what is shown (`views`, `own_views`,
`registry_views`), and the handlers between them, by who they are for."""

from betting.api import (
    betting_handlers,
    official_handlers,
    public_handlers,
    registry_handlers,
    withholding_handlers,
)
from betting.api.own_views import own_offer_answer
from betting.api.services import (
    GATES,
    OFFICIATING,
    PLACING,
    PROGRAMME,
    READING,
    REGISTRY,
    RESTARTING,
    SUSPENDING,
    TRADING,
    WITHHOLDING,
)

ROUTES = (
    *registry_handlers.ROUTES,
    *withholding_handlers.ROUTES,
    *official_handlers.ROUTES,
    *betting_handlers.ROUTES,
    *public_handlers.ROUTES,
)

__all__ = [
    "GATES",
    "OFFICIATING",
    "PLACING",
    "PROGRAMME",
    "READING",
    "REGISTRY",
    "RESTARTING",
    "ROUTES",
    "SUSPENDING",
    "TRADING",
    "WITHHOLDING",
    "own_offer_answer",
]
