"""The page of metrics: what each process counts, and the alerts that look at it.

Read from the source, where every metric is made by one call with literal name, help and labels.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from tools.stack.layout import ROOT

ALERTS: Final = ROOT / "deploy" / "prometheus" / "alerts.yml"
HEAD: Final = """\
# What the processes tell

Every process serves its metrics under `/metrics`, for Prometheus, with Python's own (`process_*`, `python_*`). Before it
answers it asks what it needs, so `readiness_check` is of this moment. The alerts stand in `deploy/prometheus/alerts.yml`, and
what to do in [runbooks/alerts.md](runbooks/alerts.md). Generated from the code by `make docs`; do not edit.

| metric | labels | what it tells | from | looked at by |
|---|---|---|---|---|
"""
_KINDS: Final = {"Counter", "MetricCounter", "Gauge", "Histogram"}
_SAMPLES: Final = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}
NAME: Final = re.compile(r"[a-zA-Z_:][\w:]*")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of ours. `samples` are the names under which it is scraped."""

    name: str
    samples: tuple[str, ...]
    labels: tuple[str, ...]
    told: str
    where: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert, or a condition (`record`) that alerts share."""

    name: str
    is_alert: bool
    expr: str
    annotations: dict[str, str]


def metrics() -> list[Metric]:
    """All of them, by name."""
    sources = [*ROOT.glob("libs/*/*/**/*.py"), *ROOT.glob("services/*/*/**/*.py")]
    found = [
        metric
        for source in sources
        if "tests" not in source.parts
        for metric in _made_in(
            ast.parse(source.read_text(encoding="utf-8")), source.relative_to(ROOT).parts[1]
        )
    ]
    return sorted(found, key=lambda metric: metric.name)


def _made_in(module: ast.Module, where: str) -> Iterator[Metric]:
    for node in module.body:
        call = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _KINDS):
            continue
        name, told, *more = (ast.literal_eval(each) for each in call.args)
        kind = "Counter" if call.func.id == "MetricCounter" else call.func.id
        stem = name.removesuffix("_total") if kind == "Counter" else name
        labels = tuple(more[0]) if more else ()
        samples = tuple(f"{stem}{end}" for end in _SAMPLES[kind])
        yield Metric(samples[0] if kind == "Counter" else name, samples, labels, told.rstrip("."), where)


def rules() -> list[Rule]:
    """All of them, in the order in which they are evaluated."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [
        Rule(rule.get("alert") or rule["record"], "alert" in rule, rule["expr"], rule.get("annotations", {}))
        for group in groups
        for rule in group["rules"]
    ]


def page() -> str:
    """docs/metrics.md"""
    known = rules()
    return HEAD + "".join(_row(metric, known) for metric in metrics())


def _row(metric: Metric, known: list[Rule]) -> str:
    looked_at = set(metric.samples)
    looked_at |= {rule.name for rule in known if not rule.is_alert and looked_at & _looks_at(rule)}
    alerts = [rule.name for rule in known if rule.is_alert and looked_at & _looks_at(rule)]
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    shown = ", ".join(f"[{name}](runbooks/alerts.md#{name.lower()})" for name in alerts)
    return f"| `{metric.name}` | {labels} | {metric.told} | {metric.where} | {shown} |\n"


def _looks_at(rule: Rule) -> set[str]:
    """What makes it true; not what it is silent for."""
    return set(NAME.findall(rule.expr.split("unless")[0]))
