"""What wakes somebody in each failure: exactly the alert that names it. By Prometheus's own evaluator."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tools.metrics_page import ALERTS

MINUTES: Final = 12
GOOD: Final = {
    'up{job="ledger"}': "1",
    'up{job="relay-ledger"}': "1",
    'process_open_fds{job="ledger"}': "40",
    'process_max_fds{job="ledger"}': "1024",
    'process_open_fds{job="relay-ledger"}': "40",
    'process_max_fds{job="relay-ledger"}': "1024",
    'readiness_check{job="ledger", check="database"}': "1",
    'readiness_check{job="ledger", check="migrations"}': "1",
    'readiness_check{job="ledger", check="broker"}': "1",
    'readiness_check{job="relay-ledger", check="database"}': "1",
    'readiness_check{job="relay-ledger", check="broker"}': "1",
    'readiness_check{job="gateway", check="rate-limits"}': "1",
    'amqp_consuming{job="ledger", queue="q"}': "1",
    'amqp_dead_letters{job="ledger", queue="q"}': "0",
    'amqp_messages_waiting{job="ledger", queue="q"}': "0",
    'gateway_revocations_hearing{job="gateway"}': "1",
    'relay_backlog_seconds{job="relay-ledger", shard="3"}': "0",
    'relay_stuck_shards{job="relay-ledger"}': "0",
    'work_overdue_seconds{job="relay-ledger", work="carry"}': "0",
    'work_overdue_seconds{job="ledger", work="deadlines"}': "0",
    'deadlines_overdue_seconds{job="ledger", kind="hold.expiry"}': "0",
    'circuit_open{job="gateway", to="ledger"}': "0",
    'circuit_open{job="gateway", to="redis cache:6379"}': "0",
    'watched_file_good{job="attestor", file="seed"}': "1",
    'betting_settlement_unbooked_seconds{job="betting-settler"}': "0",
    'betting_market_defects_total{job="betting-settler"}': "0",
    'http_request_duration_seconds_count{job="gateway", status="200"}': "0+600x48",
}
"""One scrape each fifteen seconds."""

GROWING: Final = "0+15x48"
DATABASE_GONE: Final = {
    'readiness_check{job="ledger", check="database"}': "0",
    'readiness_check{job="ledger", check="migrations"}': "0",
    'readiness_check{job="relay-ledger", check="database"}': "0",
    'work_overdue_seconds{job="relay-ledger", work="carry"}': GROWING,
    'work_overdue_seconds{job="ledger", work="deadlines"}': GROWING,
    'deadlines_overdue_seconds{job="ledger", kind="hold.expiry"}': GROWING,
    'relay_backlog_seconds{job="relay-ledger", shard="3"}': GROWING,
    'betting_settlement_unbooked_seconds{job="betting-settler"}': GROWING,
    'circuit_open{job="gateway", to="ledger"}': "1",
    'http_request_duration_seconds_count{job="gateway", status="503"}': "0+600x48",
}
BROKER_SILENT: Final = {
    'relay_backlog_seconds{job="relay-ledger", shard="3"}': GROWING,
    'readiness_check{job="relay-ledger", check="broker"}': "0",
    'work_overdue_seconds{job="relay-ledger", work="carry"}': GROWING,
    'betting_settlement_unbooked_seconds{job="betting-settler"}': GROWING,
}
FAILURES: Final[dict[str, tuple[dict[str, str], set[str]]]] = {
    "nothing": ({}, set()),
    "database frozen": (DATABASE_GONE, {"DatabaseAway"}),
    "database gone and a process that cannot start": (DATABASE_GONE | {'up{job="betting"}': "0"}, {"DatabaseAway"}),
    "connections used up": (
        DATABASE_GONE | {'database_unavailable_total{job="ledger", why="TooManyConnectionsError"}': "1+10x48"},
        {"DatabaseRefuses"},
    ),
    "migration missing": ({'readiness_check{job="ledger", check="migrations"}': "0"}, {"MigrationMissing"}),
    "broker gone": (
        BROKER_SILENT
        | {
            'readiness_check{job="ledger", check="broker"}': "0",
            'amqp_consuming{job="ledger", queue="q"}': "0",
            'gateway_revocations_hearing{job="gateway"}': "0",
        },
        {"BrokerAway"},
    ),
    "broker in alarm": (BROKER_SILENT, {"BrokerTakesNothing"}),
    "queue deleted": (
        {'amqp_consuming{job="ledger", queue="q"}': "0", 'amqp_consuming{job="payments", queue="p"}': "1"},
        {"NotConsuming"},
    ),
    "the only queue deleted": ({'amqp_consuming{job="ledger", queue="q"}': "0"}, {"NotConsuming"}),
    "row refused": (
        {
            'relay_stuck_shards{job="relay-ledger"}': "1",
            'relay_backlog_seconds{job="relay-ledger", shard="3"}': GROWING,
        },
        {"RowRefused"},
    ),
    "relay dead": ({'up{job="relay-ledger"}': "0"}, {"ProcessDown"}),
    "relay too slow": ({'relay_backlog_seconds{job="relay-ledger", shard="3"}': GROWING}, {"OutboxBehind"}),
    "worker stands": (
        {
            'work_overdue_seconds{job="ledger", work="deadlines"}': GROWING,
            'deadlines_overdue_seconds{job="ledger", kind="hold.expiry"}': GROWING,
        },
        {"WorkStands"},
    ),
    "deadlines fail": ({'deadlines_overdue_seconds{job="ledger", kind="hold.expiry"}': GROWING}, {"DeadlinesLate"}),
    "redis full": (
        {
            'readiness_check{job="gateway", check="rate-limits"}': "0",
            'http_request_duration_seconds_count{job="gateway", status="503"}': "0+600x48",
        },
        {"RedisAway"},
    ),
    "ledger slow": (
        {
            'circuit_open{job="gateway", to="ledger"}': "1",
            'http_request_duration_seconds_count{job="gateway", status="503"}': "0+600x48",
        },
        {"ServiceRests"},
    ),
    "poison": ({'amqp_dead_letters{job="ledger", queue="q"}': "1"}, {"DeadLetters"}),
    "files nearly used up": ({'process_open_fds{job="ledger"}': "1000"}, {"FilesUsedUp"}),
    "files used up": ({'process_open_fds{job="ledger"}': "40x5 _x43"}, {"FilesUsedUp"}),
    "key file replaced by rubbish": ({'watched_file_good{job="attestor", file="seed"}': "0"}, {"KeyFileNoGood"}),
    "a market stopped": ({'betting_market_defects_total{job="betting-settler"}': "0x20 1x28"}, {"MarketStopped"}),
    "ledger's events lost": ({'betting_settlement_unbooked_seconds{job="betting-settler"}': GROWING}, {"SettlementNotBooked"}),
    "nobody knows why": (
        {'http_request_duration_seconds_count{job="gateway", status="500"}': "0+600x48"},
        {"PeopleSeeErrors"},
    ),
    "a database that was gone until four minutes ago": (
        {
            'readiness_check{job="ledger", check="database"}': "0x32 1x16",
            'http_request_duration_seconds_count{job="gateway", status="503"}': "0+600x32 19200x16",
        },
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_exactly_the_alert_that_names_the_cause_fires(failure: str, tmp_path: Path) -> None:
    differs, expected = FAILURES[failure]
    asked = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": series, "values": values if " " in values or "+" in values else f"{values}x48"}
                    for series, values in (GOOD | differs).items()
                ],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": f"{MINUTES}m",
                        "exp_samples": [
                            {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)
                        ],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(asked), encoding="utf-8")
    ran = subprocess.run(
        ["promtool", "test", "rules", file], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_configuration_is_one_that_prometheus_takes() -> None:
    config = ALERTS.with_name("prometheus.yml")
    ran = subprocess.run(
        ["promtool", "check", "config", config], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
