"""The hub of workshop/ under a class: what a learner costs, how long a start takes, and whether all
outputs are right.

    python -m authoring.bench.workshop --learners 3 notebooks/01_first_call.ipynb

Each learner does what a browser does: log in, wait for the server, fetch the page, its settings and
the notebook, start a kernel and send it every cell. The outputs are put together by nbclient and
compared with the committed ones. Servers and kernels all stay until the last learner is done; then
memory is read from /proc/*/smaps_rollup.
"""

import argparse
import copy
import json
import os
import re
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import nbformat
import psutil
import websocket
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete

from authoring.bench.table import Table

ROOT = Path(__file__).resolve().parents[2]
PROXY = ROOT / "workshop/node_modules/.bin/configurable-http-proxy"
PLAIN, FIGURES = "notebooks/01_first_call.ipynb", "notebooks/03_rate_limits_and_retries.ipynb"
# What JupyterLab asks for when it opens a notebook.
PAGE = (
    "lab",
    "api/me",
    "lab/api/settings",
    "lab/api/translations",
    "lab/api/workspaces/default",
    "api/kernelspecs",
    "api/terminals",
    "api/nbconvert",
    "api/contents/notebooks?content=1",
    f"api/contents/{PLAIN}?content=1&hash=1",
)
PATIENCE = 600.0  # seconds for one learner's start, and for one cell
MIB = 2**20


# ---- the hub -----------------------------------------------------------------------------------


@dataclass
class Hub:
    """A running hub: where it is, the token of the class's driver, and its process."""

    url: str
    token: str
    process: subprocess.Popen
    log: Path

    def http(self) -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url,
            headers={"authorization": f"token {self.token}"},
            timeout=PATIENCE,
            trust_env=False,
        )


@contextmanager
def running(folder: Path, environment: dict[str, str] | None = None):
    """workshop/jupyterhub_config.py as it is, on free ports of 127.0.0.1 and with its state in
    `folder`. Yields the Hub.

    Raises RuntimeError with the end of the hub's log if it does not start within a minute.
    """
    ports, token = _free_ports(3), secrets.token_hex(16)
    config = folder / "bench_config.py"
    config.write_text(
        f"""\
load_subconfig({str(ROOT / "workshop/jupyterhub_config.py")!r})
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}"
c.JupyterHub.hub_port = {ports[1]}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.JupyterHub.services = [*c.JupyterHub.services, {{"name": "driver", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [*c.JupyterHub.load_roles, {{"name": "driver", "services": ["driver"],
    "scopes": ["admin:users", "admin:servers", "access:servers"]}}]
""",
        encoding="utf-8",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")}
    kept |= {"CLASS_PASSWORD": secrets.token_hex(8), "HUB_STATE": str(folder / "state")} | (
        environment or {}
    )
    with open(folder / "hub.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder,
            env=kept,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    hub = Hub(f"http://127.0.0.1:{ports[0]}", token, process, folder / "hub.log")
    try:
        _until_it_answers(hub)
        yield hub
    finally:
        family = (
            [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            if process.poll() is None
            else []
        )
        process.send_signal(signal.SIGTERM)
        psutil.wait_procs(family, timeout=60)
        for one in family:  # kernels have sessions of their own: nothing may stay behind
            if one.is_running():
                one.kill()
        process.wait(10)


def _until_it_answers(hub: Hub) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and hub.process.poll() is None:
        try:
            if httpx2.get(hub.url + "/hub/health", trust_env=False, timeout=5).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the hub did not start: {hub.log.read_text(errors='replace')[-2000:]}")


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


# ---- a learner ---------------------------------------------------------------------------------


@dataclass
class Learner:
    """What one learner saw. Seconds: to a server, from there to a kernel, for all cells. wrong:
    cells whose output differs."""

    name: str
    start: float = 0.0
    kernel: float = 0.0
    run: float = 0.0
    wrong: list[str] = field(default_factory=list)


def learn(hub: Hub, name: str, path: str | None) -> Learner:
    """Log in, open the notebook at `path` (relative to the course), run it to its end. None: `1 +
    1` in a kernel, no more."""
    learner, began = Learner(name), time.monotonic()
    with hub.http() as http:
        if (made := http.post(f"/hub/api/users/{name}")).status_code != 409:  # 409: was here before
            made.raise_for_status()
        http.post(f"/hub/api/users/{name}/server").raise_for_status()
        while not (http.get(f"/hub/api/users/{name}").json()["servers"].get("", {}).get("ready")):
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"{name} has no server after {PATIENCE:g} s")
            time.sleep(0.25)
        for part in PAGE:
            http.get(f"/user/{name}/{part}").raise_for_status()
        learner.start, began = time.monotonic() - began, time.monotonic()
        answer = http.post(
            f"/user/{name}/api/sessions",
            json={
                "path": path or "new.ipynb",
                "name": "",
                "type": "notebook",
                "kernel": {"name": "python3"},
            },
        ).raise_for_status()
        kernel = answer.json()["kernel"]["id"]
    address = (
        f"{hub.url.replace('http', 'ws', 1)}/user/{name}/api/kernels/{kernel}/channels"
        f"?session_id={uuid.uuid4()}"
    )
    channel = websocket.create_connection(
        address, header=[f"Authorization: token {hub.token}"], timeout=PATIENCE
    )
    try:
        first = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
        execute(channel, first)
        learner.kernel, began = time.monotonic() - began, time.monotonic()
        if said(first.cells[0]) != [("2", "")]:
            learner.wrong.append(f"the first cell said {said(first.cells[0])}")
        if path:
            committed = nbformat.read(ROOT / path, as_version=4)
            mine = execute(channel, copy.deepcopy(committed))
            learner.wrong += [
                f"cell {number}"
                for number, (one, other) in enumerate(zip(mine.cells, committed.cells), 1)
                if compared(other) and said(one) != said(other)
            ]
            learner.run = time.monotonic() - began
    finally:
        channel.close()
    return learner


def execute(channel: websocket.WebSocket, notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Send every code cell over a kernel's websocket and collect its outputs, as nbclient does.
    Stops at no error."""
    outputs = NotebookClient(notebook, record_timing=False, store_widget_state=False)
    outputs.reset_execution_trackers()
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        cell.outputs, number = [], str(uuid.uuid4())
        outputs.clear_before_next_output = False  # nbclient's own loop sets it before each cell
        channel.send(
            json.dumps(
                {
                    "header": {
                        "msg_id": number,
                        "msg_type": "execute_request",
                        "username": "",
                        "session": "bench",
                        "version": "5.3",
                        "date": "",
                    },
                    "parent_header": {},
                    "metadata": {},
                    "channel": "shell",
                    "buffers": [],
                    "content": {
                        "code": cell.source,
                        "silent": False,
                        "store_history": True,
                        "allow_stdin": False,
                        "stop_on_error": False,
                    },
                }
            )
        )
        while True:
            message = json.loads(channel.recv())
            if message["channel"] != "iopub" or message["parent_header"].get("msg_id") != number:
                continue
            try:
                outputs.process_message(message, cell, index)
            except CellExecutionComplete:
                break
    return notebook


def compared(cell) -> bool:
    tags = cell.metadata.get("tags", [])
    return cell.cell_type == "code" and not {"nbval-ignore-output", "nbval-skip"} & set(tags)


def said(cell) -> list[tuple]:
    """What a cell's outputs say, without what differs on every run (pictures, widget ids, where a
    warning came from)."""
    streams, shown = {}, []
    for output in cell.outputs:
        if output.output_type == "stream":
            streams[output.name] = streams.get(output.name, "") + output.text
        elif output.output_type == "error":
            shown.append((output.ename, output.evalue))
        else:
            page = re.sub(
                r"data:image/png;base64,[A-Za-z0-9+/=\n]+",
                "PICTURE",
                output.data.get("text/html", ""),
            )
            shown.append((output.data.get("text/plain", ""), page))
    texts = [
        (name, re.sub(r"\S*ipykernel_\d+\S*\.py", "CELL", text))
        for name, text in sorted(streams.items())
    ]
    return texts + shown


# ---- a class -----------------------------------------------------------------------------------


@dataclass
class Class:
    """A class, measured: its learners, the seconds until the last one was done, and MiB (PSS) of
    each kind of process."""

    learners: list[Learner]
    seconds: float
    servers: list[float]
    kernels: list[float]
    hub: float
    load: float  # of the machine, in the minute before

    @property
    def each(self) -> float:
        return (sum(self.servers) + sum(self.kernels)) / len(self.learners)


def teach(count: int, at_once: int, path: str | None) -> Class:
    """`count` learners, `at_once` of them at the same time, on a hub of their own."""
    subprocess.run(
        ["make", "-s", "workshop/node_modules"], cwd=ROOT, check=True, stdout=sys.stderr
    )  # the hub's proxy, as `make hub` has it
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="workshop-", ignore_cleanup_errors=True) as folder,
        running(Path(folder)) as hub,
    ):
        began = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            learners = list(
                pool.map(lambda number: learn(hub, f"learner{number:02}", path), range(count))
            )
        seconds = time.monotonic() - began
        servers, kernels, rest = memory(hub.process.pid)
        if len(servers) != count or len(kernels) != count:
            raise RuntimeError(
                f"{count} learners, but {len(servers)} servers and {len(kernels)} kernels are"
                " running"
            )
    return Class(learners, seconds, servers, kernels, rest, load)


def memory(hub: int) -> tuple[list[float], list[float], float]:
    """MiB (PSS) of each kernel's server, of each kernel, and of all the rest: hub, proxy, services,
    what servers are forked from."""
    size = {
        one.pid: one.memory_full_info().pss / MIB
        for one in [psutil.Process(hub), *psutil.Process(hub).children(recursive=True)]
    }
    kernels = {pid for pid in size if "ipykernel" in " ".join(psutil.Process(pid).cmdline())}
    servers = {psutil.Process(pid).ppid() for pid in kernels}
    return (
        [size.pop(pid) for pid in servers],
        [size.pop(pid) for pid in kernels],
        sum(size.values()),
    )


def row(title: str, found: Class) -> list[str]:
    wrong = sum(bool(learner.wrong) for learner in found.learners)
    fit = int((24 * 1024 - found.hub) / found.each)
    return [
        title,
        _middle_and_last([one.start for one in found.learners]),
        _middle_and_last([one.kernel for one in found.learners]),
        _middle_and_last([one.run for one in found.learners]),
        f"{found.seconds:.0f}",
        f"{len(found.learners) - wrong} of {len(found.learners)}",
        f"{statistics.mean(found.servers):.0f} + {statistics.mean(found.kernels):.0f}",
        f"{found.each:.0f}",
        f"{found.hub:.0f}",
        str(fit),
        f"{found.load:.1f}",
    ]


def differing(learners: list[Learner]) -> str:
    """Which outputs differed, for the note; "" if none did."""
    found = Counter(cell for learner in learners for cell in learner.wrong)
    return ", ".join(
        f"{cell} ({times} of {len(learners)})" for cell, times in sorted(found.items())
    )


def _middle_and_last(values: list[float]) -> str:
    """p50 / p99; of so few, the 99th percentile is the slowest."""
    return f"{statistics.median(values):.1f} / {max(values):.1f}"


COLUMNS = [
    "",
    "server, s (p50 / p99)",
    "kernel, s",
    "all cells, s",
    "all done, s",
    "all outputs right",
    "server + kernel, MiB",
    "a learner, MiB",
    "hub and proxy, MiB",
    "learners in 24 GiB",
    "load before",
]
NOTE = (
    "The hub of `workshop/` on this machine, with the driver on the same cores. A server counts as"
    " there when page, settings and folder have been fetched; a kernel when it has answered a first"
    " cell. Memory is PSS from `/proc/*/smaps_rollup`, all servers and kernels alive. Outputs are"
    " compared with the committed ones. Aims: at most 150 MiB a learner without figures, 190 with;"
    " forty, six at a time, started in 90 s on two cores."
)


def run() -> list[Table]:
    plan = [
        ("20 at once, lesson 01 (two small figures)", 20, 20, PLAIN),
        ("20 at once, lesson 03 (figures)", 20, 20, FIGURES),
        ("40, six at a time, a server and a kernel", 40, 6, None),
    ]
    rows, note = [], NOTE
    for title, count, at_once, path in plan:
        found = teach(count, at_once, path)
        rows.append(row(title, found))
        if wrong := differing(found.learners):
            note += f" {title}: different were {wrong}."
    return [
        Table(
            "Workshop: a class on one hub",
            COLUMNS,
            rows,
            note,
            more=["jupyterhub", "jupyterlab", "jupyter_server", "ipykernel"],
        )
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.bench.workshop", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "notebook",
        nargs="?",
        help="relative to the course's folder; without one, a kernel and no lesson",
    )
    parser.add_argument("--learners", type=int, default=2)
    parser.add_argument("--at-once", type=int, help="default: all")
    asked = parser.parse_args(arguments)
    found = teach(asked.learners, asked.at_once or asked.learners, asked.notebook)
    print("\n".join(f"{name}: {value}" for name, value in zip(COLUMNS[1:], row("", found)[1:])))
    print(f"outputs that differ: {differing(found.learners) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
