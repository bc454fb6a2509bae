"""The site, built once for all workers of a test run, served by a plain static server, and a
browser to open it in."""

import os
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chromium_fixtures import chromium  # noqa: F401
from filelock import FileLock

from authoring.site import page
from authoring.site.__main__ import build, server

# Recorded answers come at once. Said to the kernel itself: it would be one cell more otherwise.
QUICK = """() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel
  .requestExecute(
  { code: "import os; os.environ['COURSE_PACE'] = '0'", store_history: false }).done"""
# Runs code in the notebook's kernel, outside its cells, and resolves to what it printed and raised.
EXECUTE = """async ([code, seconds]) => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const said = [];
  const future = kernel.requestExecute({ code, store_history: false });
  future.onIOPub = message => {
    const { text, evalue, data } = message.content;
    said.push(text ?? evalue ?? data?.["text/plain"] ?? "");
  };
  const late = (_, fail) => setTimeout(
    () => fail(new Error(`no end within ${seconds} s`)), 1000 * seconds);
  await Promise.race([future.done, new Promise(late)]);
  return said.join("\\n");
}"""
# All that the browser keeps for the site, as one text.
STORED = """async () => {
  const result = request => new Promise((done, fail) => {
    request.onsuccess = () => done(request.result); request.onerror = fail; });
  const found = [JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie];
  for (const { name } of await indexedDB.databases()) {
    const base = await result(indexedDB.open(name));
    for (const store of base.objectStoreNames) {
      const all = await result(base.transaction(store).objectStore(store).getAll());
      found.push(JSON.stringify(all));
    }
    base.close();
  }
  return found.join("\\n");
}"""


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The built site. Skips where npm, which delivers Pyodide, is missing."""
    if given := os.environ.get("SITE_FOLDER"):
        return Path(given)  # one that is built already
    if shutil.which("npm") is None:
        pytest.skip("npm is missing, and Pyodide comes from there; .ci/run installs it")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "site.lock", timeout=3600):
        if not (shared / "site" / "index.html").exists():
            build(shared / "site")
    return shared / "site"


@pytest.fixture(scope="session")
def address(site):
    with server(site) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@contextmanager
def new_tab(chromium, address: str):
    """A tab in a fresh profile: no storage, no cache."""
    context = chromium.new_context()
    yield Tab(context, address)
    context.close()


@pytest.fixture
def tab(chromium, address):
    with new_tab(chromium, address) as tab:
        yield tab


class Tab:
    """A browser tab on the site. `foreign` are the addresses it asked for outside the site; nothing
    of them is delivered."""

    def __init__(self, context, address: str):
        self.address, self.foreign, self.said = address, [], []
        context.route(lambda url: not url.startswith((address, "data:", "blob:")), self._refuse)
        self.page = context.new_page()
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))

    def _refuse(self, route) -> None:
        self.foreign.append(route.request.url)
        route.abort()

    @property
    def foreign_hosts(self) -> set[str]:
        return {urlsplit(url).hostname for url in self.foreign}

    def open(self, notebook: str, seconds: float = 900) -> float:
        """Open a notebook and wait until Python is there; returns the seconds this took."""
        begun = time.monotonic()
        self.page.goto(page.address(self.address, notebook))
        self.page.wait_for_selector(page.SHOWN, timeout=seconds * 1000)
        self.page.wait_for_function(page.READY, timeout=seconds * 1000)
        self.page.evaluate(QUICK)
        return time.monotonic() - begun

    def run(self, index: int, seconds: float = 900) -> dict:
        """Run the cell at this place; returns {"count", "outputs"}."""
        return self.page.evaluate(page.RUN, [index, seconds])

    def execute(self, code: str, seconds: float = 900) -> str:
        """Run code in the kernel; returns what it printed, showed and raised."""
        return self.page.evaluate(EXECUTE, [code, seconds])

    def stored(self) -> str:
        """All that the browser keeps for the site."""
        return self.page.evaluate(STORED)
