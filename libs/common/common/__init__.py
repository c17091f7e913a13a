"""Plumbing every service shares, with no business in it: money, HTTP, PostgreSQL, AMQP, telemetry."""
