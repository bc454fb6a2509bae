"""Retry strategies side by side: `python -m authoring.bench.retry [--scenario A E …] [--quick]`.

Every strategy is a process of its own and has a quota of its own at one local server; all of a
scenario start together. Each scenario runs three times, and the table shows the median of each
figure.

    ok %    calls that were answered
    req/N   requests at the server for each call
    wall    seconds from start to end, in the strategy's process
    w/min   seconds at the server, from the first request to the last answer, over the least
            possible with as many workers
            (somebody who knows the windows and is never refused). Read it only where ok is 100:
            giving up early is quick.
    p50 p99 seconds that an answered call took, waits included
    429     requests refused for the rate limit
    5xx     other failures of the server, resets among them
    cpu     seconds of processor time in the strategy's process
"""

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

from authoring.bench.retry.strategies import ASYNC, SYNC
from authoring.bench.retry.world import Rules, least_seconds

# name: (what it is, rules, calls, workers, asynchronous)
SCENARIOS = {
    "A": ("20 requests in 2 s, 8 threads", {"quota": 20}, 200, 8, False),
    "A15": ("80 in 15 s, 8 threads", {"quota": 80, "window": 15}, 240, 8, False),
    "E": ("overload: 10 in 2 s, 16 threads", {"quota": 10}, 120, 16, False),
    "silent": ("20 in 2 s, no header says so", {"quota": 20, "say": "nothing"}, 200, 8, False),
    "down": ("20 in 2 s, seconds rounded down", {"quota": 20, "rounding": "down"}, 200, 8, False),
    "first": (
        "20 in 2 s, windows begin with a request",
        {"quota": 20, "kind": "first"},
        200,
        8,
        False,
    ),
    "bucket": (
        "token bucket, 20 deep, 10 a second",
        {"quota": 20, "kind": "bucket"},
        200,
        8,
        False,
    ),
    "C25": (
        "cold start of 25 s that says 20, 8 threads",
        {"cold": 25, "estimate": 20},
        50,
        8,
        False,
    ),
    "D": ("5 % of 502, 503 and resets, 8 threads", {"errors": 0.05}, 200, 8, False),
    "gather": ("20 in 2 s, 200 asyncio tasks at once", {"quota": 20}, 200, 200, True),
    "HF300": (
        "the Hub's window, 500 in 300 s, 8 threads",
        {"quota": 500, "window": 300},
        600,
        8,
        False,
    ),
    "F": ("outage: every answer is 503, 40 calls, 8 threads", {"down": True}, 40, 8, False),
}
LONG = ["HF300", "F"]  # minutes of waiting, hardly any work: they run at the same time
QUICK = ["A", "E", "silent", "down", "bucket", "D", "gather"]
COLUMNS = (
    f"{'strategy':23}{'ok %':>6} {'req/N':>6} {'wall':>7} {'w/min':>6} {'p50':>6} {'p99':>7}"
    f" {'429':>5} {'5xx':>5} {'cpu':>5}  errors"
)


def run(name: str, repetition: int, only: list[str] | None) -> dict[str, dict]:
    """One run of a scenario: {strategy: figures}."""
    _, rules, calls, workers, asynchronous = SCENARIOS[name]
    rules = rules | {
        "phase": random.Random(f"{name}-{repetition}").random() * rules.get("window", 2),
        "seed": repetition,
    }
    strategies = {
        f"s{i}": s
        for i, s in enumerate(ASYNC if asynchronous else SYNC)
        if not only or any(o in s for o in only)
    }
    if rules.get("down"):  # 40 calls, one after the other, each of which sleeps for a minute
        strategies = {slot: s for slot, s in strategies.items() if not s.endswith("1 thread")}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            process("server", json.dumps(dict.fromkeys(strategies, rules)))
        )
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        running = {}
        for slot, strategy in strategies.items():
            threads = 1 if strategy.endswith("1 thread") else workers
            running[slot] = stack.enter_context(
                process(
                    "worker",
                    strategy,
                    f"{url}/{slot}/v1",
                    str(calls),
                    str(threads),
                    "async" if asynchronous else "threads",
                )
            )
        for worker in running.values():
            worker.stdout.readline()
        for worker in running.values():
            worker.stdin.write("go\n")
            worker.stdin.flush()
        with ThreadPoolExecutor(len(running)) as pool:
            answers = dict(
                zip(
                    running,
                    pool.map(lambda worker: json.loads(worker.stdout.readline()), running.values()),
                )
            )
        return {
            strategies[slot]: figures(name, rules, strategies[slot], answer, seen(url, slot))
            for slot, answer in answers.items()
        }


@contextlib.contextmanager
def process(module: str, *args: str):
    running = subprocess.Popen(
        [sys.executable, "-m", f"authoring.bench.retry.{module}", *args],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def seen(url: str, slot: str) -> list[tuple[float, int]]:
    with urllib.request.urlopen(f"{url}/{slot}/seen", timeout=30) as answer:
        return json.load(answer)


def figures(name: str, rules: dict, strategy: str, answer: dict, requests: list) -> dict:
    _, _, calls, workers, asynchronous = SCENARIOS[name]
    workers = 1 if strategy.endswith("1 thread") else 8 if asynchronous else workers
    good = sorted(seconds for seconds, error in answer["outcomes"] if not error)
    answered = [moment for moment, status in requests if status == 200]
    least = least_seconds(Rules(**rules), calls, workers)
    return {
        "ok": 100 * len(good) / calls,
        "req": len(requests) / calls,
        "wall": answer["wall"],
        "w/min": (answered[-1] + Rules().latency) / least if answered else float("nan"),
        "p50": good[len(good) // 2] if good else float("nan"),
        "p99": good[int(0.99 * (len(good) - 1))] if good else float("nan"),
        "429": sum(status == 429 for _, status in requests),
        "5xx": sum(status in (0, 502, 503) for _, status in requests),
        "cpu": answer["cpu"],
        "errors": Counter(error for _, error in answer["outcomes"] if error),
    }


def table(runs: list[dict[str, dict]]) -> str:
    lines = [COLUMNS]
    for strategy in runs[0]:
        rows = [run[strategy] for run in runs]
        mid = {
            key: statistics.median(row[key] for row in rows) for key in rows[0] if key != "errors"
        }
        errors = ", ".join(
            f"{kind} {count}"
            for kind, count in sum((row["errors"] for row in rows), Counter()).most_common()
        )
        lines.append(
            f"{strategy:23}{mid['ok']:6.1f} {mid['req']:6.2f} {mid['wall']:7.2f}"
            f" {mid['w/min']:6.3f} {mid['p50']:6.2f} {mid['p99']:7.2f} {mid['429']:5.0f}"
            f" {mid['5xx']:5.0f} {mid['cpu']:5.2f}  {errors}".rstrip()
        )
    return "\n".join(lines)


def overhead() -> str:
    """Microseconds that each wrapper adds to a call that succeeds at once: the best of 7 times 2000
    calls."""
    import backoff
    import stamina
    import tenacity

    from helpers.retry import RetryPolicy

    async def anothing():
        pass

    def per_call(work):
        def once():
            started = time.perf_counter()
            work()
            return (time.perf_counter() - started) / 2000 * 1e6

        return min(once() for _ in range(7))

    async def loop(function):
        for _ in range(2000):
            await function()

    wrappers = {
        "backoff": backoff.on_exception(backoff.expo, OSError),
        "tenacity": tenacity.retry(reraise=True),
        "stamina": stamina.retry(on=OSError),
        "ours": RetryPolicy(),
    }
    sync, asynchronous = (
        per_call(lambda: [0 for _ in range(2000)]),
        per_call(lambda: asyncio.run(loop(anothing))),
    )
    lines = [f"{'wrapper':23}{'sync':>7}{'async':>8}"]
    for name, wrap in wrappers.items():
        function, coroutine = wrap(lambda: 0), wrap(anothing)
        a, b = (
            per_call(lambda one=function: [one() for _ in range(2000)]) - sync,
            per_call(lambda one=coroutine: asyncio.run(loop(one))) - asynchronous,
        )
        lines.append(f"{name:23}{a:7.1f}{b:8.1f}")
    return "\n".join(lines)


def busy() -> str:
    """How busy the machine was with other things before the start; figures from a busy machine are
    noisy."""
    if not hasattr(os, "getloadavg"):  # Windows
        return ""
    return f"Load before the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, help="only these")
    parser.add_argument(
        "--strategy",
        nargs="+",
        metavar="WORD",
        help="only strategies with one of these words in their name",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"one run each of {', '.join(QUICK)}; writes no file"
    )
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    names, repeat = (
        args.scenario or (QUICK if args.quick else list(SCENARIOS)),
        1 if args.quick else args.repeat,
    )
    whole = not (args.scenario or args.quick or args.strategy)
    packages = ["huggingface_hub", "openai", "httpx2", "tenacity", "stamina", "backoff"]
    out = [
        f"# Retry strategies side by side, {datetime.date.today()}",
        "",
        (
            f"Python {platform.python_version()}, {platform.system()},"
            f" {', '.join(f'{p} {version(p)}' for p in packages)}. Medians of {repeat}; a server"
            " and all strategies on one machine, over a local socket."
        ),
        "",
        __doc__.split("\n\n", 2)[2].rstrip(),
    ]
    print(*out, sep="\n")
    groups = [[name] for name in names if name not in LONG] + [
        [name for name in names if name in LONG]
    ]
    for group in filter(None, groups):
        runs, load = {name: [] for name in group}, busy()
        for repetition in range(repeat):
            with ThreadPoolExecutor(len(group)) as pool:
                once = partial(run, repetition=repetition, only=args.strategy)
                for name, result in zip(group, pool.map(once, group)):
                    runs[name].append(result)
        for name in group:
            text = f"\n## {name}: {SCENARIOS[name][0]}\n\n{load}```text\n{table(runs[name])}\n```"
            print(text, flush=True)
            out.append(text)
    text = f"\n## Overhead, microseconds a call\n\n```text\n{overhead()}\n```"
    print(text)
    out.append(text)
    if whole:
        path = Path(__file__).parents[1] / f"retry_{datetime.date.today()}.md"
        path.write_text("\n".join(out) + "\n", encoding="utf-8")
        print(f"\nwritten to {path.name}")


if __name__ == "__main__":
    main()
