"""The README's tables are what the code says; its quickstart runs in the tests of packaging."""

from __future__ import annotations

import dataclasses

from arcly_channels import CloseCode
from arcly_channels.conf.settings import Settings
from arcly_channels.metrics import LayerCollector
from tests.documents import README, section, table


def test_settings_are_those_of_the_code() -> None:
    rows = {row["setting"]: row["default"] for row in table(section(README, "Settings"))}
    assert rows == {each.name: str(each.default) for each in dataclasses.fields(Settings)}


def test_close_codes_are_those_of_the_code() -> None:
    rows = table(section(README, "Close codes"))
    assert [(int(row["code"]), row["name"], row["reconnect?"]) for row in rows] == [
        (code.value, code.name, code.reconnect) for code in CloseCode
    ]


def test_metrics_are_those_of_the_code() -> None:
    found = []
    for metric in LayerCollector().collect():
        labels = metric._labelnames  # type: ignore[attr-defined]
        name = metric.name + ("_total" if metric.type == "counter" else "")
        found.append((name, metric.type, ", ".join(sorted(labels)), metric.documentation))
    rows = table(section(README, "Metrics"))
    assert [(row["metric"], row["type"], row["labels"], row["meaning"]) for row in rows] == found
