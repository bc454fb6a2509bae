"""Virtual time, asyncio and calls that wait in a browser tab (helpers/browser/aside.py):
in Chromium, on the built site, against what CPython does here."""

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
from site_fixtures import Tab, new_tab

from authoring.site.__main__ import server

pytest_plugins = ["site_fixtures"]

NOTEBOOK = "notebooks/03_rate_limits_and_retries.ipynb"
WORK = "import asyncio, random\n" + inspect.getsource(test_clock.tasks)


def said_by(tab: Tab, code: str) -> str:
    """What the code prints in the tab's kernel: each thing on its own line, without empty ones."""
    printed = tab.execute("import helpers\n" + textwrap.dedent(code))
    return "\n".join(filter(None, printed.splitlines()))


@pytest.fixture(scope="module")
def run(chromium, address):
    """Runs code in the kernel of one tab and gives what it printed."""
    with new_tab(chromium, address) as tab:
        tab.open(NOTEBOOK)
        yield lambda code: said_by(tab, code)


def test_virtual_time_takes_the_same_turns_as_in_cpython(run):
    def all_of_it():
        with test_clock.VirtualClock():
            return asyncio.run(test_clock.tasks())

    with ThreadPoolExecutor(1) as pool:  # this thread has Playwright's event loop
        expected = pool.submit(all_of_it).result(60)
    in_the_tab = """
        import json
        from helpers.faults.clock import VirtualClock

        with VirtualClock():
            print(json.dumps(await tasks()))
    """
    said = run(WORK + textwrap.dedent(in_the_tab))
    # Rounded, because a tab's clock begins near zero and has more digits left.
    rounded = lambda turns: [(n, round(at, 3) % 1) for n, at in turns]
    assert rounded(json.loads(said)) == rounded(expected)


def test_time_limits_and_cancelling_in_virtual_time(run):
    said = run("""
        import asyncio
        from helpers.faults.clock import VirtualClock

        with VirtualClock() as clock:
            moments = []
            try:
                async with asyncio.timeout(5):
                    await asyncio.sleep(50)
            except TimeoutError:
                moments.append(clock.time())
            task = asyncio.create_task(asyncio.sleep(1000))
            await asyncio.wait_for(asyncio.sleep(1), 7)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            moments.append(await asyncio.to_thread(clock.time))
        print(moments)
    """)
    assert said == "[5.0, 6.0]"


def test_scaled_time_pauses_are_not_cut_short(run):
    """A browser's timers drop what is below a millisecond, and its `time.sleep` asks asyncio: a
    fast clock would multiply the one and be asked twice by the other."""
    said = run("""
        import asyncio, time
        from helpers.faults.clock import ScaledClock

        with ScaledClock(1000) as fast:
            early = []
            for _ in range(20):
                begun = fast.time()
                await asyncio.sleep(5.5)
                middle = fast.time()
                time.sleep(20)
                early += [("asyncio", middle - begun)] * (middle - begun < 5.5)
                early += [("sleep", fast.time() - middle)] * (fast.time() - middle < 19.5)
        print(early)
    """)
    assert said == "[]"


def test_clearing_up_memory_does_not_touch_calls_that_are_set_aside(run):
    """A cell and a slider's callback that both wait. Without run_sync's care, this ends the tab:
    Pyodide's issue 6464."""
    said = run("""
        import asyncio, gc, time
        import comm, ipywidgets

        class Deep:
            def __getattr__(self, name):  # called from C: each level leaves something on the stack
                return go_down(int(name[1:]))

        def go_down(depth):
            if depth:
                return getattr(Deep(), f"x{depth - 1}")
            for pause in range(20):
                time.sleep(pause % 3 / 1000)
                [[] for _ in range(300)]

        async def meanwhile():
            while True:
                [[] for _ in range(300)]
                await asyncio.sleep(0)

        def moved(change):
            go_down(change.new % 20)
            said.append(change.new)

        slider, said, before = ipywidgets.IntSlider(), [], gc.get_threshold()
        slider.observe(moved, names="value")
        gc.set_threshold(50)
        other = asyncio.create_task(meanwhile())
        for depth in range(40):
            data = {"method": "update", "state": {"value": depth + 1}, "buffer_paths": []}
            content = {"comm_id": slider.comm.comm_id, "data": data}
            comm.get_comm_manager().comm_msg(None, None, {"content": content, "buffers": []})
            go_down(depth % 20)
        for _ in range(200):
            await asyncio.sleep(0.05)
            if len(said) == 40:
                break
        other.cancel()
        gc.set_threshold(*before)
        print([len(said), gc.isenabled()])
    """)
    assert said == "[40, True]"


def test_a_thread_is_refused_in_a_sentence(run):
    assert "one thread: use asyncio" in run("""
        import threading
        try:
            threading.Thread(target=print).start()
        except RuntimeError as error:
            print(error)
    """)


def test_a_moved_slider_may_wait_and_messages_keep_their_order(run):
    said = run("""
        import asyncio, time
        import comm, ipywidgets

        slider, said = ipywidgets.IntSlider(), []

        def moved(change):
            begun = time.perf_counter()
            time.sleep(change.new / 1000)
            said.append((change.new, time.perf_counter() - begun >= change.new / 1000))

        slider.observe(moved, names="value")
        for value in (20, 10):
            data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
            content = {"comm_id": slider.comm.comm_id, "data": data}
            comm.get_comm_manager().comm_msg(None, None, {"content": content, "buffers": []})
        for _ in range(100):
            await asyncio.sleep(0.05)
            if len(said) == 2:
                break
        print(said)
    """)
    assert said == "[(20, True), (10, True)]"


def test_async_clients_are_answered_in_their_time(run):
    said = run("""
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
    """)
    assert said.splitlines()[-2:] == ["['stop', True]"] * 2


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


def test_a_browser_without_promise_integration_lives_in_virtual_time_too(chromium, old_browser):
    code = """
        import asyncio, time
        from helpers.faults.clock import VirtualClock

        with VirtualClock() as clock:
            time.sleep(3600)
            await asyncio.gather(asyncio.sleep(100), asyncio.sleep(200))
        print(clock.time())
    """
    with new_tab(chromium, old_browser) as tab:
        tab.open(NOTEBOOK)
        assert said_by(tab, code) == "3800.0"
