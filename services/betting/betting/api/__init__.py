"""Betting over HTTP: what is asked (`requests`), what is shown (`views`), and the handlers between them."""

from betting.api.handlers import OFFICIATING, PLACING, PROGRAMME, READING, ROUTES, TRADING
from betting.api.views import own_offer_answer

__all__ = ["OFFICIATING", "PLACING", "PROGRAMME", "READING", "ROUTES", "TRADING", "own_offer_answer"]
