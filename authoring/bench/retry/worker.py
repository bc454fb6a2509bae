"""One strategy in a process of its own: gets ready, says so, waits for a line on stdin, makes its
calls, prints JSON."""

import asyncio
import importlib
import json
import logging
import os
import sys
import threading
import time

from authoring.bench.retry.strategies import ASYNC, SYNC


def main(strategy: str, url: str, calls: int, workers: int, asynchronous: bool) -> None:
    logging.disable(logging.CRITICAL)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = (
        "1"  # its look-up would be part of the first call: 5 s where no network answers
    )
    call = (ASYNC if asynchronous else SYNC)[strategy](url)
    for module in (
        "huggingface_hub.inference._client",
        "openai.resources.chat",
        "openai._exceptions",
    ):
        importlib.import_module(module)  # otherwise the first call would load them
    print("ready", flush=True)
    sys.stdin.readline()
    started, cpu = time.monotonic(), time.process_time()
    if asynchronous:
        outcomes = asyncio.run(call(calls))
    else:
        outcomes, todo = [], iter(range(calls))
        lock = threading.Lock()

        def work():
            while True:
                with lock:
                    if next(todo, None) is None:
                        return
                begun, error = time.monotonic(), ""
                try:
                    call()
                except Exception as problem:
                    error = type(problem).__name__
                outcomes.append((time.monotonic() - begun, error))

        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(
        json.dumps(
            {
                "outcomes": outcomes,
                "wall": time.monotonic() - started,
                "cpu": time.process_time() - cpu,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "async")
