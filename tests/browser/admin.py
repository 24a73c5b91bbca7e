"""Uses the admin interface of a running service in Chromium, and prints what it saw, as JSON.

    python admin.py CHROMIUM URL ADDRESS PASSWORD

It runs where playwright is installed, and never waits for longer than half a minute for anything.
"""

import json
import sys
from typing import Any

from playwright.sync_api import sync_playwright
from visit import Visit


def main() -> None:
    chromium, url, address, password = sys.argv[1:]
    seen: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context()
        visit = Visit(context, url)
        page = visit.page
        page.goto(f"{url}/admin/user/list")
        seen["asked to sign in"] = "/admin/login" in page.url
        page.wait_for_load_state("networkidle")  # leaving a page aborts what it still loads
        page.locator("[name=username]").fill(address)
        page.locator("[name=password]").fill(password)
        page.locator("[type=submit]").first.click()
        page.get_by_text(address).first.wait_for()
        page.wait_for_load_state("networkidle")
        (cookie,) = (one for one in context.cookies() if one["name"] == "admin_session")
        seen["cookie"] = cookie["httpOnly"], cookie["sameSite"], cookie["path"]
        seen["read by scripts"] = "admin_session" in page.evaluate("document.cookie")
        page.goto(f"{url}/admin/user/edit?pk=1")
        page.wait_for_load_state("networkidle")
        page.locator("[name=display_name]").fill("Seen in Chromium")
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_url("**/admin/user/list*")
        changed = page.locator("td:visible", has_text="Seen in Chromium")
        changed.first.wait_for()
        page.wait_for_load_state("networkidle")
        seen["changed"] = changed.count()
        seen["complaints"], seen["other hosts"] = visit.complaints, visit.strangers
        browser.close()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
