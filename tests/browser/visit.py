"""Opens the pages of a running service in Chromium, and prints what it saw, as JSON.

    python visit.py CHROMIUM URL [--sign-in ADDRESS PASSWORD] [--screenshots FOLDER]

It runs where playwright is installed, and never waits for longer than half a minute for anything.
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


class Visit:
    """A browser context without a network but for the service, and what went wrong in it."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        context.set_default_timeout(30_000)
        context.route(lambda address: not address.startswith(url), self._refuse)
        self.page = context.new_page()
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def _refuse(self, route: Route) -> None:
        self.strangers.append(route.request.url)
        route.abort()


def look(page: Page, folder: Path | None, name: str) -> None:
    """Take screenshots of a page: light, dark, and on a phone."""
    if folder is None:
        return
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width, size in (("", DESK), ("-phone", PHONE)):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"{name}-{scheme}{width}.png")
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light")


def sign_in(page: Page, address: str, password: str) -> bool:
    page.locator("button.authorize").first.click()
    dialog = page.locator(".modal-ux")
    dialog.locator("#oauth_username").fill(address)
    dialog.locator("#oauth_password").fill(password)
    dialog.locator("button.authorize").click()
    dialog.get_by_role("button", name="Remove authorization").wait_for()
    dialog.locator("button.btn-done").click()
    return page.locator("button.authorize.locked").first.is_visible()


def execute(page: Page, operation: str, body: str = "") -> tuple[int, Any]:
    """Send a request from the page, as a person does, and return the status and body it shows."""
    block = page.locator(f"[id$='-{operation}']")
    block.locator(".opblock-summary-control").click()
    if body:
        block.locator("textarea.body-param__text").fill(body)
    block.get_by_role("button", name="Execute").click()
    response = block.locator(".live-responses-table tr.response")
    response.wait_for()
    status = int(response.locator("td.response-col_status").inner_text().split()[0])
    return status, json.loads(response.locator(".highlight-code code").first.inner_text())


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("chromium")
    parser.add_argument("url")
    parser.add_argument("--sign-in", nargs=2)
    parser.add_argument("--author", type=int)
    parser.add_argument("--screenshots", type=Path)
    options = parser.parse_args()
    seen: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox"]
        )
        visit = Visit(browser.new_context(), options.url)
        page = visit.page
        page.goto(f"{options.url}/")
        seen["start"] = page.locator("h1").inner_text()
        seen["fits"] = []
        for size in (DESK, PHONE):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            seen["fits"].append(
                page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            )
        look(page, options.screenshots, "start")
        page.locator("a", has_text="/docs").click()
        page.locator(".opblock").first.wait_for()
        seen["operations"] = page.locator(".opblock").count()
        look(page, options.screenshots, "docs")
        if options.sign_in:
            seen["signed in"] = sign_in(page, *options.sign_in)
        post: dict[str, Any] = {"title": "Seen in Chromium", "body": "Text"}
        if options.author:
            post["author_id"] = options.author
        status, created = execute(page, "create_post", json.dumps(post))
        seen["created"] = status, created.get("title")
        status, posts = execute(page, "list_posts")
        seen["listed"] = status, [one["title"] for one in posts["items"]][:1]
        look(page, options.screenshots, "docs-used")
        seen["complaints"], seen["other hosts"] = visit.complaints, visit.strangers
        browser.close()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
