"""How long the site in a browser tab takes until the first answer, and how big it is. Builds the
site anew.

A learner's way: open the first lesson, run its cells one by one until a model's answer is printed.
Once in a fresh profile (nothing cached), then again in new tabs of the same browser. Chromium, the
server and Python share this machine.
"""

import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import nbformat

from authoring.bench.table import Table
from authoring.site import page
from authoring.site.__main__ import build, server, size
from helpers.replay.storage import FOLDER, read

NOTEBOOK = "notebooks/01_first_call.ipynb"
ROUNDS, LATER, LONGEST = 5, 2, 120  # browsers, loads in each after its first, seconds for one step
PAUSE = 3  # seconds in which the browser clears up after a tab


def to_the_answer(site: Path) -> list[int]:
    """The code cells of the first lesson up to the one that prints an answer."""
    cells = nbformat.read(site / "files" / NOTEBOOK, as_version=4).cells
    last = next(
        index
        for index, cell in enumerate(cells)
        if cell.cell_type == "code" and "print(response" in cell.source
    )
    return [index for index in range(last + 1) if cells[index].cell_type == "code"]


def load(tab, url: str, cells: list[int]) -> list[float]:
    """Seconds from opening the address until: the notebook is shown, a cell has printed something,
    a model's answer is printed."""
    times, began = [], time.monotonic()
    tab.goto(url)
    tab.wait_for_selector(page.SHOWN, timeout=LONGEST * 1000)
    times.append(time.monotonic() - began)
    tab.wait_for_function(page.READY, timeout=LONGEST * 1000)
    for index in cells:
        outputs = tab.evaluate(page.RUN, [index, LONGEST])["outputs"]
        if outputs and len(times) == 1:
            times.append(time.monotonic() - began)
    if not outputs or outputs[0]["output_type"] != "stream":
        raise RuntimeError(
            f"cell {cells[-1]} of {NOTEBOOK} should print an answer and gave {outputs}"
        )
    return [*times, time.monotonic() - began]


def recorded() -> float:
    """The seconds that the first answer took when it was recorded; replay takes as long."""
    return read(FOLDER / f"{Path(NOTEBOOK).stem}.json")[0][0]["answers"][0]["seconds"]


def run() -> list[Table]:
    from playwright.sync_api import sync_playwright

    if page.CHROMIUM is None:
        raise RuntimeError(page.MISSING)
    before, first, later = os.getloadavg()[0], [], []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        site = build(Path(folder) / "site")
        cells, big = to_the_answer(site), size(site)
        with server(site) as running, sync_playwright() as playwright:
            threading.Thread(target=running.serve_forever, daemon=True).start()
            url = page.address(f"http://127.0.0.1:{running.server_port}", NOTEBOOK)
            for number in range(ROUNDS):
                browser = playwright.chromium.launch_persistent_context(
                    f"{folder}/profile{number}", executable_path=page.CHROMIUM, args=page.FLAGS
                )
                for kept in [first] + [later] * LATER:
                    tab = browser.new_page()
                    kept.append(load(tab, url, cells))
                    tab.close()
                    time.sleep(PAUSE)
                browser.close()
            running.shutdown()
    rows = [
        [
            title,
            *(
                f"{statistics.median(one):.1f} ({min(one):.1f}–{max(one):.1f})"
                for one in zip(*kept)
            ),
        ]
        for title, kept in (("nothing cached", first), ("later loads", later))
    ]
    note = (
        "Seconds from opening the lesson on this machine's own static server; median (least–most)"
        f" of {len(first)} fresh profiles and {len(later)} later loads in them. {recorded():.2f} s"
        " of the last column are the model's, as recorded. Aims for the first answer: 12 s and 6"
        f" s. The site: {big}. Load before: {before:.1f}."
    )
    return [
        Table(
            "In a browser tab",
            ["", "notebook shown", "first output", "first answer of a model"],
            rows,
            note,
            more=["jupyterlite-core", "jupyterlite-pyodide-kernel", "playwright"],
        )
    ]
