"""A headless Chromium for the tests that look at pages."""

import pytest

from authoring.site.page import CHROMIUM, FLAGS, MISSING

BUSY = 600_000  # ms that anything may take: the rest of the suite is at work on the same machine


@pytest.fixture(scope="module")
def chromium():
    """A headless browser. Skips where there is none.

    Closed with a file's last test: while Playwright is at work, no test in this process can start
    an event loop.
    """
    if CHROMIUM is None:
        pytest.skip(MISSING)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=BUSY)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
