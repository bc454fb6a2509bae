"""`make test` against the least that running the notebooks can cost: starting their kernels, and
`jupyter execute` over the same notebooks."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat

from authoring.bench.table import Table
from authoring.execute import clean_environment

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 3600
WORKERS = 2


@dataclass
class Cost:
    """Seconds by the clock, and seconds of processors, those of all processes that were started
    taken together (0 on Windows)."""

    clock: float = 0
    processors: float = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.clock + other.clock, self.processors + other.processors)

    def __mul__(self, times: int) -> "Cost":
        return Cost(self.clock * times, self.processors * times)


def cost(command: list[str], **more) -> Cost:
    """What a command cost. Raises RuntimeError with the end of its output if it failed."""
    started, before = time.perf_counter(), os.times()
    ran = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
        **more,
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{ran.stdout[-2000:]}")
    after = os.times()
    used = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Cost(time.perf_counter() - started, used)


def bare(notebook: Path) -> Cost:
    """Running a notebook without comparing anything. The file stays as it is."""
    with tempfile.TemporaryDirectory() as private:
        return cost(
            [sys.executable, "-m", "jupyter", "execute", "--allow-errors", str(notebook)],
            env=clean_environment(Path(private)),
        )


def report(
    kernels: Cost, executed: dict[Path, Cost], compared: Cost, whole: Cost, load: float
) -> Table:
    """The table of what was measured; `load`: how busy the machine was before."""
    floor = sum(executed.values(), Cost())
    slowest = max(executed, key=lambda path: executed[path].clock)
    rows = [
        [
            name,
            f"{one.clock:.0f}",
            f"{one.processors:.0f}",
            f"{one.processors / floor.processors:.2f}" if floor.processors else "-",
        ]
        for name, one in (
            (f"an empty notebook, {len(executed)} times", kernels),
            ("`jupyter execute`, one notebook after the other", floor),
            (f"the notebooks under nbval, {WORKERS} at a time", compared),
            (f"`make test`, everything, {WORKERS} at a time", whole),
        )
    ]
    note = (
        f"{len(executed)} notebooks; the slowest alone, {slowest.parent.name}/{slowest.name}, takes"
        f" {executed[slowest].clock:.1f} s. The first two rows compare nothing; nbval compares"
        f" every output. {WORKERS} workers with a processor each cannot be quicker than 1/{WORKERS}"
        f" of the CPU seconds: {whole.processors / WORKERS:.0f} s for `make test`,"
        f" {floor.processors / WORKERS:.0f} s for running the notebooks alone. Load on the machine"
        f" before: {load:.1f}."
    )
    return Table(
        "The test suite",
        ["", "s", "CPU s", "CPU × `jupyter execute`"],
        rows,
        note,
        more=["nbval", "pytest", "pytest-xdist"],
    )


def run() -> list[Table]:
    notebooks = sorted(
        path
        for folder in ("notebooks", "exercises", "solutions")
        for path in (ROOT / folder).glob("*.ipynb")
    )
    if not notebooks:
        raise RuntimeError("there are no notebooks yet")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("")]), empty)
        kernels = bare(empty) * len(notebooks)
    executed = {path: bare(path) for path in notebooks}
    compared = cost(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            str(WORKERS),
            "--dist",
            "loadscope",
            *map(str, notebooks),
        ]
    )
    whole = cost(["make", "test", f"JOBS={WORKERS}"], env=os.environ | {"COURSE_MODE": "replay"})
    return [report(kernels, executed, compared, whole, load)]
