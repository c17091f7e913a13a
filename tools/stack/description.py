"""`stack.json`: what tests and tools need to know of a running stack."""

from __future__ import annotations

import json
from typing import Final

from contracts.topology import VHOST

from tools.stack import postgres, rabbitmq, redis
from tools.stack.layout import OFFSETS, Layout
from tools.stack.secrets import secret, write

INFRASTRUCTURE: Final = {
    "postgres",
    "rabbitmq",
    "rabbitmq-management",
    "epmd",
    "rabbitmq-distribution",
    "redis",
    "redis-cache",
    "postgres-replica",
}


async def describe(layout: Layout) -> None:
    """Write it, readable by its owner alone: it holds every password."""
    description = {
        "name": layout.name,
        "base": layout.base,
        "postgres": {
            "host": layout.host("postgres"),
            "port": layout.port("postgres"),
            "superuser_dsn": postgres.superuser_dsn(layout),
        },
        "roles": {role: {"password": secret(layout, role)} for role in postgres.dsns(layout)},
        "dsn": postgres.dsns(layout),
        "rabbitmq": {
            "host": layout.host("rabbitmq"),
            "port": layout.port("rabbitmq"),
            "management": layout.port("rabbitmq-management"),
            "vhost": VHOST,
            "users": rabbitmq.passwords(layout),
        },
        "redis_url": redis.url(layout),
        "redis_cache_url": redis.url(layout, redis.CACHE),
        "urls": {process: layout.url(process) for process in OFFSETS if process not in INFRASTRUCTURE},
        "secrets_dir": str(layout.secrets),
        "log_dir": str(layout.logs),
        "control": str(layout.control),
    }
    write(layout.description, json.dumps(description, indent=1))
