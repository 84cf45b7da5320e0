"""Code that is added to files which people have written."""

from __future__ import annotations

import pytest

from arcly_channels.management.editing import Unclear, with_import, with_item

URLS = '''"""The addresses of mysite."""
from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),  # As ever.
]
'''


def test_item_goes_to_the_end_of_the_list() -> None:
    edited = with_item(URLS, "urlpatterns", 'path("chat/", chat)')
    end = '    path("admin/", admin.site.urls),  # As ever.\n    path("chat/", chat),\n]\n'
    assert edited == URLS[: URLS.index('    path("admin/"')] + end


def test_item_may_be_the_first() -> None:
    assert with_item("a = [\n]\n", "a", "1") == "a = [\n    1,\n]\n"


@pytest.mark.parametrize(
    "code",
    [
        *("", "a = [1, 2]\n", "a = [\n    1\n]\n", "a = (\n    1,\n)\n", "a = [\n    1,\n] + b\n"),
        *("a = [\n]\na = [\n]\n", "a += [\n]\n", "a = [\n    1, 2]\n", "a = [", "b.a = [\n]\n"),
    ],
)
def test_list_that_looks_otherwise_is_left_to_people(code: str) -> None:
    with pytest.raises(Unclear):
        with_item(code, "a", "3")


def test_import_goes_behind_the_last() -> None:
    edited = with_import(URLS, "mysite.views", "chat")
    assert edited == URLS.replace("import path\n", "import path\nfrom mysite.views import chat\n")


@pytest.mark.parametrize("name", ["admin", "path"])
def test_import_that_is_there_is_not_made_again(name: str) -> None:
    module = "django.contrib" if name == "admin" else "django.urls"
    assert with_import(URLS, module, name) == URLS


def test_import_of_several_lines_is_not_torn() -> None:
    code = "from django.urls import (\n    include,\n)\n"
    assert with_import(code, "django.urls", "path") == code + "from django.urls import path\n"


@pytest.mark.parametrize("code", ["", "a = 1\n", "import (\n"])
def test_code_without_an_import_is_left_to_people(code: str) -> None:
    with pytest.raises(Unclear):
        with_import(code, "django.urls", "path")
