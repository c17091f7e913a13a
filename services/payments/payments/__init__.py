"""Deposits, withdrawals and the attestor: knows rails and receipts, never balances."""
