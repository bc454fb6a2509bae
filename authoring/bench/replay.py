"""What one replayed call costs: ours, the least possible, and two libraries that replay too, on the
same answers.

Each contender runs in a process of its own, in turn, several rounds. A process asks again and again
for ten requests, spread evenly over the recording (a search from the top finds the last ones late),
through `InferenceClient().chat_completion`, and checks every answer. What counts is the fastest of
each request's repeats, when nothing else on the machine got in its way, averaged over the ten.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from authoring.bench.table import Table
from helpers.exercises.chat_format import chat_body, counted

ROOT = Path(__file__).resolve().parents[2]
URL = "https://router.huggingface.co/v1/chat/completions"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
COUNTS = (10, 10_000)
CONTENDERS = ("floor", "ours", "vcrpy", "pycachy")
ROUNDS, REPEATS, SECONDS = (
    5,
    40,
    5.0,
)  # a process repeats so often, or twice if that takes so many seconds
HEADERS = {"content-type": "application/json"}


def messages(n: int) -> list[dict]:
    return [
        {
            "role": "user",
            "content": f"Question {n}: " + "why is the sky blue, and since when? " * 52,
        }
    ]


def request(n: int) -> dict:
    """The JSON body that InferenceClient sends: 2 kB."""
    return {"model": MODEL, "messages": messages(n), "stream": False}


def answer(n: int) -> dict:
    """The JSON body that comes back: 2 kB."""
    said = f"{n}: " + "because of how light is scattered. " * 48
    made = {"id": f"chatcmpl-{n}", "created": 1, "system_fingerprint": "x"}
    return chat_body(said, "small model", usage=counted(500, 400), **made)


def content(value: dict) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# ---- the contenders: each a context in which a call is answered --------------------------------


@contextlib.contextmanager
def floor(folder: Path, count: int):
    """The same client on a bare MockTransport that always gives the same bytes: no look-up at
    all."""
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import hf_request_event_hook

    body = content(answer(0))
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, headers=HEADERS, content=body)
    )
    set_client_factory(
        lambda: httpx2.Client(
            transport=transport,
            event_hooks={"request": [hf_request_event_hook]},
            follow_redirects=True,
            timeout=None,
        )
    )
    yield


@contextlib.contextmanager
def ours(folder: Path, count: int):
    from helpers import session
    from helpers.replay import storage

    storage.write(
        folder / "bench.json",
        [
            {
                "request": {"method": "POST", "url": URL, "json": request(n)},
                "answers": [
                    {
                        "status": 200,
                        "seconds": 0.5,
                        "headers": HEADERS,
                        "answered_by": {"model": "small model"},
                        "json": answer(n),
                    }
                ],
            }
            for n in range(count)
        ],
    )
    session.FOLDER = folder
    os.environ["COURSE_PACE"] = "0"
    started = session.Session("bench")
    started.begin()
    yield
    started.stop()


@contextlib.contextmanager
def vcrpy(folder: Path, count: int):
    import vcr
    from vcr.request import Request
    from vcr.serialize import serialize
    from vcr.serializers import jsonserializer

    made = {
        "requests": [Request("POST", URL, content(request(n)), {}) for n in range(count)],
        "responses": [
            {
                "status": {"code": 200, "message": "OK"},
                "headers": {name: [value] for name, value in HEADERS.items()},
                "body": {"string": content(answer(n)).decode()},
            }
            for n in range(count)
        ],
    }
    (folder / "bench.json").write_text(serialize(made, jsonserializer))
    with vcr.VCR(
        serializer="json", record_mode="none", match_on=["method", "uri", "body"]
    ).use_cassette(str(folder / "bench.json"), allow_playback_repeats=True):
        yield


@contextlib.contextmanager
def pycachy(folder: Path, count: int):
    import httpx2
    from cachy import core

    lines = []
    for n in range(count):
        sent = httpx2.Request(
            "POST",
            URL,
            headers={"content-type": "application/json", "accept": "*/*"},
            content=content(request(n)),
        )
        lines.append(
            json.dumps(
                {
                    "key": core._key(sent, is_stream=True),
                    "response": content(answer(n)).decode(),
                    "headers": HEADERS,
                    "status_code": 200,
                    "binary": False,
                }
            )
        )
    (folder / "cachy.jsonl").write_text("\n".join(lines) + "\n")
    core.enable_cachy(cache_dir=folder, doms=("router.huggingface.co",))
    yield
    core.disable_cachy()


def measure(contender: str, count: int) -> float:
    """Seconds for one call."""
    from huggingface_hub import InferenceClient

    numbers = [count * tenth // 10 for tenth in range(10)]
    fastest = dict.fromkeys(numbers, float("inf"))
    with tempfile.TemporaryDirectory() as folder, globals()[contender](Path(folder), count):
        client, began = InferenceClient(api_key="hf_" + "x" * 30), time.perf_counter()
        for repeat in range(REPEATS):
            for n in numbers:
                asked = messages(n)
                started = time.perf_counter()
                said = client.chat_completion(asked, model=MODEL).choices[0].message.content
                fastest[n] = min(fastest[n], time.perf_counter() - started)
                if contender != "floor" and not said.startswith(f"{n}: "):
                    raise RuntimeError(
                        f"{contender} gave a wrong answer: {said[:40]!r} to question {n}"
                    )
            if repeat and time.perf_counter() - began > SECONDS:
                break
    return statistics.mean(fastest.values())


def run() -> list[Table]:
    found: dict[tuple[str, int], list[float]] = {}
    environment = os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1"}
    for _ in range(ROUNDS):
        for count in COUNTS:
            for contender in CONTENDERS:
                command = [sys.executable, "-m", "authoring.bench.replay", contender, str(count)]
                out = subprocess.run(
                    command,
                    cwd=ROOT,
                    env=environment,
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                    timeout=300,
                ).stdout
                found.setdefault((contender, count), []).append(float(out.split()[-1]))
    medians = {key: statistics.median(times) for key, times in found.items()}
    names = {
        "floor": "the same client on a bare `MockTransport` (the floor)",
        "ours": "this course",
        "vcrpy": "vcrpy",
        "pycachy": "pycachy",
    }
    rows = []
    for contender in CONTENDERS:
        cells = [names[contender]]
        for count in COUNTS:
            # In each round against the floor of that round: what else the machine did meanwhile
            # weighs on both.
            ratios = [
                time / least for time, least in zip(found[contender, count], found["floor", count])
            ]
            cells += [
                f"{medians[contender, count] * 1e3:.3f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
            ]
        rows.append(
            [*cells, f"{medians[contender, COUNTS[1]] / medians[contender, COUNTS[0]]:.2f}"]
        )
    few, many = (f"{count:,}" for count in COUNTS)
    return [
        Table(
            "Replay: one call",
            [
                "",
                f"ms, {few} recorded",
                "× floor",
                f"ms, {many} recorded",
                "× floor",
                f"{many} / {few}",
            ],
            rows,
            "`InferenceClient().chat_completion`, sync, JSON body of 2 kB each way. Median of"
            f" {ROUNDS} rounds, in each a process of its own per cell, in turn: ten requests spread"
            f" evenly over the recording, the fastest of up to {REPEATS} repeats of each, averaged."
            " × floor: median of the rounds' ratios (least–most). The floor looks nothing up and"
            " keeps no log. Aim: at most 1.10 × floor, flat, ahead of both peers.",
            more=["vcrpy", "pycachy"],
        )
    ]


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2])))
