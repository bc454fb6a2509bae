"""A JupyterLab server of our own, and a notebook opened in it.

with serve(folder) as server:
    notebook = Notebook.open(page, server, "exercises/01_first_call.ipynb")
    notebook.run_all()
"""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from authoring.execute import clean_environment
from authoring.site.page import READY

FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
)
SETTINGS = {
    # Every cell is in the page, also the ones far below: axe and the pictures' sizes need them
    # there.
    "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Light or dark as the browser prefers: nothing that a test would leave behind for the next.
    "apputils-extension/themes": {"adaptive-theme": True},
    # What the browser draws is looked at, not what it saves.
    "docmanager-extension/plugin": {"autosave": False},
}
OPTIONS = [
    "--no-browser",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.log_level=WARN",
    "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--LabApp.expose_app_in_browser=True",
    # A test run that was killed leaves no server behind for long.
    "--MappingKernelManager.cull_idle_timeout=600",
    "--MappingKernelManager.cull_connected=True",
    "--ServerApp.shutdown_no_activity_timeout=900",
]


@dataclass
class Server:
    url: str  # ends in "/"
    token: str
    folder: Path  # what it shows


@contextmanager
def serve(folder: Path, private: Path, seconds: float = 600):
    """A JupyterLab server on this machine, with settings and kernels of nobody else, showing
    `folder`.

    private : an empty folder for its settings, log and runtime files.
    seconds : how long it may take to answer.

    Raises RuntimeError with the server's log if it ends or does not answer in time.
    """
    for name, settings in SETTINGS.items():
        _write(
            private / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / f"{name}.jupyterlab-settings",
            settings,
        )
    environment = clean_environment(private) | {name: str(private / name) for name in FOLDERS}
    del environment["COURSE_PROGRESS"]  # beside the notebook, as a learner has it
    environment["COURSE_PRACTICE_URL"] = (
        "http://127.0.0.1:9"  # nobody answers there, also where `make practice` runs
    )
    with socket.socket() as probe:  # servers that begin at once would all look for one from 8888 on
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [*OPTIONS, f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}"] + (
        ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    )
    log = private / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=environment,
            cwd=private,
            stdout=file,
            stderr=file,
        )
    try:
        yield _wait(
            process, private / "JUPYTER_RUNTIME_DIR", folder, log, time.monotonic() + seconds
        )
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _write(path: Path, settings: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings), encoding="utf-8")


def _wait(process, runtime: Path, folder: Path, log: Path, deadline: float) -> Server:
    """The server, as soon as it has said at which address it listens."""
    while time.monotonic() < deadline and process.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            try:
                info = json.loads(path.read_text())
                return Server(info["url"], info["token"], folder)
            except ValueError:  # half written
                pass
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab does not answer; its log:\n{log.read_text()}")


CELLS = """() => {
    const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
    return Array.from({length: cells.length}, (_, i) => cells.get(i).toJSON());
}"""
# A kernel answers in order: when it has answered this, it has done all that was asked before.
# Twice, because a widget that is moved while the kernel is busy waits with its message.
SETTLE = """async () => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    for (let i = 0; i < 2; i++) {
        await kernel.requestKernelInfo();
        await new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)));
    }
}"""
CLOSE = """async () => {
    const { serviceManager, shell } = window.jupyterapp;
    await serviceManager.sessions.shutdownAll();
    for (const widget of [...shell.widgets('main')]) {
        if (widget.context) widget.context.model.dirty = false;
        widget.close();
    }
}"""
COMMAND = (
    "([name, args]) => window.jupyterapp.commands.execute(name, args).then(done => done ==="
    " undefined ? null : Boolean(done))"
)


class Notebook:
    """A notebook that is open in the browser, and its kernel."""

    def __init__(self, page, path: str):
        self.page, self.path = page, path
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    @classmethod
    def open(cls, page, server: Server, path: str, anew: bool = False) -> "Notebook":
        """Open `path` and wait for its kernel; in JupyterLab as it is there, or in one that is
        loaded `anew`, in a workspace of its own."""
        notebook = cls(page, path)
        if anew or not page.url.startswith(server.url):
            workspace = f"{server.url}lab/workspaces/t{time.time_ns()}"
            page.goto(f"{workspace}/tree/{path}?reset&token={server.token}")
        else:
            notebook.command("docmanager:open", path=path)
        notebook.panel.locator(".jp-Cell").first.wait_for()
        page.wait_for_function(READY)
        return notebook

    def command(self, name: str, **arguments):
        """What one of JupyterLab's own commands returns, as true, false or nothing."""
        return self.page.evaluate(COMMAND, [name, arguments])

    def run_all(self) -> None:
        """Run every cell, and let the widgets draw themselves."""
        self.command("notebook:run-all-cells")
        self.settle()

    def run(self, number: int) -> None:
        """Run one cell."""
        self.page.evaluate(
            "number => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = number }",
            number,
        )
        self.command("notebook:run-cell")
        self.settle()

    def write(self, number: int, source: str) -> None:
        """Put `source` into a cell, as if it were pasted, and run it."""
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+Enter")
        self.settle()

    def settle(self) -> None:
        """Wait until the kernel has done what the widgets asked for, and the page has drawn it."""
        self.page.evaluate(SETTLE)

    def dark(self) -> None:
        """Switch to JupyterLab's dark theme."""
        self.page.emulate_media(color_scheme="dark")
        self.page.locator("body[data-jp-theme-light='false']").wait_for(state="attached")

    @contextmanager
    def unrolled(self):
        """In a window so high that everything is in it: what is scrolled away is invisible to axe,
        and to a camera."""
        size = self.page.viewport_size
        height = self.panel.locator(".jp-WindowedPanel-outer").evaluate("area => area.scrollHeight")
        self.page.set_viewport_size(size | {"height": height + 200})
        yield
        self.page.set_viewport_size(size)

    def photograph(self, folder: Path, name: str) -> None:
        """Every cell that shows a picture, a table or a widget, as it looks now:
        `<notebook>-<cell>-<name>.png` in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for area in (
            self.panel.locator(".jp-Cell-outputArea")
            .filter(has=self.page.locator("img, table, .jupyter-widgets"))
            .all()
        ):
            number = int(
                area.evaluate("area => area.closest('.jp-Cell').dataset.windowedListIndex")
            )
            area.screenshot(
                path=folder
                / f"{self.path.replace('/', '-').removesuffix('.ipynb')}-{number:03}-{name}.png"
            )

    def shut_down(self) -> None:
        """Close what is open, unsaved, and end the kernel: the next notebook finds none."""
        self.page.evaluate(CLOSE)

    def cells(self) -> list[dict]:
        """The notebook's cells as they are now, in the notebook format."""
        return self.page.evaluate(CELLS)

    def cell(self, number: int):
        """A cell's place in the page; numbers begin with 0."""
        return self.panel.locator(f".jp-Cell[data-windowed-list-index='{number}']")

    def cell_with(self, source: str) -> int:
        """The number of the only code cell in which `source` stands."""
        found = [
            i
            for i, cell in enumerate(self.cells())
            if cell["cell_type"] == "code" and source in "".join(cell["source"])
        ]
        assert len(found) == 1, f"{source!r} stands in the cells {found} of {self.path}"
        return found[0]

    # ---- without a mouse ----

    def focused(self) -> str:
        """The text on what has the keyboard's focus, or its label."""
        return self.page.evaluate(
            "() => document.activeElement.ariaLabel ||"
            " document.activeElement.textContent.trim().slice(0, 80)"
        )

    def tab_to(self, found, backwards: bool = False, limit: int = 120) -> None:
        """Press Tab until `found`, a place in the page, has the focus. Raises AssertionError if it
        never gets it."""
        for _ in range(limit):
            if found.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Shift+Tab" if backwards else "Tab")
        raise AssertionError(
            f"{limit} presses of Tab do not lead there; the focus is now on {self.focused()!r}"
        )
