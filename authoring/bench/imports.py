"""What `import helpers` and `start()` cost beyond the two clients, which every lesson imports
anyway."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from authoring.bench.table import Table

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 7
CODE = """
import json, resource, sys, time
from huggingface_hub import InferenceClient
import openai
def memory():
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1024 * 1024 if sys.platform == "darwin" else 1024)
found, before, at = [], memory(), time.perf_counter()
import helpers
found.append((time.perf_counter() - at, memory() - before))
before, at = memory(), time.perf_counter()
session = helpers.start("01_first_call")
found.append((time.perf_counter() - at, memory() - before))
heavy = ("matplotlib", "ipywidgets", "numpy", "IPython", "authoring")
used = [name for name in heavy if name in sys.modules]
print(json.dumps([found, used]))
"""


def run() -> list[Table]:
    environment = os.environ | {"COURSE_MODE": "replay", "HF_HUB_DISABLE_TELEMETRY": "1"}
    found, used = [], []
    for _ in range(ROUNDS):
        out = subprocess.run(
            [sys.executable, "-c", CODE],
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        ).stdout
        costs, used = json.loads(out.splitlines()[-1])
        found.append(costs)
    rows = []
    for place, name in enumerate(["`import helpers`", '`start("01_first_call")`']):
        times, sizes = (
            [costs[place][0] * 1e3 for costs in found],
            [costs[place][1] for costs in found],
        )
        rows.append(
            [
                name,
                f"{statistics.median(times):.1f} ({min(times):.1f}–{max(times):.1f})",
                f"{statistics.median(sizes):.1f}",
            ]
        )
    return [
        Table(
            "Import cost beyond the two clients",
            ["", "ms", "MB"],
            rows,
            f"After `InferenceClient` and `openai` are imported; median (least–most) of {ROUNDS}"
            " processes, peak memory. Of Matplotlib, ipywidgets, NumPy and IPython then imported:"
            f" {', '.join(used) or 'none'}. Aim for `import helpers`: at most 50 ms and 10 MB.",
        )
    ]
