"""One server for each worker, a Chromium for each file, and a page that keeps what the browser
complains about.

BROWSER_NOTEBOOKS=all     every notebook instead of a few that stand for them
BROWSER_PICTURES=folder   every notebook that was run, light and dark, as pictures in this folder
"""

import re
import shutil
from pathlib import Path

import pytest
from chromium_fixtures import BUSY, CHROMIUM, MISSING, chromium  # noqa: F401

from browser.lab import Notebook, serve

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items):
    for item in items:
        if not CHROMIUM and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    """A server that shows a copy of the notebooks: running them changes no file of the course."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("notebooks", "exercises", "solutions"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("progress*.json", ".*")
        )
    with serve(folder, tmp_path_factory.mktemp("server")) as server:
        yield server


class Complaints(list):
    """What the browser complained about, in its words, and every request that left this machine."""

    # `make site` needs this extension and installs it; in JupyterLab, which it is not made for, it
    # cannot start.
    NOT_OURS = "@jupyterlite/"

    def watch(self, page) -> None:
        page.on("pageerror", lambda error: self.append(f"uncaught: {error}"))
        page.on("console", lambda message: message.type == "error" and self._said(message.text))
        page.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), self._foreign)

    def _said(self, text: str) -> None:
        if self.NOT_OURS not in text:
            self.append(f"console: {text}")

    def _foreign(self, route) -> None:
        self.append(f"left this machine: {route.request.url}")
        route.abort()


@pytest.fixture(scope="module")
def window(chromium, lab):
    """A page in a fresh browser profile. JupyterLab is loaded in it once for a file's tests."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(BUSY)
    page.complaints = Complaints()
    page.complaints.watch(page)
    yield page
    context.close()


@pytest.fixture
def page(window):
    """The file's page, with nothing open in it. The test fails if anything complained, or sent a
    request elsewhere."""
    window.complaints.clear()
    yield window
    said = list(window.complaints)  # not what JupyterLab says when its kernel is taken away
    Notebook(window, "").shut_down()
    window.emulate_media(color_scheme="light")
    assert said == []


@pytest.fixture
def open_notebook(page, lab):
    """open_notebook("exercises/01_first_call.ipynb") opens it and waits for its kernel."""
    (lab.folder / "exercises" / "progress.json").unlink(missing_ok=True)
    (lab.folder / "solutions" / "progress.json").unlink(missing_ok=True)
    return lambda path, **how: Notebook.open(page, lab, path, **how)
