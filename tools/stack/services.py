"""El Carril's own processes, as data: command, settings, and what each needs to be up before it starts."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import aiohttp

from tools.stack import postgres, rabbitmq, redis, replica
from tools.stack.layout import Layout
from tools.stack.process import Spec
from tools.stack.running import PYTHON, output
from tools.stack.secrets import BADGE_KEY, write

LEDGER_KINDS: Final = {
    "identity": "player.limit",
    "betting": "bet.hold,bet.release,bet.match,bet.settle,bet.void,bet.resettle,debt.repay",
    "payments": "deposit,deposit.suspense,suspense.assign,suspense.return,"
    "withdrawal.reserve,withdrawal.release,withdrawal.done,withdrawal.returned,"
    "card.capture,card.settle,card.clear,refund.request,refund.done,refund.fail,refund.returned,"
    "dispute.open,dispute.won,dispute.lost,dispute.recover",
}
"""What each producer may post."""

LEDGER_SCOPES: Final = {"betting": "read,post:bet.hold,post:debt.repay"}
"""What a producer's API key is good for, where that is less: what betting has decided goes by its outbox, whose database
holds each command to what is written there."""

WATCHED: Final = (
    "ledger-receipts",
    "ledger-sealer",
    "betting-settler",
    "attestor",
    *(f"relay-{service}" for service in postgres.SERVICES),
)
"""What the gateway's deep health shows besides the services it routes to."""

GIVES_WAY: Final = 10
"""How far those who can wait give way to those who move money: identity, which hashes passwords (docs/adr/0060), the
sealer and the settler (docs/adr/0079)."""

KEYS: Final = "keys"
DATABASES: Final = "databases"
TOPOLOGY: Final = "topology"
LEDGER_KEYS: Final = "ledger-keys"
"""What is done once on the way up, as names that processes can wait for."""


async def make_ledger_keys(layout: Layout) -> None:
    """An API key for each producer, whose requests it must sign; made once, and anew when it may post something else."""
    environment = {
        "DATABASE_DSN": postgres.dsn(layout, "ledger_keys"),
        "SIGNING_ROOTS": str(layout.secrets / "ledger-signing-roots.json"),
    }
    for producer, kinds in LEDGER_KINDS.items():
        scopes = LEDGER_SCOPES.get(producer, "read,post")
        file = layout.secrets / f"ledger-key-{producer}"
        signing, known = file.with_name(f"{file.name}.signing"), file.with_name(f"{file.name}.kinds")
        if signing.exists() and known.exists() and known.read_text(encoding="utf-8") == f"{kinds} {scopes}":
            continue
        await output(PYTHON, "-m", "ledger", "keys", "revoke", "--name", producer, environment=environment)
        for old in (file, signing):
            old.unlink(missing_ok=True)
        await output(
            PYTHON, "-m", "ledger", "keys", "create", "--name", producer, "--kinds", kinds, "--scopes", scopes,
            "--signed", "--out", file, environment=environment,
        )  # fmt: skip
        write(known, f"{kinds} {scopes}")


def specs(layout: Layout) -> list[Spec]:
    """Every service."""
    return [
        _spec(
            layout, "rail", "tools.rail", after=(KEYS,), STATE_FILE=str(layout.home / "rail.jsonl"),
            CLIENT_PUBLIC_KEY_FILE=str(layout.secrets / "spei-public.pem"),
        ),
        _spec(
            layout, "central-bank", "tools.rail central-bank", after=("rail",),
            STATE_FILE=str(layout.home / "rail.jsonl"),
        ),
        _spec(
            layout, "psp", "tools.chaos_psp", after=(KEYS,), STATE_FILE=str(layout.home / "psp.jsonl"),
            API_KEY_FILE=str(layout.secrets / "psp-api-key"), READ_KEY_FILE=str(layout.secrets / "psp-read-key"),
            WEBHOOK_SECRET_FILE=str(layout.secrets / "psp-webhook-secrets"),
            WEBHOOK_URL=f"{layout.url('gateway')}/v1/webhooks/cards",
        ),
        _spec(
            layout, "identity", "identity", after=(DATABASES, "redis", KEYS, LEDGER_KEYS), niceness=GIVES_WAY,
            DATABASE_DSN=postgres.dsn(layout, "identity_app"), REDIS_URL=redis.url(layout),
            SIGNING_KEYS_FILE=str(layout.secrets / "identity-keys.json"),
            MASTER_KEY_FILE=str(layout.secrets / "identity-master"),
            BADGE_KEY_FILE=str(layout.secrets / BADGE_KEY),
            MESSENGER_URL="print:", LEDGER_URL=layout.url("ledger"),
            LEDGER_API_KEY_FILE=str(layout.secrets / "ledger-key-identity"),
            LEDGER_SIGNING_KEY_FILE=str(layout.secrets / "ledger-key-identity.signing"),
        ),
        _engine(layout, "ledger"),
        _spec(
            layout, "ledger-receipts", "ledger receipts", after=(DATABASES, KEYS),
            DATABASE_DSN=postgres.dsn(layout, "ledger_receipts"),
            ATTESTOR_PUBLIC_KEYS=str(layout.secrets / "attestor-public.json"),
        ),
        _spec(
            layout, "ledger-sealer", "ledger seal", after=(DATABASES, KEYS), niceness=GIVES_WAY,
            DATABASE_DSN=postgres.dsn(layout, "ledger_sealer"),
            SEAL_KEYS=str(layout.secrets / "ledger-seal-keys.json"),
        ),
        _spec(
            layout, "attestor", "payments attestor", after=(DATABASES, "rail", "central-bank", "psp", KEYS),
            DATABASE_DSN=postgres.dsn(layout, "payments_attestor"), RAIL_URL=layout.url("rail"),
            CENTRAL_BANK_URL=layout.url("central-bank"), PSP_URL=layout.url("psp"),
            PSP_API_KEY_FILE=str(layout.secrets / "psp-read-key"),
            SIGNING_KEY_FILE=str(layout.secrets / "attestor.seed"),
        ),
        _spec(
            layout, "payments", "payments", after=("ledger", "ledger-receipts", "rail", "psp", LEDGER_KEYS),
            DATABASE_DSN=postgres.dsn(layout, "payments_app"), AMQP_URL=rabbitmq.url(layout, "payments"),
            IDENTITY_URL=layout.url("identity"), LEDGER_URL=layout.url("ledger"),
            LEDGER_RECEIPTS_URL=layout.url("ledger-receipts"), RAIL_URL=layout.url("rail"),
            LEDGER_API_KEY_FILE=str(layout.secrets / "ledger-key-payments"),
            LEDGER_SIGNING_KEY_FILE=str(layout.secrets / "ledger-key-payments.signing"),
            PSP_URL=layout.url("psp"), PSP_API_KEY_FILE=str(layout.secrets / "psp-api-key"),
            PSP_WEBHOOK_SECRETS_FILE=str(layout.secrets / "psp-webhook-secrets"),
            ORDER_SIGNING_KEY_FILE=str(layout.secrets / "spei.pem"),
        ),
        _spec(
            layout, "betting", "betting", after=("ledger", LEDGER_KEYS),
            DATABASE_DSN=postgres.dsn(layout, "betting_app"), IDENTITY_URL=layout.url("identity"),
            LEDGER_URL=layout.url("ledger"), LEDGER_API_KEY_FILE=str(layout.secrets / "ledger-key-betting"),
            LEDGER_SIGNING_KEY_FILE=str(layout.secrets / "ledger-key-betting.signing"),
        ),
        _spec(
            layout, "betting-settler", "betting settle", after=("ledger", LEDGER_KEYS), niceness=GIVES_WAY,
            DATABASE_DSN=postgres.dsn(layout, "betting_app"), AMQP_URL=rabbitmq.url(layout, "betting"),
            LEDGER_URL=layout.url("ledger"), LEDGER_API_KEY_FILE=str(layout.secrets / "ledger-key-betting"),
            LEDGER_SIGNING_KEY_FILE=str(layout.secrets / "ledger-key-betting.signing"),
        ),
        *(_relay(layout, service) for service in postgres.SERVICES),
        _spec(
            layout, "gateway", "gateway", after=("identity", "betting", "payments", "ledger", "redis", TOPOLOGY),
            REDIS_URL=redis.url(layout), AMQP_URL=rabbitmq.url(layout, "gateway"),
            IDENTITY_URL=layout.url("identity"), BETTING_URL=layout.url("betting"),
            PAYMENTS_URL=layout.url("payments"), LEDGER_URL=layout.url("ledger"),
            HEALTH_URLS=json.dumps({name: layout.url(name) for name in WATCHED}),
        ),
    ]  # fmt: skip


def reporting_from(layout: Layout, specs: Sequence[Spec]) -> list[Spec]:
    """The same, with the ledger's reports read from the replica. Nobody waits for it: it may be down."""
    more = {"REPLICA_DSN": replica.dsn(layout, "ledger_reader")}
    return [
        replace(spec, environment={**spec.environment, **more}) if spec.name == "ledger" else spec
        for spec in specs
    ]


def tracing(layout: Layout) -> dict[str, str]:
    """What makes a service send its spans to whoever listens on the stack's port for traces.

    It starts no trace by itself, so nothing is sent until a caller brings a sampled one.
    """
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": layout.url("traces"),
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "TRACE_RATIO": "0",
    }


def second_ledger(layout: Layout) -> Spec:
    """Another engine on the same database: for races and for the measurements."""
    return _engine(layout, "ledger-2")


def _engine(layout: Layout, name: str) -> Spec:
    return _spec(
        layout, name, "ledger serve", after=(DATABASES, TOPOLOGY, KEYS, redis.SESSIONS, redis.CACHE, "identity"),
        DATABASE_DSN=postgres.dsn(layout, "ledger_posting"), AMQP_URL=rabbitmq.url(layout, "ledger"),
        IDENTITY_URL=layout.url("identity"), REDIS_URL=redis.url(layout),
        BALANCE_CACHE_URL=redis.url(layout, redis.CACHE),
        SIGNING_ROOTS=str(layout.secrets / "ledger-signing-roots.json"),
    )  # fmt: skip


def _relay(layout: Layout, service: str) -> Spec:
    return _spec(
        layout, f"relay-{service}", "relay", after=(DATABASES, TOPOLOGY),
        DATABASE_DSN=postgres.dsn(layout, f"{service}_relay"), AMQP_URL=rabbitmq.url(layout, f"relay-{service}"),
    )  # fmt: skip


def _spec(
    layout: Layout, name: str, module: str, *, after: tuple[str, ...], niceness: int = 0, **settings: str
) -> Spec:
    environment = {"SERVICE": name, "HOST": "127.0.0.1", "PORT": str(layout.port(name)), **settings}
    return Spec(
        name,
        ["setpriv", "--pdeathsig", "TERM", PYTHON, "-m", *module.split()],
        environment,
        ready=_readiness(layout.url(name)),
        after=after,
        niceness=niceness,
    )


def _readiness(url: str) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        limit = aiohttp.ClientTimeout(total=3)
        try:
            async with aiohttp.ClientSession(timeout=limit) as http, http.get(f"{url}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    return ready
