"""What MkDocs makes of the repository: READMEs and changelog are pages, and links to code names.

The pages are written for GitHub as well, where a link may lead to any file of the repository. A
link that is a line by itself becomes the text of its file. Each page is in the site as Markdown,
too, at its own path, and `llms.txt` says what is where (llmstxt.org).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import AnchorLink

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "how-to/examples.md",
}
"""Files outside docs/ that are pages, and how those are called."""

FIRST, REST = "index.md", "Start"
"""The page with which `llms.txt` begins, and where those are in it that are in no section."""

_SENTENCE = re.compile(r".+?[.?](?=\s|$)")
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|\*\*")
_NAME = re.compile(r"(?<=<td><code>)\w+(?=</code>)")
"""What a row of a table is about: on a phone, a long name is broken where it has an underscore."""

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_LISTING = re.compile(r"^\[(\S+\.(\w+))\]\(\1\)$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relinked(text, name, page)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    name = page.file.src_uri
    if page.parent is None:  # It has no neighbours to show beside it.
        page.meta["hide"] = ["navigation"]
    return markdown if name in OUTSIDE.values() else _relinked(markdown, join("docs", name), name)


def on_env(env: Any, config: MkDocsConfig, files: Files) -> None:
    first = files.get_file_from_path(FIRST)
    if first is None or first.page is None:
        raise FileNotFoundError(f"the site has no page {FIRST}, with which llms.txt begins")
    pages = list(_from(first.page))
    texts = [f"# {config.site_name}\n\n> {config.site_description}", *_sections(pages)]
    whole = [page.markdown or "" for page in pages]
    for name, content in (("llms.txt", texts), ("llms-full.txt", whole)):
        files.append(File.generated(config, name, content="\n\n".join(content) + "\n"))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    for entry in _entries(page.toc):
        entry.title = re.sub(r"\(.+\)$", "()", entry.title)  # Of a signature, the name.


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    path = Path(config.site_dir, page.file.src_uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.markdown or "", encoding="utf-8")
    broken = _NAME.sub(lambda found: found[0].replace("_", "_<wbr>"), output)
    return _with_named_search(broken)


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    return _with_named_search(output)


def first_sentence(markdown: str) -> str:
    """Return the first sentence below the title, without links and emphasis."""
    paragraph = markdown.split("\n\n")[1]
    sentence = _SENTENCE.match(" ".join(paragraph.split()))
    return _MARKUP.sub(lambda found: found[1] or "", sentence[0]) if sentence else ""


def _with_named_search(output: str) -> str:
    """Return a page whose search, a dialog for screen readers, has the name that it lacks."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def _entries(entries: Iterable[AnchorLink]) -> Iterator[AnchorLink]:
    """Yield the entries of a table of contents, at every depth."""
    for entry in entries:
        yield entry
        yield from _entries(entry.children)


def _from(page: Page | None) -> Iterator[Page]:
    """Yield the pages in the order of the navigation."""
    while page is not None:
        yield page
        page = page.next_page


def _sections(pages: list[Page]) -> Iterator[str]:
    """Yield what `llms.txt` says of each section."""
    found: dict[str, list[str]] = {}
    for page in pages:
        line = f"- [{page.title}]({page.file.src_uri}): {first_sentence(page.markdown or '')}"
        found.setdefault(page.parent.title if page.parent else REST, []).append(line)
    for title, lines in found.items():
        yield "\n".join([f"## {title}\n", *lines])


def _relinked(text: str, source: str, page: str) -> str:
    """Return the text of a file of the repository, with its links as the page needs them."""

    def show(link: re.Match[str]) -> str:
        code = (ROOT / dirname(source) / link[1]).read_text(encoding="utf-8")
        return f'```{link[2]} title="{link[1]}"\n{code}```'

    def relink(link: re.Match[str]) -> str:
        label, target, anchor = link[1], link[2], link[3] or ""
        path = normpath(join(dirname(source), target))
        if not (ROOT / path).exists():
            return link[0]  # No link but code, or one that MkDocs complains of.
        inside = OUTSIDE.get(path, path.removeprefix("docs/"))
        if inside == path:
            return f"{label} (`{path}`)"
        return f"[{label}]({relpath(inside, dirname(page) or '.')}{anchor})"

    return _LINK.sub(relink, _LISTING.sub(show, text))
