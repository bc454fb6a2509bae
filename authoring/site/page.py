"""JupyterLab in a headless Chromium, from a server or as the site: how the browser is started, and
what a page is asked to do.

For tests and benchmarks.
"""

import os
import shutil

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
MISSING = "needs Chromium: on Debian or Ubuntu, sudo apt-get install chromium"
# Its own background requests are switched off, so that what is seen on the network is the page's.
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
]
if hasattr(os, "geteuid") and os.geteuid() == 0:
    FLAGS.append("--no-sandbox")  # Chromium refuses to sandbox itself for root

SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell"
# Resolves when the notebook's kernel has answered and is waiting; an indicator that says "idle" is
# shown before that. It asks again by itself, because Playwright takes any promise for a yes,
# whatever comes out of it.
READY = """async () => {
  for (;; await new Promise(done => setTimeout(done, 50))) {
    const app = window.jupyterapp; if (!app) continue;
    await app.restored;
    const context = app.shell.currentWidget?.context; if (!context?.sessionContext) continue;
    await context.ready; await context.sessionContext.ready;
    const kernel = context.sessionContext.session?.kernel; if (!kernel) continue;
    await kernel.info;
    if (kernel.connectionStatus === 'connected' && kernel.status === 'idle') return true;
  }
}"""
# Runs one cell and resolves to its outputs when the kernel is done with it.
RUN = """async ([index, seconds]) => {
  const { content, context } = window.jupyterapp.shell.currentWidget;
  const cell = content.widgets[index];
  content.activeCellIndex = index;
  content.deselectAll();
  await Promise.race([window.jupyterapp.commands.execute('notebook:run-cell'),
                      new Promise((_, fail) => setTimeout(
                        () => fail(new Error(`cell ${index} ran longer than ${seconds} s`)),
                        1000 * seconds))]);
  return { count: cell.model.sharedModel.execution_count, outputs: cell.model.outputs.toJSON() };
}"""


def address(server: str, notebook: str) -> str:
    """Where the site served at `server` opens a notebook."""
    return f"{server}/lab/index.html?path={notebook}"
