"""A headless Chromium for the tests that look at pages."""

import os
import shutil

import pytest

BUSY = 60_000       # ms that anything may take: the rest of the suite is at work on the same machine
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = "needs Chromium: on Debian or Ubuntu, sudo apt-get install chromium"
# Its own background requests are switched off, so that what is seen on the network is the page's.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def chromium():
    """A headless browser. Skips where there is none.

    Closed with a file's last test: while Playwright is at work, no test in this process can start an event loop."""
    if CHROMIUM is None:
        pytest.skip(MISSING)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=BUSY)
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0          # Chromium refuses to sandbox itself for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS + ["--no-sandbox"] * as_root)
        yield browser
        browser.close()
