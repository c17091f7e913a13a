"""Who somebody is to us. A word of the business, so that a pure domain may use it too."""

from enum import StrEnum


class Role(StrEnum):
    """What a principal is to us."""

    BETTOR = "bettor"
    OFFICIAL = "official"
    CASHIER = "cashier"
    AUDITOR = "auditor"
    ADMIN = "admin"
    SERVICE = "service"
