"""Threads, virtual time and asyncio in a browser tab (helpers/browser/threads.py): in Chromium, on
the built site, against what CPython does here."""

import asyncio
import inspect
import json
import os
import shutil
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import test_clock
from site_fixtures import Tab

from authoring.site.__main__ import server

pytest_plugins = ["site_fixtures"]

NOTEBOOK = "notebooks/03_rate_limits_and_retries.ipynb"
# What both say about the same work: `test_clock` has it. Rounded, because a tab's clock begins near
# zero and has more digits left.
SAME = textwrap.dedent("""
    import asyncio, json, queue, random, threading, time
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
    from helpers.faults.clock import EPOCH, VirtualClock

    def rounded(what):
        if isinstance(what, float):
            return round(what, 3) % 1
        return [rounded(part) for part in what] if isinstance(what, (list, tuple)) else what

    def waits():
        moments = []
        with VirtualClock() as clock:
            event = threading.Event()
            moments.append((event.wait(5), clock.time()))
            threading.Thread(target=lambda: (time.sleep(2), event.set())).start()
            moments.append((event.wait(600), clock.time()))
            try:
                queue.Queue().get(timeout=3)
            except queue.Empty:
                moments.append(clock.time())
            with ThreadPoolExecutor(1) as pool:
                try:
                    pool.submit(time.sleep, 100).result(timeout=7)
                except TimeoutError:
                    moments.append(clock.time())
            moments.append(clock.time())
        return moments
""")
WORK = "\n".join(
    [
        SAME,
        *map(
            inspect.getsource,
            (
                test_clock.sleepy,
                test_clock.pool_of_threads,
                test_clock.fed_while_running,
                test_clock.tasks,
            ),
        ),
    ]
)


def said_by(tab: Tab, code: str) -> str:
    """What the code prints in the tab's kernel, without empty lines. Each thing printed comes on a
    line of its own."""
    return "\n".join(
        filter(None, tab.execute("import helpers\n" + textwrap.dedent(code)).splitlines())
    )


@pytest.fixture(scope="module")
def run(chromium, address):
    """Runs code in the kernel of one tab and gives what it printed."""
    context = chromium.new_context()
    tab = Tab(context, address)
    tab.open(NOTEBOOK)
    yield lambda code: said_by(tab, code)
    context.close()


def test_threads_queues_and_pools(run):
    assert (
        run("""
        import queue, threading, time
        from concurrent.futures import ThreadPoolExecutor

        order, line = [], queue.Queue(1)

        def work(n):
            time.sleep(n / 20)
            order.append(n)
            return threading.current_thread().name.partition("_")[2]

        with ThreadPoolExecutor(4) as pool:
            print([*pool.map(work, [6, 4, 2]), *order])

        def produce():
            for item in range(5):
                line.put(item)

        thread = threading.Thread(target=produce)
        thread.start()
        print([line.get(timeout=5) for _ in range(5)])
        thread.join()
        event = threading.Event()
        print([event.wait(0.05), thread.is_alive(), threading.active_count()])
    """)
        == "['0', '1', '2', 2, 4, 6]\n[0, 1, 2, 3, 4]\n[False, False, 1]"
    )


def test_locks_belong_to_one_thread_and_locals_and_contexts_too(run):
    assert (
        run("""
        import contextvars, threading, time

        lock, mine, seen = threading.RLock(), threading.local(), []
        variable = contextvars.ContextVar("variable")

        def work(n):
            with lock, lock:
                mine.n = n
                variable.set(n)
                seen.append(("in", n))
                time.sleep(0.02)
                seen.append(("out", mine.n, variable.get()))

        threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print([*seen, hasattr(mine, "n"), lock.acquire(timeout=0.01)])
    """)
        == "[('in', 1), ('out', 1, 1), ('in', 2), ('out', 2, 2), False, True]"
    )


def test_a_thread_that_fails_says_so_and_the_rest_goes_on(run):
    said = run("""
        import threading

        def fail():
            raise KeyError("lost")

        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        print("on")
    """)
    assert "KeyError: 'lost'" in said and said.endswith("\non")


def test_virtual_time_takes_the_same_turns_as_in_cpython(run):
    here = dict(vars(test_clock))
    exec(SAME, here)

    def all_of_it():
        with here["VirtualClock"]():
            in_tasks = asyncio.run(here["tasks"]())
        return here["rounded"](
            [here["pool_of_threads"](), here["fed_while_running"](), here["waits"](), in_tasks]
        )

    with ThreadPoolExecutor(1) as pool:  # this thread has Playwright's event loop
        expected = pool.submit(all_of_it).result(60)
    said = run(
        WORK
        + textwrap.dedent("""
        with VirtualClock():
            in_tasks = await tasks()
        print(json.dumps(rounded([pool_of_threads(), fed_while_running(), waits(), in_tasks])))
    """)
    )
    assert json.loads(said) == json.loads(json.dumps(expected))


def test_clearing_up_memory_does_not_touch_calls_that_are_set_aside(run):
    """Without run_sync's care, this ends the tab: Pyodide's issue 6464."""
    assert (
        run("""
        import gc, threading, time

        class Deep:
            def __getattr__(self, name):  # called from C: each level leaves something on the stack
                return go_down(int(name[1:]))

        def go_down(depth):
            if depth:
                return getattr(Deep(), f"x{depth - 1}")
            for pause in range(20):
                time.sleep(pause % 3 / 1000)
                [[] for _ in range(300)]

        before = gc.get_threshold()
        gc.set_threshold(50)
        threads = [threading.Thread(target=go_down, args=(n % 20,)) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.set_threshold(*before)
        print(gc.isenabled())
    """)
        == "True"
    )


def test_a_moved_slider_may_use_threads(run):
    assert (
        run("""
        import asyncio, time
        from concurrent.futures import ThreadPoolExecutor
        import comm, ipywidgets
        from helpers.faults.clock import VirtualClock

        slider, said = ipywidgets.IntSlider(), []

        def moved(change):
            with VirtualClock() as clock, ThreadPoolExecutor(2) as pool:
                list(pool.map(time.sleep, [change.new] * 3))
            said.append(clock.time())

        slider.observe(moved, names="value")
        for value in (10, 20):
            data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
            content = {"comm_id": slider.comm.comm_id, "data": data}
            comm.get_comm_manager().comm_msg(None, None, {"content": content, "buffers": []})
        for _ in range(100):
            await asyncio.sleep(0.05)
            if len(said) == 2:
                break
        print(said)
    """)
        == "[20.0, 40.0]"
    )


def test_async_clients_are_answered_in_their_time(run):
    assert (
        run("""
        import os, time
        os.environ["COURSE_PACE"] = "1"
        from helpers import start, models
        from huggingface_hub import AsyncInferenceClient, get_token
        from openai import AsyncOpenAI

        session = start("03_rate_limits_and_retries")
        question = "What is a rate limit? Answer in one sentence."
        messages = [{"role": "user", "content": question}]
        asked = {"messages": messages, "model": models.chat, "max_tokens": 60}
        ai = AsyncOpenAI(base_url="https://router.huggingface.co/v1", api_key=get_token())
        for call in (AsyncInferenceClient().chat_completion, ai.chat.completions.create):
            begun = time.monotonic()
            answer = await call(**asked)
            waited = time.monotonic() - begun >= session.log.last.seconds > 0.05
            print([answer.choices[0].finish_reason, waited])
        session.stop()
        os.environ["COURSE_PACE"] = "0"
    """).splitlines()[-2:]
        == ["['stop', True]"] * 2
    )


@pytest.fixture
def old_browser(site, tmp_path):
    """The address of the site as a browser without JavaScript Promise Integration sees it."""
    copy = tmp_path / "site"
    shutil.copytree(site, copy, copy_function=os.link)
    script = next(copy.glob("static/pyodide/pyodide.mjs"))
    text = script.read_text(encoding="utf-8")
    script.unlink()  # the link, not the site's own file
    script.write_text(
        "delete WebAssembly.Suspending; delete WebAssembly.promising;\n" + text, encoding="utf-8"
    )
    with server(copy) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_browser_without_promise_integration_is_told_and_goes_on(chromium, old_browser):
    context = chromium.new_context()
    tab = Tab(context, old_browser)
    tab.open(NOTEBOOK)
    said = said_by(
        tab,
        """
        import time
        from concurrent.futures import ThreadPoolExecutor
        from helpers.faults.clock import VirtualClock

        with VirtualClock() as clock:
            time.sleep(3600)
        print(clock.time())
        try:
            with VirtualClock(), ThreadPoolExecutor(2) as pool:
                list(pool.map(time.sleep, [1, 2]))
        except RuntimeError as error:
            print(error)
        print("on")
    """,
    )
    context.close()
    assert said.startswith("3600.0\n") and said.endswith("\non")
    assert "Chrome and Edge can, from version 137 on" in said
