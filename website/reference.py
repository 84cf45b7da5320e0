"""What the pages of the reference take from the code: `make reference` writes it.

The text under the heading of a name is its docstring, and the heading has its signature. Tables of
settings, codes and metrics, and the lists of what a gateway has, are made of what the code says at
each. All else on the pages is written by hand and stays. A test fails where a page is behind.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from textwrap import dedent, fill
from typing import Any

from arcly_channels import CloseCode, DisconnectReason, GatewayConsumer
from arcly_channels.conf.identity import Jwt
from arcly_channels.conf.settings import Settings
from arcly_channels.gateway.declaration import ATTRIBUTES, HOOKS
from arcly_channels.metrics import LayerCollector
from arcly_channels.wire import protocol

PAGES = Path(__file__).parents[1] / "docs" / "reference"

MODULES = {
    "gateway": "arcly_channels",
    "publishing": "arcly_channels",
    "errors": "arcly_channels",
    "identity": "arcly_channels.identity",
    "layers": "arcly_channels.layers",
    "operations": "arcly_channels",
}
"""Where the names are whose headings a page has, up to a heading that names another module."""

TO_READ = ("id", "client", "claims", "tenant", "disconnect_reason")
TO_CALL = ("emit", "broadcast", "broadcast_to_room", "join_room", "leave_room")
"""What a gateway has beside that of any consumer."""

BY_HAND = {"__version__"}
"""The names that have no docstring."""

_NAME = re.compile(r"(#+) `([\w.]+)(\(.*\))?`$")
_OPTION = re.compile(r"^\* `(\w+)`: (.+(?:\n  .+)*)\n", re.MULTILINE)
_PAGE = re.compile(r"`docs/([\w/-]+)\.md(#[\w-]+)?`")
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_LIST = re.compile(r"(?:^\* .*\n(?:^  .*\n)*)+", re.MULTILINE)
_EXAMPLE = re.compile(r"^    .*\n(?:\n*    .*\n)*", re.MULTILINE)


def written(page: str) -> str:
    """Return the text of a page as it should be."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return "".join(_rewritten(page, _sections(text))).rstrip() + "\n"


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield each heading with what is under it, up to the next of any rank."""
    heading, body, is_code = "", "", False
    for line in text.splitlines(keepends=True):
        is_code ^= line.startswith("```")
        if not is_code and re.match(r"#+ ", line):
            yield heading, body
            heading, body = line.strip(), ""
        else:
            body += line
    yield heading, body


def _rewritten(page: str, sections: Iterator[tuple[str, str]]) -> Iterator[str]:
    module, first = MODULES.get(page, ""), None
    for heading, body in sections:
        name, title = _NAME.match(heading), heading.lstrip("# ").strip("`")
        if name and name[2].startswith("arcly_channels"):
            module = name[2]
        elif name and module:
            thing = attrgetter(name[2])(import_module(module))
            heading = f"{name[1]} `{name[2]}{_signature(thing) if name[3] else ''}`"
            first = first or thing  # Of names that stand together, the first says it for all.
            if body and name[2] not in BY_HAND:
                body = f"\n{_described(first)}\n\n"
        if body:
            first = None
        if make := TABLES.get((page, title)):
            body = _replaced(_TABLE, make(), body)
        elif make := LISTS.get((page, title)):
            body = _replaced(_LIST, make(), body)
        yield f"{heading}\n{body}" if heading else body


def _replaced(pattern: re.Pattern[str], text: str, body: str) -> str:
    """Replace the table or the list in a section."""
    return pattern.sub(lambda _: f"{text}\n", body, count=1)


def _signature(thing: Any) -> str:
    """Return the parameters of a callable, without types."""
    signature = inspect.signature(thing)
    bare = [
        each.replace(annotation=each.empty)
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def _described(thing: Any) -> str:
    """Return a docstring as Markdown: options are a table, and examples are marked as Python."""
    text = (inspect.getdoc(thing) or "") + "\n"
    options = _OPTION.findall(text)
    if options:
        parameters = inspect.signature(thing).parameters
        rows = [(f"`{name}`", repr(parameters[name].default), what) for name, what in options]
        begin, end = _OPTION.search(text).start(), 0  # type: ignore[union-attr]
        end = [found.end() for found in _OPTION.finditer(text)][-1]
        text = text[:begin] + _table(("option", "default", "meaning"), rows) + "\n" + text[end:]
    marked = _EXAMPLE.sub(lambda found: f"```python\n{dedent(found[0]).strip()}\n```\n", text)
    return _linked(marked.strip())


def _linked(text: str) -> str:
    """Make links of the pages that a text names by their files."""

    def link(found: re.Match[str]) -> str:
        folder, _, name = found[1].rpartition("/")
        path = f"{name}.md" if folder == "reference" else f"../{found[1]}.md"
        return f"[{name.replace('-', ' ')}]({path}{found[2] or ''})"

    return _PAGE.sub(link, text)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    cells = ([" ".join(_linked(cell).split()) for cell in row] for row in rows)
    lines = (f"| {' | '.join(row)} |".replace("|  |", "| |") for row in (head, *cells))
    first, *rest = lines
    return "\n".join([first, f"|{'---|' * len(head)}", *rest])


def _attributes(thing: Any) -> dict[str, str]:
    """Return what stands in quotes below each attribute of a class or a module."""
    tree: Any = ast.parse(dedent(inspect.getsource(thing)))
    body = tree.body[0].body if isinstance(thing, type) else tree.body
    found = {}
    for attribute, below in pairwise(body):
        target = attribute.targets[0] if isinstance(attribute, ast.Assign) else attribute
        name = getattr(getattr(target, "target", target), "id", None)
        text = getattr(getattr(below, "value", None), "value", None)
        if name and isinstance(below, ast.Expr) and isinstance(text, str):
            found[name] = inspect.cleandoc(text)
    return found


def _settings() -> str:
    meanings = _attributes(Settings)
    return _table(
        ("setting", "default", "meaning"),
        (
            (f"`{each.name}`", str(each.default), meanings[each.name])
            for each in dataclasses.fields(Settings)
        ),
    )


def _jwt() -> str:
    meanings = _attributes(Jwt)
    defaults = {each.name: each.default for each in dataclasses.fields(Jwt)}
    return _table(
        ("key", "default", "meaning"),
        (
            (
                f"`{name.upper()}`",
                "" if default is dataclasses.MISSING else repr(default),
                meanings[name],
            )
            for name, default in defaults.items()
        ),
    )


def _error_codes() -> str:
    codes = ((str(getattr(protocol, name)), text) for name, text in _attributes(protocol).items())
    rows = ((f"`{code}`", text) for code, text in codes if code in protocol.ERRORS)
    return _table(("code", "what the client sent"), rows)


def _close_codes() -> str:
    when = _attributes(CloseCode)
    return _table(
        ("code", "name", "reconnect?", "when"),
        (
            (str(code.value), f"`{code.name}`", code.reconnect.value, when[code.name])
            for code in CloseCode
        ),
    )


def _reasons() -> str:
    when = _attributes(DisconnectReason)
    rows = ((f"`{each.value}`", when[each.name]) for each in DisconnectReason)
    return _table(("reason", "when"), rows)


def _metrics() -> str:
    rows = []
    for metric in LayerCollector().collect():
        labels = ", ".join(f"`{name}`" for name in sorted(metric._labelnames))  # type: ignore[attr-defined]
        name = metric.name + ("_total" if metric.type == "counter" else "")
        rows.append((f"`{name}`", metric.type, labels, metric.documentation))
    return _table(("metric", "type", "labels", "meaning"), rows)


def _members(*names: str) -> str:
    """List methods and properties of a gateway, each with its docstring."""
    return "\n".join(_member(name, inspect.getdoc(_of_gateway(name)) or "") for name in names)


def _of_gateway(name: str) -> Any:
    return inspect.getattr_static(GatewayConsumer, name)


def _member(name: str, text: str) -> str:
    thing = _of_gateway(name)
    signature = _signature(thing) if inspect.isfunction(thing) else ""
    line = f"* **`{name}{signature}`** {' '.join(_linked(text).split())}"
    return fill(line, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _class_attributes() -> str:
    said: dict[str, str] = {}
    for base in reversed(GatewayConsumer.__mro__):
        if base.__module__.startswith("arcly_channels."):
            said |= _attributes(base)
    return "\n".join(_member(name, said[name]) for name in ATTRIBUTES)


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("settings", "Settings"): _settings,
    ("errors", "Error codes"): _error_codes,
    ("errors", "Close codes"): _close_codes,
    ("errors", "Reasons"): _reasons,
    ("identity", "Tokens"): _jwt,
    ("operations", "Metrics"): _metrics,
}
"""The tables that the code says, by page and heading."""

LISTS: dict[tuple[str, str], Callable[[], str]] = {
    ("gateway", "To override"): lambda: _members(*HOOKS),
    ("gateway", "To set on the class"): _class_attributes,
    ("gateway", "To read"): lambda: _members(*TO_READ),
    ("gateway", "To call"): lambda: _members(*TO_CALL),
}
"""The same for what is nothing but a list."""


def main() -> None:
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(written(path.stem), encoding="utf-8")


if __name__ == "__main__":
    main()
