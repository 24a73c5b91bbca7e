"""The browser of tests that are marked `browser`."""

import os
import shutil


def find_browser() -> str:
    """Return Chromium or Chrome: the one of TEST_BROWSER, else one on the PATH, or ""."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = (path for name in names if (path := shutil.which(name)))
    return os.environ.get("TEST_BROWSER") or next(found, "")
