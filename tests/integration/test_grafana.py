"""The Grafana dashboard and the alerts ask for what the collector exports, and nothing else."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from arcly_channels.metrics import LayerCollector
from tests.documents import DOCS, blocks, section

DASHBOARD = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
TARGETS = [target for panel in PANELS for target in panel["targets"]]
EXPRESSIONS = [target["expr"] for target in TARGETS]

SCRAPES, RULES = map(
    yaml.safe_load, blocks(section(DOCS / "how-to" / "monitor.md", "Prometheus"), "yaml")
)
DOWN, *ALERTS = [rule["expr"] for rule in RULES["groups"][0]["rules"]]

SUFFIXES = {
    "counter": ["_total"],
    "gauge": [""],
    "histogram": ["_bucket", "_count", "_sum"],
    "summary": ["_count", "_sum"],
}


def exported() -> dict[str, tuple[str, set[str]]]:
    """Return every name that can be asked for, with its metric and the labels it has."""
    found = {}
    for metric in LayerCollector().collect():
        for suffix in SUFFIXES[metric.type]:
            labels = {*metric._labelnames, "job", "instance"}  # type: ignore[attr-defined]
            labels |= {"le"} if suffix == "_bucket" else set()
            found[metric.name + suffix] = (metric.name, labels)
    return found


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\b((?:ws|arcly)_\w+)", expression))


@pytest.mark.parametrize("expression", EXPRESSIONS + ALERTS)
def test_every_name_and_label_is_exported(expression: str) -> None:
    names, known = names_in(expression), exported()
    assert names
    assert names <= known.keys()
    for by in re.findall(r"by \(([^)]*)\)", expression):
        for name in names:
            assert set(by.split(", ")) <= known[name][1]


def test_every_metric_is_on_the_dashboard() -> None:
    known = exported()
    shown = {known[name][0] for expression in EXPRESSIONS for name in names_in(expression)}
    assert {metric for metric, _ in known.values()} == shown


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_only_grows_is_shown_as_a_rate(expression: str) -> None:
    for name in names_in(expression):
        is_counter = name.endswith(("_total", "_bucket", "_count", "_sum"))
        assert (f"rate({name}{{" in expression) is is_counter


@pytest.mark.parametrize("expression", ALERTS)
def test_alerts_look_at_how_fast_a_counter_grows(expression: str) -> None:
    for name in names_in(expression):
        is_counter = name.endswith(("_total", "_bucket", "_count", "_sum"))
        assert bool(re.search(rf"(rate|increase)\({name}\[", expression)) is is_counter


def test_alert_of_a_server_that_is_down_names_the_job() -> None:
    (job,) = SCRAPES["scrape_configs"]
    assert f'{{job="{job["job_name"]}"}}' in DOWN


@pytest.mark.parametrize("expression", EXPRESSIONS + ALERTS)
def test_brackets_are_closed(expression: str) -> None:
    bare = re.sub(r'"[^"]*"', "", expression)
    while bare != (bare := re.sub(r"\([^(){}[\]]*\)|\{[^(){}[\]]*\}|\[[^(){}[\]]*\]", "", bare)):
        pass
    assert not set(bare) & set("(){}[]")


def test_legends_name_labels_that_are_there() -> None:
    for target in TARGETS:
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert re.search(rf"by \([^)]*\b{label}\b", target["expr"])


def test_panels_have_places_of_their_own() -> None:
    assert len({each["id"] for each in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert not any(overlap(*pair) for pair in combinations(DASHBOARD["panels"], 2))


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    return all(
        bool(a[start] < b[start] + b[size] and b[start] < a[start] + a[size])
        for start, size in (("x", "w"), ("y", "h"))
    )


def test_variables_are_those_that_are_used() -> None:
    text = json.dumps(DASHBOARD["panels"])
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval"}
    assert {each["name"] for each in DASHBOARD["templating"]["list"]} == used
