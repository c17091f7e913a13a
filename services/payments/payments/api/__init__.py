"""Payments over HTTP: one file for each group of routes."""

from payments.api import cards, cashier, transfers, webhooks

ROUTES = (*transfers.ROUTES, *cards.ROUTES, *cashier.ROUTES, *webhooks.ROUTES)
"""Every route of payments."""
