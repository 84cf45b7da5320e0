"""Every page says at once what it gives, and every snippet of it is run by a test."""

from __future__ import annotations

import re

import pytest

from tests.documents import DOCS, README
from tests.servers import ROOT

PAGES = {str(path.relative_to(ROOT)): path for path in (README, *sorted(DOCS.rglob("*.md")))}

SNIPPETS = {
    "README.md": {"integration/quickstart.py": 4, "browser/test_first_pages.py": 1},
    "docs/tutorial.md": {
        "integration/test_tutorial.py": 6,
        "browser/test_tutorial.py": 4,
    },
    "docs/explanation/capacity.md": {"unit/test_capacity.py": 2},
    "docs/how-to/browser-recipes.md": {"browser/test_recipes.py": 13},
    "docs/how-to/deploy-container.md": {"integration/test_container.py": 7},
    "docs/how-to/deploy-nginx.md": {"integration/test_deploy.py": 3},
    "docs/how-to/deploy-systemd.md": {"integration/test_systemd.py": 6},
    "docs/how-to/deployment.md": {"integration/test_how_to.py": 2},
    "docs/how-to/django-tenants.md": {"integration/test_django_tenants.py": 12},
    "docs/how-to/migrate-from-channels-redis.md": {"integration/test_migrate.py": 6},
    "docs/how-to/migrate-from-channels.md": {
        "integration/test_migrate.py": 10,
        "browser/test_migrations.py": 1,
    },
    "docs/how-to/migrate-from-socketio.md": {"browser/test_migrations.py": 7},
    "docs/how-to/monitor.md": {"integration/test_deploy.py": 5, "integration/test_grafana.py": 2},
    "docs/how-to/recipes.md": {"integration/test_how_to.py": 19},
    "docs/how-to/release.md": {"integration/test_packaging.py": 3},
    "docs/how-to/scale-out.md": {
        "integration/test_scale_out.py": 11,
        "integration/test_systemd.py": 1,
    },
    "docs/how-to/schema.md": {"integration/test_schema_page.py": 9},
    "docs/how-to/server-sent-events.md": {
        "integration/test_sse_page.py": 1,
        "browser/test_sse_page.py": 2,
    },
    "docs/how-to/sessions-and-tokens.md": {"integration/test_sessions_and_tokens.py": 5},
    "docs/how-to/testing.md": {"browser/test_testing_page.py": 9},
    "docs/how-to/typed-events.md": {"integration/test_typed_events.py": 2},
    "docs/reference/browser.md": {"browser/test_reference.py": 8},
    "docs/reference/errors.md": {"integration/test_reference.py": 1},
    "docs/reference/gateway.md": {"integration/test_reference.py": 2},
    "docs/reference/identity.md": {"integration/test_reference.py": 4},
    "docs/reference/layers.md": {"integration/test_reference.py": 2},
    "docs/reference/protocol.md": {"unit/gateway/test_protocol_page.py": 3},
}
"""How many snippets of a page each test runs, or compares with what it says."""


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_of_the_page_is_run(page: str) -> None:
    fences = re.findall(r"^ *```\S*$", PAGES[page].read_text(encoding="utf-8"), re.MULTILINE)
    run = sum(SNIPPETS.get(page, {}).values())
    assert len(fences) == 2 * run, f"have a test run what is new in {page}, then say so above"


@pytest.mark.parametrize("page", SNIPPETS)
def test_tests_that_run_snippets_are_there(page: str) -> None:
    named = PAGES[page].stem
    for test in SNIPPETS[page]:
        assert named in (ROOT / "tests" / test).read_text(encoding="utf-8"), f"{test}: no {named}"


@pytest.mark.parametrize("page", PAGES)
def test_page_begins_with_a_sentence(page: str) -> None:
    title, first = PAGES[page].read_text(encoding="utf-8").split("\n\n")[:2]
    assert re.fullmatch(r"# .+", title)
    assert re.match(r"[^#|*>-].+?[.?:](\s|$)", first, re.DOTALL)
