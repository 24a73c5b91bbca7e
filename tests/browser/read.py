"""Opens the site of a project's documents from its files in Chromium, and prints what it saw, as JSON.

    python read.py CHROMIUM FOLDER [--screenshots FOLDER]

It runs where playwright is installed, and never waits for longer than half a minute for anything.
"""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from visit import DESK, Visit, look


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("chromium")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--screenshots", type=Path)
    options = parser.parse_args()
    url = options.folder.resolve().as_uri()
    seen: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox"]
        )
        visit = Visit(browser.new_context(viewport=DESK), url)
        page = visit.page
        page.goto(f"{url}/index.html")
        seen["first"] = page.locator("article h1").evaluate("heading => heading.firstChild.data")
        page.wait_for_load_state("networkidle")
        look(page, options.screenshots, "first")
        page.get_by_role("button", name="Search").first.click()
        page.get_by_placeholder("Search").press_sequentially("keyset pagination", delay=50)
        result = page.locator("ol li a").filter(has_text="SQLAlchemy patterns").first
        result.wait_for()
        seen["found"] = result.inner_text().partition("\n")[0]
        if options.screenshots:
            page.screenshot(path=options.screenshots / "search.png")
        result.click()
        page.wait_for_url("**/patterns/*")
        page.wait_for_load_state("networkidle")
        seen["opened"] = page.url.removeprefix(f"{url}/").partition("?")[0].partition("#")[0]
        if options.screenshots:
            page.goto(f"{url}/patterns/transactions.html")
            look(page, options.screenshots, "pattern")
        browser.close()
    print(json.dumps(seen | {"complaints": visit.complaints, "other hosts": visit.strangers}))


if __name__ == "__main__":
    main()
