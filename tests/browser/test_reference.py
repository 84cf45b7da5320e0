"""The page about the client: its tables are what `gateway.js` does, and its blocks run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.sites import Open, site
from tests.documents import DOCS, blocks, section, table
from tests.node import JS, installed, run
from tests.servers import ROOT, Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGE = DOCS / "reference" / "browser.md"
TYPES = ROOT / "arcly_channels" / "static" / "arcly_channels" / "gateway.d.ts"
RECIPES = DOCS / "how-to" / "browser-recipes.md"
WELCOME_SPREAD = 700
"""What the welcome of `documented.js` says."""

POLICY = """
class Policy:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.csp_nonce = "n0nce"
        response = self.get_response(request)
        if request.path == "/":
            response["Content-Security-Policy"] = POLICY.replace("…", request.csp_nonce)
        return response
"""


def codes(cell: str) -> list[str]:
    return re.findall(r"\d{4}", cell)


@pytest.fixture(scope="module")
def found() -> Any:
    """What the client does, found out by a script for Node."""
    installed("arcly-channels")
    rows = table(section(PAGE, "Coming back"))
    return json.loads(node("documented.js", *(code for row in rows for code in codes(row["code"]))))


def node(*arguments: str) -> str:
    return run("node", "--no-warnings", *arguments, cwd=JS)


def test_closes_are_followed_by_what_the_table_says(found: Any) -> None:
    rows = table(section(PAGE, "Coming back"))
    documented: dict[str, list[Any]] = {}
    for row in rows:
        times = [row[name].replace("welcome", str(WELCOME_SPREAD)) for name in ("after", "spread")]
        how = [row["comes back"], *(int(time) for time in times if time.isdigit())]
        documented |= dict.fromkeys(codes(row["code"]), how)
    assert found["closes"] == documented


def test_back_off_is_what_the_page_says(found: Any) -> None:
    text = section(PAGE, "Coming back")
    sentence = re.search(r"back off: after (.+?)\s+seconds", text, re.DOTALL)
    assert sentence is not None
    seconds = [int(number) for number in re.findall(r"\d+", sentence[1])]
    assert found["backoff"] == [1000 * each for each in [*seconds, seconds[-1]]]


def test_bounds_are_what_the_table_says(found: Any) -> None:
    waiting, of_bytes, seconds, size, buffered = (
        int(row["value"]) for row in table(section(PAGE, "What waits"))
    )
    assert found["bounds"] == {
        "waiting": waiting,
        "bytes": {str(of_bytes): False, str(of_bytes + 1): "queue_full"},
        "expired": {str(1000 * seconds - 1): [], str(1000 * seconds): ["expired"]},
        "tooLarge": {str(size): True, str(size + 1): "too_large"},
        "buffered": {str(buffered): True, str(buffered + 1): False},
    }


def test_requests_end_as_the_table_says(found: Any) -> None:
    rows = {row["what happens"]: row["the request"] for row in table(section(PAGE, "Requests"))}
    outcomes = {what.strip("`"): each for what, each in found["requests"].items()}
    assert list(outcomes) == list(rows)
    for what, code in outcomes.items():
        if named := re.search(r"rejects as `(\w+)`", rows[what]):
            assert code == named[1]
    assert outcomes["the handler returns"] == "a value"
    assert outcomes["the handler refuses, fails, or takes too long; nobody handles it"] == "a code"
    assert outcomes["its `signal` aborts"] == "RangeError"


def test_bad_input_gets_what_the_table_says(found: Any) -> None:
    documented = {}
    for row in table(section(PAGE, "What bad input gets")):
        named = re.findall(r"\w+", row["gets"]) or [row["gets"]]
        documented[row["what"]] = [named[-1], row["state"].replace("`", "")]
    assert {what.strip("`"): each for what, each in found["badInput"].items()} == documented


def test_codes_of_errors_are_those_of_the_types() -> None:
    comment = re.search(r"/\*\* One of the server's, or (.+?)\*/", TYPES.read_text(), re.DOTALL)
    assert comment is not None
    rows = table(section(PAGE, "Errors"))
    assert [row["code"] for row in rows] == re.findall(r"`(\w+)`", comment[1])


def test_states_are_those_of_the_types() -> None:
    union = re.search(r"type State = (.+);", TYPES.read_text())
    assert union is not None
    rows = table(section(PAGE, "State"))
    assert [row["state"] for row in rows] == re.findall(r'"(\w+)"', union[1])


@pytest.mark.parametrize("kind", ["Gateway", "Room"])
def test_methods_are_those_of_the_code(found: Any, kind: str) -> None:
    text = section(PAGE, {"Gateway": "`Gateway`", "Room": "Rooms"}[kind])
    named = re.findall(r"^\| `(\w+)\(", text, re.MULTILINE)
    assert sorted(named) == sorted(found["methods"][kind])


def test_example_of_types_is_right(tmp_path: Path) -> None:
    compiler = installed("typescript/bin/tsc")
    (tmp_path / "example.mts").write_text(blocks(section(PAGE, "Types"), "typescript")[0])
    options = {"strict": True, "noEmit": True, "target": "es2022", "module": "nodenext"}
    options |= {"types": [], "paths": {"arcly-channels": [str(TYPES)]}}
    config = {"compilerOptions": options, "files": ["example.mts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    node(str(compiler), "--project", str(tmp_path))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves the gateway of the recipes, and the two lines of this page under its policy."""
    directory = tmp_path_factory.mktemp("page")
    recipes = RECIPES.read_text(encoding="utf-8").partition("\n## ")[0] + section(RECIPES, "A page")
    lines, script = blocks(section(PAGE, "Two lines of a page"), "html")
    policy = re.search(r"^Content-Security-Policy: (.+)$", PAGE.read_text(), re.MULTILINE)
    assert policy is not None
    script = script.replace("<script", '<script nonce="{{ request.csp_nonce }}"')
    html = lines.replace("/ws/chat/", "/ws/") + script
    middleware = f'POLICY = "{policy[1]}"\n{POLICY}'
    settings = 'MIDDLEWARE = ["mysite.policy.Policy", *MIDDLEWARE]\n'
    more = (
        f"```html\n<!-- mysite/templates/chat.html -->\n<!doctype html>\n{html}```\n"
        f"```python\n# mysite/policy.py\n{middleware}```\n"
        f"```python\n# mysite/settings.py, at the end\n{settings}```\n"
    )
    with site(directory, recipes + more) as server:
        yield server


def test_two_lines_connect_a_page_under_its_policy(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    assert page.evaluate("gateway.request('message.send', {text: 'hello'})")["id"] > 0


def test_worker_is_connected_as_the_table_says(server: Server, open_page: Open) -> None:
    row = table(section(PAGE, "Elsewhere"))[0]
    line = row["how"].partition("`")[0]
    work = """
        const gateway = new Gateway("/ws/");
        gateway.connect();
        gateway.request("message.send", { text: "hello" }).then(postMessage, postMessage);
    """
    write_static(server, "worker.js", line + work)
    page = open_page(f"{server.url}/messages/")
    page.evaluate("globalThis.worker = new Worker('/static/worker.js', {type: 'module'})")
    answer = "new Promise((done) => worker.addEventListener('message', ({data}) => done(data)))"
    assert page.evaluate(answer)["id"] > 0


def test_node_is_connected_as_the_page_says(server: Server) -> None:
    text = section(PAGE, "Elsewhere")
    (code,) = blocks(text, "javascript")
    own = re.search(r"`(class extends WebSocket .+ \})`", text)
    assert own is not None
    code = code.replace("wss://chat.example.com/ws/chat/", f"ws://{server.host}/ws/")
    code = code.replace("{ WebSocket }", f"{{ WebSocket: {own[1]} }}")
    assert "{ id: " in node(
        "--input-type=module", "--eval", f"const origin = '{server.url}';{code}"
    )


def run_block(page: Page, server: Server, code: str) -> None:
    """Run a block in a page that has the import map, and no policy."""
    imports = {"imports": {"arcly-channels": "/static/arcly_channels/gateway.js"}}
    body = f'<script type="importmap">{json.dumps(imports)}</script>'
    body += f'<script type="module">{code}</script>'
    write_static(server, "block.html", body)
    page.goto(f"{server.url}/static/block.html")


def write_static(server: Server, name: str, text: str) -> None:
    (server.log.parent / "mysite" / "static" / name).write_text(text)


def test_room_loads_at_first_and_after_each_gap(server: Server, open_page: Open) -> None:
    (code,) = blocks(section(PAGE, "Gaps"), "javascript")
    begin = """
        import { Gateway } from "arcly-channels";
        const gateway = globalThis.gateway = new Gateway("/ws/");
        globalThis.loads = 0;
        const load = () => loads++;
        gateway.connect();
    """
    page = open_page("about:blank")
    run_block(page, server, begin + code)
    page.wait_for_function("loads === 1")
    for loads in (2, 3):
        page.evaluate("gateway.close(); gateway.connect()")
        page.wait_for_function("gateway.join('tea').isJoined")
        assert page.evaluate("loads") == loads


def test_token_is_offered_as_the_page_says(server: Server, open_page: Open) -> None:
    (code,) = blocks(section(PAGE, "Tokens"), "javascript")
    page = open_page("about:blank")
    answers: list[dict[str, Any]] = [{"body": "secret"}, {"status": 500}, {"status": 401}]
    page.route("**/token/", lambda route: route.fulfill(**answers.pop(0)))
    page.add_init_script(
        """
        globalThis.offered = [];
        globalThis.WebSocket = class extends WebSocket {
            constructor(url, protocols) {
                super(url, protocols);
                offered.push(protocols);
            }
        };
        """
    )
    more = """
        globalThis.gateway = gateway;
        globalThis.states = [];
        gateway.on("gateway:state", ({ state }) => states.push(state));
    """
    run_block(page, server, code.replace("/ws/chat/", "/ws/") + more)
    page.evaluate("gateway.connect()")
    page.wait_for_function("gateway.state === 'open'")
    assert page.evaluate("offered") == [["arcly.v1", "bearer", "secret"]]
    page.evaluate("gateway.close(); states.length = 0; gateway.connect()")
    page.wait_for_function("gateway.state === 'closed'")  # After the error, which is no end.
    assert page.evaluate("states") == ["connecting", "waiting", "connecting", "closed"]


def test_who_lets_go_is_not_connected_any_more(server: Server, open_page: Open) -> None:
    (code,) = blocks(section(PAGE, "Hold"), "javascript")
    page = open_page("about:blank")
    begin = 'import { Gateway } from "arcly-channels"; const gateway = new Gateway("/ws/");'
    run_block(page, server, f"{begin}{code}release(); globalThis.gateway = gateway;")
    page.wait_for_function("gateway.state === 'idle'")
