"""`make test` against the least that running the notebooks can cost: `jupyter execute` over the same notebooks."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from authoring.bench.table import Table
from authoring.execute import clean_environment

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 3600


def seconds(command: list[str], **more) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST, **more)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{ran.stdout[-2000:]}")
    return time.perf_counter() - started


def run() -> list[Table]:
    notebooks = sorted(path for folder in ("notebooks", "exercises", "solutions") for path in (ROOT / folder).glob("*.ipynb"))
    if not notebooks:
        raise RuntimeError("there are no notebooks yet")
    with tempfile.TemporaryDirectory() as private:
        bare = {path: seconds([sys.executable, "-m", "jupyter", "execute", "--allow-errors", str(path)], env=clean_environment(Path(private)))
                for path in notebooks}
    only = seconds([sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", *[str(path) for path in notebooks]])
    whole = seconds(["make", "test"], env=os.environ | {"COURSE_MODE": "replay"})
    floor = sum(bare.values())
    rows = [["bare `jupyter execute`, one after the other", f"{floor:.0f}", "1.00"],
            ["the notebooks under nbval, two at a time", f"{only:.0f}", f"{only / floor:.2f}"],
            ["`make test`, everything", f"{whole:.0f}", f"{whole / floor:.2f}"]]
    slowest = max(bare, key=bare.get)
    return [Table("The test suite", ["", "s", "× bare"], rows,
                  f"{len(notebooks)} notebooks; the slowest alone, {slowest.parent.name}/{slowest.name}, takes {bare[slowest]:.1f} s. "
                  "nbval compares every output; bare execution compares nothing.", more=["nbval", "pytest"])]
