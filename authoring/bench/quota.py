"""Thirty live kernels behind one token: each on its own, and through the class's server.

Every learner is a process of its own, in a mode of the course, with the client of the lessons; the
service is a stand-in on a socket of this machine, with the fault lab's rate limit. All begin at the
same moment. Of a learner's calls some are the lesson's, the same for everybody; the others are the
learner's own.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from authoring.bench.table import Table
from authoring.classroom.app import Classroom, create_app
from authoring.practice_server.faults import Faults, Trouble
from helpers.exercises.chat_format import chat_body, counted
from helpers.faults import FixedWindow
from helpers.tokens import PRACTICE_TOKEN

ROOT = Path(__file__).resolve().parents[2]
LEARNERS, SAME, OWN = 30, 14, 6  # calls of the lesson, and calls of the learner's own
TOGETHER = 5  # processes that start at the same time
QUOTA, WINDOW, LATENCY = 100, 10, (0.2, 0.4)
CONTENDERS = {
    "each on its own, no retry": (False, None),
    "each on its own, with the course's retry": (True, None),
    "through the class's server, nothing kept": (True, False),
    "through the class's server": (True, True),
}


# ---- a learner: `python -m authoring.bench.quota NUMBER RETRY` ---------------------------------


def learn(number: int, retry: bool) -> None:
    """Wait for a line on stdin, make the calls one after another, print [[seconds, answered], …] as
    JSON."""
    from huggingface_hub import InferenceClient

    from helpers import start
    from helpers.retry import RetryPolicy

    start("00_quota", "practice")
    client, policy, found = InferenceClient(timeout=120), RetryPolicy(), []
    if retry:
        policy.watch(client)
    print("ready", flush=True)
    sys.stdin.readline()
    for call in range(SAME + OWN):
        said = (
            f"question {call} of the lesson"
            if call < SAME
            else f"question {call} of learner {number}"
        )
        asked, began = [{"role": "user", "content": said}], time.perf_counter()
        try:
            if retry:
                policy.call(client.chat_completion, asked, model="a/b", max_tokens=20)
            else:
                client.chat_completion(asked, model="a/b", max_tokens=20)
            answered = True
        except Exception:
            answered = False
        found.append([time.perf_counter() - began, answered])
    print(json.dumps(found), flush=True)


# ---- the service and the class -----------------------------------------------------------------


async def _chat(request: Request) -> JSONResponse:
    return JSONResponse(chat_body("yes", "a/b", usage=counted(5, 1)))


def service() -> Faults:
    """The stand-in: answers after LATENCY seconds, QUOTA calls in WINDOW seconds. `seen` lists what
    came."""
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", _chat, methods=["POST"]),
            Route("/health", lambda request: JSONResponse({})),
        ]
    )
    return Faults(app, Trouble(rate_limit=FixedWindow(QUOTA, WINDOW), latency=LATENCY, seed=1))


@contextmanager
def served(app):
    """Run an ASGI app on a free port of 127.0.0.1; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


def _until_ready(process: subprocess.Popen) -> None:
    for line in process.stdout:
        if line.strip() == "ready":
            return
    raise RuntimeError(f"a learner's process ended with {process.wait()} before it began")


def measure(retry: bool, keeping: bool | None, learners: int = LEARNERS) -> dict:
    """One class; keeping : None for no class's server at all."""
    with ExitStack() as stack:
        stand_in = service()
        address, classroom = stack.enter_context(served(stand_in)), None
        if keeping is not None:
            classroom = Classroom(PRACTICE_TOKEN, address, keeping=keeping)
            address = stack.enter_context(served(create_app(classroom)))
        environment = os.environ | {"COURSE_PRACTICE_URL": address, "HF_HUB_DISABLE_TELEMETRY": "1"}
        processes = []
        for number in range(learners):
            command = [sys.executable, "-m", "authoring.bench.quota", str(number), str(int(retry))]
            processes.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(processes[-1].kill)
            if (
                number % TOGETHER == TOGETHER - 1 or number == learners - 1
            ):  # thirty Pythons at once would starve the server
                for process in processes[number // TOGETHER * TOGETHER :]:
                    _until_ready(process)
        began = time.perf_counter()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        calls = [json.loads(process.communicate(timeout=600)[0]) for process in processes]
        seconds = time.perf_counter() - began
    return {
        "calls": calls,
        "seconds": seconds,
        "requests": len(stand_in.seen),
        "refused": sum(one.status == 429 for one in stand_in.seen),
        "kept": classroom.counts["kept"] if classroom else 0,
    }


def row(title: str, found: dict) -> list[str]:
    waits = sorted(seconds for learner in found["calls"] for seconds, _ in learner)
    whole = [sum(seconds for seconds, _ in learner) for learner in found["calls"]]
    failed = sum(not answered for learner in found["calls"] for _, answered in learner)
    return [
        title,
        f"{found['requests'] / len(waits):.2f}",
        str(found["refused"]),
        str(found["kept"]),
        f"{failed} of {len(waits)}",
        f"{found['seconds']:.0f}",
        f"{statistics.median(waits):.1f} / {waits[int(0.99 * (len(waits) - 1))]:.1f}",
        f"{min(whole):.0f} / {statistics.median(whole):.0f} / {max(whole):.0f}",
    ]


def run() -> list[Table]:
    load = os.getloadavg()[0]
    rows = [row(title, measure(*how)) for title, how in CONTENDERS.items()]
    return [
        Table(
            "Shared quota: thirty kernels, one token",
            [
                "",
                "requests at the service, a call",
                "refused",
                "from what was kept",
                "calls that failed",
                "all done, s",
                "a call, s (p50 / p99)",
                "a learner, s (first / middle / last)",
            ],
            rows,
            f"{LEARNERS} processes, each {SAME} calls that all of them make and {OWN} of its own,"
            f" one after another, begun together; a stand-in that answers in {LATENCY[0]:g} to"
            f" {LATENCY[1]:g} s and lets {QUOTA} calls pass in {WINDOW} s, over sockets of one"
            " machine. A learner's retry is `RetryPolicy()` of helpers/retry, also behind the"
            f" class's server. Load of the machine before: {load:.1f}.",
            more=["starlette", "uvicorn"],
        )
    ]


if __name__ == "__main__":
    learn(int(sys.argv[1]), sys.argv[2] == "1")
