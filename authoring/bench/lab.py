"""How long `make lab` takes until its server answers, when everything is installed already."""

import os
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

import httpx2

from authoring.bench.table import Table

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, LONGEST = 3, 120


def second_start() -> float:
    """Seconds from `make lab` to the first answer of the server; raises RuntimeError if there is
    none."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (
        f"LAB_ARGS=--no-browser --ServerApp.port={port} --ServerApp.ip=127.0.0.1"
        " --IdentityProvider.token="
    )
    started = time.perf_counter()
    lab = subprocess.Popen(
        ["make", "lab", arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with httpx2.Client(trust_env=False, timeout=1) as client:
            while time.perf_counter() - started < LONGEST:
                try:
                    if client.get(f"http://127.0.0.1:{port}/api/status").status_code == 200:
                        return time.perf_counter() - started
                except httpx2.HTTPError:
                    if lab.poll() is not None:
                        raise RuntimeError(f"`make lab` ended with {lab.returncode}") from None
                    time.sleep(0.05)
    finally:
        if lab.poll() is None:
            os.killpg(lab.pid, signal.SIGTERM)
            lab.wait(30)
    raise RuntimeError(f"no answer from `make lab` in {LONGEST} s")


def run() -> list[Table]:
    second_start()  # the first may have to install
    times = [second_start() for _ in range(ROUNDS)]
    row = [
        "`make lab`, second start",
        f"{statistics.median(times):.1f} ({min(times):.1f}–{max(times):.1f})",
    ]
    return [
        Table(
            "JupyterLab",
            ["", "s"],
            [row],
            f"Until the server answers; median (least–most) of {ROUNDS}.",
            more=["jupyterlab"],
        )
    ]
