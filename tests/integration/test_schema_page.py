"""The page about `gateway_schema`: its commands write what it shows, and that is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arcly_channels.gateway.routed import routed_gateways
from arcly_channels.schema.surface import api_of
from arcly_channels.schema.typescript import typescript
from tests import described
from tests.documents import DOCS, blocks, build_project, section
from tests.node import CLIENT, installed
from tests.node import run as run_program
from tests.servers import run

PAGE = DOCS / "how-to" / "schema.md"
TEXT = PAGE.read_text(encoding="utf-8")

ZOO = """
import { Gateway } from "arcly-channels";
import type { WildServerEvents, ZooClientEvents, ZooServerEvents } from "./zoo-types.js";

const zoo = new Gateway<ZooServerEvents, ZooClientEvents>("/zoo/1/north/");
zoo.on("moved", ([id, { x }]) => id.toFixed() + x);
zoo.on("full/house", (nothing: null) => nothing);
const points: { x: number; y: number }[] = await zoo.request("look");
const kept = await zoo.request("keep", {
  pet: { kind: "cat" },
  place: [1, "north"],
  row: [1, 2, 3],
  when: "2030-01-31T12:00:00Z",
  id: "00000000-0000-4000-8000-000000000000",
  table: { a: [1, null] },
  tree: { leaves: [1], branches: [{ leaves: [] }] },
  "the-number": 1,
  moves: [[0.5, { x: 1, y: 2 }]],
});
const side: string | undefined = kept?.place[1];
new Gateway<WildServerEvents>("/inner/wild/").on("anything", (data) => data.at.all);
// @ts-expect-error A tuple has its types in order.
zoo.on("moved", ([id]) => id.x);
// @ts-expect-error It has to be text.
zoo.emit("feed", 1);
export { points, side };
"""


COMMANDS = """
import contextlib, sys
from django.core.management import execute_from_command_line
for line in sys.argv[1:]:
    command, _, file = line.removeprefix("python ").partition(" > ")
    with open(file or "written.txt", "a") as out, contextlib.redirect_stdout(out):
        execute_from_command_line(command.split())
from django.test import Client
for path in ("gateways/", "gateways/asyncapi.json", "for-staff/", "for-staff/asyncapi.json"):
    print(path, Client().get(f"/{path}", HTTP_HOST="localhost").status_code)
"""
"""Does what a shell does with the lines of the page, and a visitor, without a process for each."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the page, in which its commands were run."""
    gateway = (DOCS / "how-to" / "typed-events.md").read_text(encoding="utf-8")
    directory = build_project(gateway + TEXT, tmp_path_factory.mktemp("described"))
    (directory / "frontend").mkdir()
    (directory / "commands.py").write_text(COMMANDS, encoding="utf-8")
    environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    lines = "".join(blocks(TEXT, "shell"))
    assert lines.count("gateway_schema") == 5
    visits = run("commands.py", *lines.splitlines(), cwd=directory, environment=environment)
    (directory / "visits.txt").write_text(visits, encoding="utf-8")
    return directory


def test_document_has_what_the_settings_say(project: Path) -> None:
    found = json.loads((project / "asyncapi.json").read_text(encoding="utf-8"))
    assert found["info"] == {"title": "Chat", "version": "2.1"}
    assert found["servers"]["default"]["host"] == "chat.example.com"
    assert (project / "asyncapi.yaml").read_text(encoding="utf-8").startswith("asyncapi: 3.0.0\n")


def test_types_are_those_on_the_page(project: Path) -> None:
    shown = blocks(section(PAGE, "Types for a front end"), "typescript")[0]
    assert (project / "frontend" / "gateway-types.ts").read_text(encoding="utf-8") == shown


def test_compiler_takes_the_types(project: Path) -> None:
    front = project / "frontend"
    compiler = installed("typescript/bin/tsc")
    page = blocks(section(PAGE, "Types for a front end"), "typescript")[1]
    zoo = typescript(api_of(routed_gateways(described.application)))
    for name, code in (("chat.mts", page), ("zoo.mts", ZOO), ("zoo-types.ts", zoo)):
        (front / name).write_text(code, encoding="utf-8")
    (front / "node_modules").mkdir()
    (front / "node_modules" / "arcly-channels").symlink_to(CLIENT)
    options = (
        "--strict",
        "--noEmit",
        "--skipLibCheck",
        "--module",
        "nodenext",
        "--target",
        "es2022",
    )
    run_program("node", str(compiler), *options, "chat.mts", "zoo.mts", cwd=front)


def test_commands_for_ci_find_nothing_stale(project: Path) -> None:
    assert (project / "written.txt").read_text(encoding="utf-8") == ""


def test_visitors_see_what_the_urls_of_the_page_let_them(project: Path) -> None:
    assert (project / "visits.txt").read_text(encoding="utf-8").splitlines() == [
        "gateways/ 200",
        "gateways/asyncapi.json 200",
        "for-staff/ 302",
        "for-staff/asyncapi.json 302",
    ]
