"""The reference and the explanation: what they name is what the code has."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from django.core.management.base import CommandParser

import arcly_channels
from arcly_channels import GatewayConsumer, checks, urls
from arcly_channels.fanout import evictions, lag, pacing
from arcly_channels.gateway import reporting
from arcly_channels.gateway.serving import Serving
from arcly_channels.layers import LocalChannelLayer, RedisChannelLayer, processes
from arcly_channels.logs import noted
from arcly_channels.management.commands import gateway_top
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.schema import urls as schema_urls
from tests.documents import DOCS, section, table
from tests.servers import ROOT
from website import reference

REFERENCE = DOCS / "reference"
PAGES = {
    "arcly_channels": ("gateway", "publishing", "errors"),
    "arcly_channels.identity": ("identity",),
    "arcly_channels.layers": ("layers",),
    "arcly_channels.testing": ("testing",),
}
"""The modules with public names, and the pages where those are."""


def headings() -> Iterator[tuple[str, str]]:
    """Yield the names that have headings, each after the module that it is of."""
    for module, pages in PAGES.items():
        for page in pages:
            for line in (REFERENCE / f"{page}.md").read_text(encoding="utf-8").splitlines():
                name = re.fullmatch(r"##+ `([\w.]+)(?:\(.*\))?`", line)
                if name and name[1].startswith("arcly_channels."):
                    module = name[1]  # What follows is in there.
                elif name:
                    yield module, name[1]


@pytest.mark.parametrize("page", [path.stem for path in sorted(REFERENCE.glob("*.md"))])
def test_reference_is_what_the_code_says(page: str) -> None:
    text = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
    assert text == reference.written(page), "make reference writes it anew"


@pytest.mark.parametrize("layer", [LocalChannelLayer, RedisChannelLayer])
def test_every_option_of_a_layer_is_said(layer: type) -> None:
    text = section(REFERENCE / "layers.md", f"`{layer.__name__}`")
    options = inspect.signature(layer).parameters
    assert [name for name in options if f"`{name}`" not in text] == []


def test_counts_of_a_layer_are_said() -> None:
    text = section(REFERENCE / "layers.md", "`LocalChannelLayer`")
    counts = re.findall(r"`(dropped_\w+)`", text)
    assert sorted(counts) == sorted(name for name in LocalChannelLayer().counts if "drop" in name)


def test_every_command_is_said() -> None:
    text = (REFERENCE / "operations.md").read_text(encoding="utf-8")
    commands = [path.stem for path in Path(gateway_top.__file__).parent.glob("[a-z]*.py")]
    assert [name for name in commands if f"manage.py {name}" not in text] == []


def test_options_of_the_command_are_those_of_the_code() -> None:
    text = section(REFERENCE / "operations.md", "`arcly_channels.urls`")
    said = dict(re.findall(r"`--(\w+)(?: ([\d.]+))?`", text))
    parser = CommandParser()
    gateway_top.Command().add_arguments(parser)
    defaults = vars(parser.parse_args(["http://localhost"]))
    assert {name: float(value or False) for name, value in said.items()} == {
        name: float(value) for name, value in defaults.items() if name != "url"
    }


@pytest.mark.parametrize("module", PAGES)
def test_every_public_name_has_a_heading(module: str) -> None:
    names = {name.split(".")[0] for where, name in headings() if where == module}
    assert names == set(import_module(module).__all__)


def test_system_checks_are_those_of_the_code() -> None:
    pattern = r"arcly_channels\.[EW]\d+"
    documented = re.findall(pattern, section(REFERENCE / "operations.md", "System checks"))
    source = inspect.getsource(checks)
    assert documented == sorted(set(re.findall(pattern, source)))


def test_names_that_gateways_take_are_those_of_the_code() -> None:
    text = section(REFERENCE / "gateway.md", "Names that are taken")
    listed = re.findall(r"`(\w+)`", text.partition("has:")[2])
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


def test_loggers_of_the_page_about_monitoring_are_those_of_the_code() -> None:
    rows = table(section(DOCS / "how-to" / "monitor.md", "The log"))
    for name in (row["logger"] for row in rows):
        assert import_module(name).logger.name == name


@pytest.mark.parametrize("module", [urls, schema_urls], ids=lambda module: module.__name__)
def test_addresses_are_those_of_the_code(module: ModuleType) -> None:
    rows = table(section(REFERENCE / "operations.md", f"`{module.__name__}`"))
    assert [(row["address"], row["name"]) for row in rows] == [
        (str(each.pattern), each.name) for each in module.urlpatterns
    ]


def test_fields_of_the_log_are_those_of_the_code() -> None:
    rows = table(section(REFERENCE / "operations.md", "Logs"))
    assert [row["field"] for row in rows] == list(noted())


def test_tests_that_the_security_page_names_are_there() -> None:
    page, file, named = (DOCS / "explanation" / "security.md").read_text(encoding="utf-8"), "", 0
    for path, test in re.findall(r"`(\w+/[\w/]+\.py)?(?:::(test_\w+))?`", page):
        file = path or file  # The next tests of a row are named without it.
        if path or test:
            folder = ROOT if file.startswith("arcly_channels/") else ROOT / "tests"
            assert f"def {test}" in (folder / file).read_text(encoding="utf-8")
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
