"""Carries outbox rows of one database to the broker, in order and with confirms."""
