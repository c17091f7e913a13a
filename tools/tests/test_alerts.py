"""`deploy/prometheus`: an alert asks for what there is, and says what to do. One that can never fire is worse than none."""

from __future__ import annotations

import re
from typing import Final

import pytest
import yaml

from tools.metrics_page import NAME, Metric, Rule, metrics, rules
from tools.stack.layout import ROOT

RUNBOOK: Final = ROOT / "docs" / "runbooks" / "alerts.md"
GIVEN: Final = {"up", "ALERTS", "process_open_fds", "process_max_fds"}
"""From Prometheus itself and from its library."""
GIVEN_LABELS: Final = {"job", "instance", "alertname", "alertstate"}
WORDS: Final = {"sum", "min", "max", "rate", "increase", "unless", "and", "abs", "timestamp", "or"} | {
    "min_over_time",
    "max_over_time",
}

METRICS: Final = metrics()
RULES: Final = rules()
ALERTS: Final = [rule for rule in RULES if rule.is_alert]
SAMPLES: Final = {sample: metric for metric in METRICS for sample in metric.samples}


def queries(rule: Rule) -> list[str]:
    """Its expression, and those that its words ask."""
    return [
        rule.expr,
        *(query for text in rule.annotations.values() for query in re.findall(r'query "([^"]+)"', text)),
    ]


def selected(query: str) -> list[tuple[str, dict[str, str]]]:
    """Each metric that is asked for, with its matchers."""
    bare = re.sub(r"\b(?:by|on)\s*\([^)]*\)|\[\w+\]|(?<![\w:])[\d.]+\w?", "", query)
    return [
        (name, dict(re.findall(r"(\w+)\s*[!=]=?~?\s*[\"']([^\"']*)[\"']", matchers)))
        for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)(\{[^}]*\})?", bare)
        if name not in WORDS
    ]


def grouped(query: str) -> set[str]:
    return {
        label.strip()
        for listed in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query)
        for label in listed.split(",")
    } - {""}


def test_what_is_read_of_a_query() -> None:
    asked = selected('max by (to) (circuit_open{to!~"redis.*", job="x"}) == 1 unless on () el_carril:away')
    assert asked == [("circuit_open", {"to": "redis.*", "job": "x"}), ("el_carril:away", {})]
    assert grouped("max by (a, b) (x) unless on () y") == {"a", "b"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_asks_for_metrics_and_labels_that_there_are(rule: Rule) -> None:
    before = {other.name for other in RULES[: RULES.index(rule)] if not other.is_alert}
    labels = set(GIVEN_LABELS)
    for query in queries(rule):
        asked = selected(query)
        assert asked, query
        for name, matchers in asked:
            assert name in SAMPLES or name in GIVEN or name in before, f"nobody tells {name}"
            own = set(SAMPLES[name].labels) if name in SAMPLES else set()
            assert set(matchers) <= own | GIVEN_LABELS, f"{name} has no label {set(matchers) - own}"
            labels |= own | {"why"}
        assert grouped(query) <= labels


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_a_rule_compares_a_label_with_is_said_somewhere(rule: Rule) -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (*ROOT.glob("libs/*/*/**/*.py"), *ROOT.glob("services/*/*/**/*.py"))
    )
    for query in queries(rule):
        for name, matchers in selected(query):
            own = SAMPLES[name].labels if name in SAMPLES else ()
            for label in set(matchers) & set(own):
                for value in matchers[label].split("|"):
                    known = f'"{value}"' in source or ".*" in value or label == "status"
                    assert known, f'{name}{{{label}="{value}"}}: nobody says so'


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_an_alert_says_what_is_the_matter_and_where_to_read_on(rule: Rule) -> None:
    assert rule.annotations["summary"]
    assert rule.annotations["runbook"] == f"docs/runbooks/alerts.md#{rule.name.lower()}"
    assert f"\n## {rule.name}\n" in RUNBOOK.read_text(encoding="utf-8")


def test_the_runbook_has_no_alert_that_there_is_not() -> None:
    told = re.findall(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [rule.name for rule in ALERTS]


def test_a_counter_whose_first_count_is_news_is_there_before_it() -> None:
    """`increase` of a series that begins at 1 is 0, so one with labels needs to have been made at 0."""
    for rule in ALERTS:
        for name, matchers in selected(rule.expr):
            if f"increase({name}" in rule.expr and SAMPLES[name].labels:
                assert (name, matchers) == ("deadlines_ended_total", {"outcome": "given up"})


def test_every_name_on_the_runbooks_is_a_metric() -> None:
    kinds = "|".join(sorted({metric.name.split("_")[0] for metric in METRICS}))
    for page in (ROOT / "docs").glob("**/*.md"):
        for name in re.findall(rf"`((?:{kinds})_\w+?)(?:\{{[^`]*)?`", page.read_text(encoding="utf-8")):
            if name.endswith(("_total", "_seconds", "_entries", "_hearing", "_consuming", "_rows")):
                assert name in SAMPLES or _is_metric(name), f"{page.name}: {name}"


def _is_metric(name: str) -> bool:
    return any(name == metric.name for metric in METRICS)


def test_prometheus_asks_every_process_of_ours() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    asked = {each["job_name"]: each["static_configs"][0]["targets"] for each in config["scrape_configs"]}
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    ours = {
        name for name, service in composed.items()
        if "SERVICE" in service.get("environment", {}) and service.get("image") != "el-carril-tools"
    }  # fmt: skip
    assert len(ours) > 10
    assert asked == {name: [f"{name}:8080"] for name in ours}


def test_no_metric_is_told_twice() -> None:
    names: list[Metric] = METRICS
    assert len({metric.name for metric in names}) == len(names)
    assert all(NAME.fullmatch(metric.name) for metric in names)
