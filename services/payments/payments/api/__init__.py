"""Payments over HTTP: one file for each group of routes."""

from payments.api import bank_account, cards, cashier, transfers, webhooks

ROUTES = (*transfers.ROUTES, *cards.ROUTES, *cashier.ROUTES, *bank_account.ROUTES, *webhooks.ROUTES)
"""Every route of payments."""
