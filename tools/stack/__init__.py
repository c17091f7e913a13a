"""A private stack on this machine: PostgreSQL, RabbitMQ, Redis and every service, under one supervisor.

It serves `make run`, the tests and the fault drills alike. Everything listens on 127.0.0.1, on ports
derived from one base, and keeps its state under `.run/<name>/`.
"""
