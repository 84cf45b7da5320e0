"""What MkDocs makes of the repository: README and changelog are pages, and links to code are names.

The pages are written for GitHub as well, where a link may lead to any file of the repository.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
"""Files outside docs/ that are pages, and how those are called."""

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relinked(text, name, page)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    name = page.file.src_uri
    return markdown if name in OUTSIDE.values() else _relinked(markdown, join("docs", name), name)


def _relinked(text: str, source: str, page: str) -> str:
    """Return the text of a file of the repository, with its links as the page needs them."""

    def relink(link: re.Match[str]) -> str:
        label, target, anchor = link[1], link[2], link[3] or ""
        path = normpath(join(dirname(source), target))
        if not (ROOT / path).exists():
            return link[0]  # No link but code, or one that MkDocs complains of.
        inside = OUTSIDE.get(path, path.removeprefix("docs/"))
        if inside == path:
            return f"{label} (`{path}`)"
        return f"[{label}]({relpath(inside, dirname(page) or '.')}{anchor})"

    return _LINK.sub(relink, text)
