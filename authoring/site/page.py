"""The site in a headless Chromium: how it is started, and what a page of the site is asked to do. For tests and benchmarks."""

import os
import shutil

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = "needs Chromium: on Debian or Ubuntu, sudo apt-get install chromium"
# Its own background requests are switched off, so that what is seen on the network is the page's.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage"]
if hasattr(os, "geteuid") and os.geteuid() == 0:
    FLAGS.append("--no-sandbox")            # Chromium refuses to sandbox itself for root

SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell"
# Resolves when the notebook is shown, its kernel has answered and is waiting.
READY = """async () => {
  const app = window.jupyterapp; if (!app) return false;
  await app.restored;
  const context = app.shell.currentWidget?.context; if (!context?.sessionContext) return false;
  await context.ready; await context.sessionContext.ready;
  const kernel = context.sessionContext.session?.kernel; if (!kernel) return false;
  await kernel.info;
  return kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
# Runs one cell and resolves to its outputs when the kernel is done with it.
RUN = """async ([index, seconds]) => {
  const { content, context } = window.jupyterapp.shell.currentWidget;
  const cell = content.widgets[index];
  content.activeCellIndex = index;
  content.deselectAll();
  await Promise.race([window.jupyterapp.commands.execute('notebook:run-cell'),
                      new Promise((_, fail) => setTimeout(() => fail(new Error(`cell ${index} ran longer than ${seconds} s`)), 1000 * seconds))]);
  return { count: cell.model.sharedModel.execution_count, outputs: cell.model.outputs.toJSON() };
}"""


def address(server: str, notebook: str) -> str:
    """Where the site served at `server` opens a notebook."""
    return f"{server}/lab/index.html?path={notebook}"
