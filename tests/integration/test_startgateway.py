"""`manage.py startgateway`: what it writes runs, and what it would spoil it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from arcly_channels.management.scaffold import Scaffold
from tests.documents import DOCS, build_project
from tests.servers import run

ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}


def start(project: Path, *arguments: str) -> str:
    return run("manage.py", "startgateway", *arguments, environment=ENVIRONMENT, cwd=project)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two gateways, and an app beside it with one."""
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8").partition("## 3.")[0]
    project = build_project(text, tmp_path_factory.mktemp("started"))
    start(project, "live_prices")
    run("manage.py", "startapp", "shop", environment=ENVIRONMENT, cwd=project)
    with (project / "mysite" / "settings.py").open("a") as settings:
        settings.write('INSTALLED_APPS += ["shop"]\n')
    return project


def test_gateways_are_routed_and_pass_their_tests(project: Path) -> None:
    told = run("manage.py", "gateway_schema", environment=ENVIRONMENT, cwd=project)
    assert '"address": "/ws/chat/"' in told
    assert '"address": "/ws/live-prices/"' in told
    run("manage.py", "check", "--fail-level", "WARNING", environment=ENVIRONMENT, cwd=project)
    run("manage.py", "test", "mysite", environment=ENVIRONMENT, cwd=project)


def test_gateway_that_is_there_is_not_written_over(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*.py")}
    with pytest.raises(RuntimeError, match=r"chat\.py is there already; nothing was written"):
        start(project, "chat")
    assert {path: path.read_bytes() for path in project.rglob("*.py")} == before


def test_sockets_that_are_served_already_are_left_to_people(project: Path) -> None:
    told = start(project, "orders", "--app", "shop")
    assert (project / "shop" / "gateways" / "orders.py").exists()
    assert "Add to mysite/asgi.py, by hand:" in told
    assert "from shop.routing import websocket_urlpatterns as shop_websockets" in told
    assert "shop.routing" not in (project / "mysite" / "asgi.py").read_text()


def test_what_people_are_told_to_add_hides_no_other_gateways(project: Path) -> None:
    told = start(project, "refunds", "--app", "shop")
    added, item = (line for line in told.splitlines() if "shop_websockets" in line)
    asgi = project / "mysite" / "asgi.py"
    text = asgi.read_text()
    routes = f"routes = [{item.partition('#')[0]}"
    asgi.write_text(text.replace("routes = [", f"{added}\n{routes}"))
    described = run("manage.py", "gateway_schema", environment=ENVIRONMENT, cwd=project)
    asgi.write_text(text)
    assert '"address": "/ws/chat/"' in described
    assert '"address": "/ws/refunds/"' in described


def test_app_whose_name_ends_in_that_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    asgi, urls = tmp_path / "asgi.py", tmp_path / "urls.py"
    asgi.write_text("from myshop.routing import routes\napplication = ProtocolTypeRouter({})\n")
    urls.write_text("import django\n\nurlpatterns = [\n]\n")
    changes = Scaffold("orders", "shop", "shop").changes(tmp_path / "shop", asgi, urls)
    assert [addition.file for addition in changes.by_hand] == [asgi]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("Chat",), "'Chat' cannot be the name of a module"),
        (("class",), "'class' cannot be the name of a module"),
        (("../chat",), "cannot be the name of a module"),
        (("news", "--app", "nowhere"), "'nowhere' is no installed app: say --app with one of"),
    ],
)
def test_what_cannot_be_says_what_can(
    project: Path, arguments: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(RuntimeError, match=problem):
        start(project, *arguments)
