"""The documents of a bake make a site: complete, without a broken link, and with nothing from elsewhere."""

import json
import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from baking import made_once, run
from browsers import find_browser
from markdown_it import MarkdownIt
from parameters import FIRST, in_each_run
from test_variants import baked_once
from variants import VARIANTS, Variant

# In an environment of their own, as bakes are shared, and so is theirs.
BUILD = ("--isolated", "--only-group", "docs", "zensical", "build", "--strict")
READ = Path(__file__).with_name("browser") / "read.py"
STRUCTURE = {"h1", "h2", "h3", "h4", "li", "ol", "ul", "pre", "table", "tr", "img", "blockquote"}


@dataclass(frozen=True)
class Site:
    docs: Path
    root: Path

    def pages(self) -> dict[Path, "Page"]:
        return {path: Page.of(path) for path in self.root.rglob("*.html") if path.stem != "404"}

    def page_of(self, document: Path) -> Path:
        return self.root / document.relative_to(self.docs).with_suffix(".html")


@dataclass
class Page(HTMLParser):
    """What a page links to and loads, its anchors, and what its article consists of."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    article: Counter[str] = field(default_factory=Counter)
    is_article: bool = False

    @classmethod
    def of(cls, path: Path) -> "Page":
        page = cls()
        HTMLParser.__init__(page)
        page.feed(path.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag != "a":
            self.loaded += [values[name] for name in ("href", "src") if name in values]
        self.is_article |= tag == "article"
        if self.is_article and tag in STRUCTURE:
            self.article[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        self.is_article &= tag != "article"


@pytest.fixture(scope="session", params=in_each_run(FIRST, slow=VARIANTS))
def site(request: pytest.FixtureRequest, template: Path, workspace: Path) -> Site:
    return built_once(request.param, template, workspace)


def built_once(variant: Variant, template: Path, workspace: Path) -> Site:
    def make(folder: Path) -> str:
        project = copy_project(variant, template, workspace, folder / "project")
        assert "No issues found" in run(project, *BUILD)
        return str(project)

    project = Path(made_once(workspace / f"site-{variant.name}", make))
    return Site(project / "docs", project / "site")


def copy_project(variant: Variant, template: Path, workspace: Path, folder: Path) -> Path:
    project = baked_once(variant, template, workspace)
    for name in project.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project.path / name, folder / name)
    return folder


def test_links_lead_to_pages_and_their_parts(site: Site) -> None:
    pages = site.pages()
    broken = [
        f"{path.relative_to(site.root)}: {link}"
        for path, page in pages.items()
        for link in page.links
        if not leads_somewhere(link, path, pages)
    ]

    assert broken == []
    assert sum(len(page.links) for page in pages.values()) > 1000


def leads_somewhere(link: str, path: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme in {"https", "mailto"}
    target = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
    anchor = unquote(parts.fragment)
    if target not in pages:
        return target.is_file() and not anchor
    return not anchor or anchor in pages[target].anchors


def test_nothing_comes_from_elsewhere(site: Site) -> None:
    missing = [
        f"{path.relative_to(site.root)}: {name}"
        for path, page in site.pages().items()
        for name in page.loaded
        if urlsplit(name).scheme != "data" and not (path.parent / urlsplit(name).path).is_file()
    ]

    assert missing == []


def test_every_document_is_in_the_navigation(site: Site) -> None:
    documents = {site.page_of(path) for path in site.docs.rglob("*.md")}
    first = Page.of(site.root / "index.html")
    named = {Path(os.path.normpath(site.root / link.partition("#")[0])) for link in first.links}

    assert documents - named == set()
    assert set(site.pages()) == documents


def test_pages_show_what_code_hosts_show(site: Site) -> None:
    """Lists and blocks that one reader nests and another one does not differ in number."""
    commonmark = MarkdownIt().enable("table")
    different = {}
    for document in site.docs.rglob("*.md"):
        text = commonmark.render(document.read_text(encoding="utf-8"))
        expected = Counter(tag for tag in re.findall(r"<(\w+)", text) if tag in STRUCTURE)
        if expected != (shown := Page.of(site.page_of(document)).article):
            different[document.name] = (dict(expected - shown), dict(shown - expected))

    assert different == {}


@pytest.mark.slow
def test_page_that_is_added_is_in_the_navigation_and_a_broken_link_fails(
    template: Path, workspace: Path, tmp_path: Path
) -> None:
    project = copy_project(VARIANTS[0], template, workspace, tmp_path / "project")
    recipe = project / "docs/recipes/soup.md"
    recipe.parent.mkdir(exist_ok=True)
    recipe.write_text("# Soup\n\n[Why](../decisions/0002-layers.md#decision)\n", encoding="utf-8")
    run(project, *BUILD)
    navigation = Page.of(project / "site/index.html").links
    assert "./recipes/soup.html" in navigation

    recipe.write_text("# Soup\n\n[Why](../decisions/0002-layers.md#soup)\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="anchor does not exist"):
        run(project, *BUILD)


@pytest.mark.browser
@pytest.mark.parametrize("variant", in_each_run(FIRST, slow=VARIANTS[:2], of=VARIANTS[:2]))
def test_site_is_searched_from_files_and_without_a_network(
    variant: Variant, template: Path, workspace: Path, tmp_path: Path
) -> None:
    site = built_once(variant, template, workspace)
    browser = ("--with", "playwright", "python", str(READ), find_browser())

    seen = json.loads(run(tmp_path, "--quiet", "--no-project", *browser, str(site.root)))

    assert seen == {
        "first": "Documentation",
        "found": "Keyset pagination",
        "opened": "patterns/sqlalchemy-patterns.html",
        "complaints": [],
        "other hosts": [],
    }
