"""The reference and the explanation: what they name is what the code has."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest

import arcly_channels
from arcly_channels import CloseCode, GatewayConsumer, checks, urls
from arcly_channels.conf.settings import Settings
from arcly_channels.fanout import evictions, lag, pacing
from arcly_channels.gateway import reporting
from arcly_channels.gateway.serving import Serving
from arcly_channels.layers import LocalChannelLayer, processes
from arcly_channels.logs import noted
from arcly_channels.metrics import LayerCollector
from arcly_channels.registry import ConnectionRegistry
from tests.documents import DOCS, section, table
from tests.servers import ROOT

REFERENCE = DOCS / "reference"
PAGES = {
    "arcly_channels": ("gateway", "publishing", "errors"),
    "arcly_channels.identity": ("identity",),
    "arcly_channels.layers": ("layers",),
}
"""The modules with public names, and the pages where those are."""


def headings() -> Iterator[tuple[str, str]]:
    """Yield the headings of names, each after the module that it is of."""
    for module, pages in PAGES.items():
        for page in pages:
            for line in (REFERENCE / f"{page}.md").read_text(encoding="utf-8").splitlines():
                name = re.fullmatch(r"##+ `([\w.]+(?:\(.*\))?)`", line)
                if name and name[1].startswith("arcly_channels."):
                    module = name[1]  # What follows is in there.
                elif name:
                    yield module, name[1]


@pytest.mark.parametrize("module", PAGES)
def test_every_public_name_has_a_heading(module: str) -> None:
    names = {re.split(r"[.(]", heading)[0] for where, heading in headings() if where == module}
    assert names == set(import_module(module).__all__)


@pytest.mark.parametrize(("module", "heading"), [each for each in headings() if "(" in each[1]])
def test_signature_is_that_of_the_code(module: str, heading: str) -> None:
    name = heading.partition("(")[0]
    signature = inspect.signature(attrgetter(name)(import_module(module)))
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    bare = signature.replace(parameters=parameters, return_annotation=signature.empty)
    assert heading == f"{name}{bare}"


def test_layer_options_are_those_of_the_code() -> None:
    rows = table(section(REFERENCE / "layers.md", "`LocalChannelLayer`"))
    parameters = inspect.signature(LocalChannelLayer).parameters.values()
    assert {row["option"]: row["default"] for row in rows} == {
        each.name: repr(each.default) for each in parameters
    }


def test_settings_are_those_of_the_code() -> None:
    rows = {
        row["setting"]: row["default"]
        for row in table(section(REFERENCE / "settings.md", "Settings"))
    }
    assert rows == {each.name: str(each.default) for each in dataclasses.fields(Settings)}


def test_close_codes_are_those_of_the_code() -> None:
    rows = table(section(REFERENCE / "errors.md", "Close codes"))
    assert [(int(row["code"]), row["name"], row["reconnect?"]) for row in rows] == [
        (code.value, code.name, code.reconnect) for code in CloseCode
    ]


def test_metrics_are_those_of_the_code() -> None:
    found = []
    for metric in LayerCollector().collect():
        labels = metric._labelnames  # type: ignore[attr-defined]
        name = metric.name + ("_total" if metric.type == "counter" else "")
        found.append((name, metric.type, ", ".join(sorted(labels)), metric.documentation))
    rows = table(section(REFERENCE / "operations.md", "Metrics"))
    assert [(row["metric"], row["type"], row["labels"], row["meaning"]) for row in rows] == found


def test_system_checks_are_those_of_the_code() -> None:
    pattern = r"arcly_channels\.[EW]\d+"
    documented = re.findall(pattern, section(REFERENCE / "operations.md", "System checks"))
    source = inspect.getsource(checks)
    assert documented == sorted(set(re.findall(pattern, source)))


def test_names_that_gateways_take_are_those_of_the_code() -> None:
    page = (REFERENCE / "gateway.md").read_text(encoding="utf-8")
    paragraph = re.search(r"\*\*Names that are taken\.\*\*(.+?)\n\n", page, re.DOTALL)
    assert paragraph is not None
    listed = re.findall(r"`(\w+)`", paragraph[1].partition("has:")[2])
    ours = [each for each in GatewayConsumer.__mro__ if each.__module__.startswith("arcly_")]
    of_mixin = {name for each in ours for name in vars(each)}
    of_instances = set(re.findall(r"self\.(\w+) = ", inspect.getsource(Serving)))
    private = {name for name in of_mixin | of_instances if name.startswith("_gateway")}
    public = {name for name in of_mixin if not name.startswith("_")}
    assert listed == [*sorted(public), "_gateway"]
    assert of_instances - private == {"scope", "channel_layer", "channel_name"}


def test_pacing_page_has_the_numbers_of_the_code() -> None:
    rows = table(section(DOCS / "explanation" / "pacing.md", "The rules"))
    numbers = {row["constant"]: float(row["value"]) for row in rows}
    code = {**vars(lag), **vars(pacing)}
    assert numbers == {name: code.get(name) for name in numbers}
    assert len(numbers) == 10


@pytest.mark.parametrize(
    ("page", "module"), [("recipes", evictions), ("recipes", reporting), ("deployment", processes)]
)
def test_loggers_that_pages_name_are_those_of_the_code(page: str, module: ModuleType) -> None:
    assert f"`{module.logger.name}`" in (DOCS / "how-to" / f"{page}.md").read_text(encoding="utf-8")


def test_addresses_are_those_of_the_code() -> None:
    rows = table(section(REFERENCE / "operations.md", "`arcly_channels.urls`"))
    assert [(row["address"], row["name"]) for row in rows] == [
        (str(each.pattern), each.name) for each in urls.urlpatterns
    ]


def test_fields_of_the_log_are_those_of_the_code() -> None:
    rows = table(section(REFERENCE / "operations.md", "Logs"))
    assert [row["field"] for row in rows] == list(noted())


def test_tests_that_the_security_page_names_are_there() -> None:
    page, file, named = (DOCS / "explanation" / "security.md").read_text(encoding="utf-8"), "", 0
    for path, test in re.findall(r"`(\w+/[\w/]+\.py)?(?:::(test_\w+))?`", page):
        file = path or file  # The next tests of a row are named without it.
        if path or test:
            assert f"def {test}" in (ROOT / "tests" / file).read_text(encoding="utf-8")
            named += 1
    assert named > 20


def test_semantics_page_has_only_words_of_the_registry() -> None:
    page = (DOCS / "explanation" / "semantics.md").read_text(encoding="utf-8")
    words = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)))
    assert [word for word in words if not hasattr(ConnectionRegistry, word)] == []
    assert len(words) == 14


def test_architecture_page_has_every_file() -> None:
    package = Path(arcly_channels.__file__).parent
    paths = [path for kind in ("py", "js", "ts") for path in package.rglob(f"*.{kind}")]
    files = {str(path.relative_to(package)) for path in paths}
    rows = table(section(DOCS / "explanation" / "architecture.md", "The files"))
    assert {row["file"] for row in rows} == {
        name for name in files if not name.endswith(("__init__.py", "_version.py"))
    }
