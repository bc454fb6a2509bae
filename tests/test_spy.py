"""The stand-in for the service, and how a learner's function is run: for that function alone."""

import asyncio
import contextvars
import os
import queue
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic, sleep
from types import SimpleNamespace

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.inference._providers import _common
from ways import HUB, HUB_ASYNC, HUB_STREAM, OPENAI

from helpers import wire
from helpers.exercises.kit import NotYet, Raised, Spy, broken, error, reply, spy
from helpers.faults import outage
from helpers.models import models
from helpers.session import start
from helpers.wire.replaced import Replaced


def ask(way=HUB):
    return way("?", models.chat)


def ask_twice(seconds):
    """Asks, and after a failure once more."""
    try:
        return ask()
    except HfHubHTTPError:
        time.sleep(seconds)
        return ask()


@contextmanager
def beside(work):
    """Runs `work(stop)` in another thread meanwhile; its value is there afterwards."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(work, stop)
        finally:
            stop.set()


def test_every_task_of_the_course():
    with spy() as service:
        client = InferenceClient()
        assert client.feature_extraction(["a", "b"], model=models.embedding).shape == (2, 8)
        moods = client.text_classification("Good.", model=models.sentiment)
        assert {mood.label for mood in moods} == {"POSITIVE", "NEGATIVE"}
        zero = client.zero_shot_classification(
            "Pay me.", candidate_labels=["billing", "bug"], model=models.zero_shot
        )
        assert [r.score for r in zero] == sorted((r.score for r in zero), reverse=True)
        (entity,) = client.token_classification("we met Ada there", model=models.ner)
        assert (entity.word, entity.start, entity.end) == ("Ada", 7, 10)
        assert client.summarization("Long.", model=models.summarization).summary_text
        assert client.text_to_image("A card.", model=models.image).size == (64, 64)
    assert len(service.sent) == 6 and len(service.lookups) >= 6


def test_a_stream_that_is_whole_and_one_that_breaks():
    with spy(reply("a b c"), reply("a b c", breaks_after=2)) as service:
        kept = InferenceClient()  # a client that nobody holds closes its streams
        asks = lambda: HUB_STREAM.ask(kept, "?", models.chat)
        assert service.call(asks) == "a b c" == service.said[0]
        with pytest.raises(Raised, match="RemoteProtocolError"):
            service.call(asks)


def test_the_openai_client_and_its_retries():
    with spy(error(429, retry_after=7), error(503)) as service:
        assert service.call(ask, OPENAI) == service.said[0]
    assert len(service.sent) == 3 and service.slept[0] == 7


def test_a_coroutine():
    async def ask_async():
        await asyncio.sleep(100)
        return await HUB_ASYNC.aask(AsyncInferenceClient(), "?", models.chat)

    with spy() as service:
        assert service.call(ask_async) == service.said[0]
    assert service.slept == [100]


def test_an_answer_cannot_be_guessed():
    random.seed(1)
    with spy() as one:
        ask()
    with spy() as two:
        ask()
    assert one.said != two.said


def test_a_connection_that_fails():
    with spy(broken()) as service, pytest.raises(Raised, match="ConnectError"):
        service.call(ask)


def test_the_token_of_the_environment_stays_and_is_recognised(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine_of_twenty_letters")
    with spy() as service:
        assert os.environ["HF_TOKEN"] == service.token == "hf_mine_of_twenty_letters"
        InferenceClient().text_classification(service.token, model=models.sentiment)
        assert service.leaked and service.token not in str(service.sent.last.json)
    assert os.environ["HF_TOKEN"] == "hf_mine_of_twenty_letters"


def waits_for_an_event():
    threading.Event().wait()


def waits_for_a_queue():
    queue.Queue().get()


def waits_for_a_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def waits_for_a_process():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(20)"], check=False)


def waits_for_its_thread():
    thread = threading.Thread(target=waits_for_an_event, daemon=True)
    thread.start()
    thread.join()


async def waits_for_a_future():
    await asyncio.get_running_loop().create_future()


WAITING = [waits_for_an_event, waits_for_a_queue, waits_for_a_lock, waits_for_a_process]
WAITING += [waits_for_its_thread, waits_for_a_future]


@pytest.mark.parametrize("function", WAITING)
def test_a_function_that_stands_still_is_left_behind(function):
    still = "still waiting after 0.4"
    with spy(seconds=0.4) as service, pytest.raises(NotYet, match=still) as not_yet:
        service.call(function)
    if not asyncio.iscoroutinefunction(function):
        assert "in line " in str(not_yet.value), "it says where"
    with spy() as service:
        assert service.call(ask) == service.said[0], "the kernel is usable"


def test_what_outlives_its_call_goes_no_further(capsys):
    """A function that was left behind, and a thread of one that came to its end."""
    goes_on, went_on, inside = threading.Event(), [], []

    def late():
        inside.append(threading.current_thread())
        goes_on.wait()
        went_on.append(True)

    def leaves_it():
        inside.append(threading.Thread(target=late, daemon=True))
        inside[-1].start()
        return "done"

    with spy(seconds=0.2) as service, pytest.raises(NotYet):
        service.call(late)
    with spy() as service:
        assert service.call(leaves_it) == "done"
    goes_on.set()
    for thread in inside:
        thread.join(5)
    assert not went_on and not any(thread.is_alive() for thread in inside)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("threads", [False, True])
def test_a_loop_without_end_is_ended(threads):
    def forever():
        while True:
            pass

    def in_a_pool():
        with ThreadPoolExecutor() as pool:
            return pool.submit(forever).result()

    still = "still running after 0.2 seconds"
    with spy(seconds=0.2) as service, pytest.raises(NotYet, match=still):
        service.call(in_a_pool if threads else forever)


def test_what_counts_is_the_work_and_not_the_load_of_the_machine():
    """Threads that compute take most of the time; the function's own share is small."""

    def load(stop):
        while not stop.is_set():
            sum(range(1000))

    def works():
        begun = time.thread_time()
        while time.thread_time() - begun < 0.3:
            pass
        return monotonic()

    with beside(load), beside(load), beside(load), spy(seconds=0.6) as service:
        began = monotonic()
        assert service.call(works) - began > 0.6, "by the clock it took longer than its limit"


def test_nobody_answers_input():
    with spy() as service, pytest.raises(NotYet, match="nobody is there to answer"):
        service.call(lambda: input("Name? "))


@pytest.mark.parametrize("clock", [time.time, time.monotonic, time.perf_counter])
def test_clocks_go_on_by_what_was_slept(clock):
    def waits():
        before = getattr(time, clock.__name__)()
        time.sleep(1800)
        sleep(1800)
        return getattr(time, clock.__name__)() - before

    started = monotonic()
    with spy() as service:
        assert 3600 <= service.call(waits) < 3660
        assert service.looks == [clock.__name__] * 2
    assert service.slept == [1800, 1800] and monotonic() - started < 30
    assert sleep is time.sleep


NOTEBOOK = """
from time import sleep, monotonic
def wait():
    global kept
    kept, before = "kept", monotonic()
    sleep(50)
    return monotonic() - before
"""


def test_names_of_the_notebook_are_set_and_what_it_stores_stays():
    exec(NOTEBOOK, notebook := {})
    with spy() as service:
        assert service.call(notebook["wait"]) >= 50
    assert service.slept == [50] and notebook["kept"] == "kept"
    assert notebook["sleep"] is sleep and notebook["monotonic"] is monotonic


def test_replaced_names_are_put_back_by_the_last_one_out():
    class Place:
        def name(self):
            return "theirs"

    place, module = Place(), SimpleNamespace(word="theirs", other="theirs")
    places = [(place, "name", lambda real: lambda: f"ours, {real()}")]
    places += [(module, name, "ours, ".__add__) for name in ("word", "other")]
    names = Replaced(lambda: places)
    with names:
        with names:
            assert place.name() == module.word == "ours, theirs"
        assert place.name() == module.word == "ours, theirs"
        module.other = "somebody else's"
    assert place.name() == module.word == "theirs" and not vars(place)
    assert module.other == "somebody else's"


def test_a_value_as_it_is():
    def pieces():
        yield from "ab"

    async def soon():
        return "later"

    with spy() as service:
        assert service.call(pieces) == ["a", "b"] and service.call(soon) == "later"
        assert list(service.call(pieces, whole=True)) == ["a", "b"]
        service.call(soon, whole=True).close()


def test_another_thread_sleeps_and_reads_the_clock_as_ever():
    def other(stop):
        gaps = []
        while not stop.is_set():
            before = time.monotonic()
            time.sleep(0.02)
            gaps.append(time.monotonic() - before)
        return gaps

    def waits():
        for _ in range(50):
            time.sleep(3600)

    with beside(other) as gaps, spy() as service:
        for _ in range(5):
            service.call(waits)
    assert service.slept == [3600] * 250 and all(0.02 <= gap < 60 for gap in gaps.result())


def test_another_thread_prints_as_ever(capsys):
    def other(stop):
        count = 0
        while not stop.is_set() or count < 20:
            print("cell")
            count += 1
            sleep(0.001)
        return count

    def prints():
        for _ in range(20):
            print("mine")
            print("mine", file=sys.stderr)

    with beside(other) as count, spy() as service:
        for _ in range(10):
            service.call(prints)
    assert service.printed == "mine\n" * 200
    assert capsys.readouterr() == ("cell\n" * count.result(), "")


def test_two_checks_at_once():
    def one(number):
        text = f"answer {number}"
        for _ in range(10):
            with spy(error(429, retry_after=number), reply(text), seconds=20) as service:
                assert service.call(ask_twice, number) == text and service.slept == [number]
                assert len(service.sent) == 2
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(1, 5)))


def test_look_ups_of_a_check_and_of_a_cell_do_not_meet():
    hub, name = models.sentiment, "_fetch_inference_provider_mapping"
    remembering = getattr(_common, name)
    remembering.cache_clear()
    outside = contextvars.copy_context()
    with spy() as outer:
        for _ in range(2):
            assert getattr(_common, name)(hub)
        assert len(outer.lookups) == 1, "a spy has a memory of its own"
        with spy() as inner:
            getattr(_common, name)(hub)
        assert len(inner.lookups) == 1, "and each another"
        wire.install(everybody := Spy())
        outside.run(getattr(_common, name), hub)
        wire.remove(everybody)
        assert len(everybody.lookups) == 1, "a running cell asks for itself"
        assert len(outer.lookups) == len(inner.lookups) == 1
    assert getattr(_common, name) is remembering
    remembering.cache_clear()


def test_a_stand_in_answers_the_threads_of_its_code_and_no_other():
    began, done = threading.Event(), threading.Event()

    def cell(stop):
        began.wait(10)
        done.set()
        return wire.current()

    def pool():
        began.set()
        done.wait(10)
        with ThreadPoolExecutor(3) as threads:
            return list(threads.map(lambda _: ask(), range(3)))

    with beside(cell) as seen, spy() as service:
        assert sorted(service.call(pool)) == sorted(service.said)
    assert seen.result() is None


def test_what_stands_in_for_the_output_is_never_thrown_away():
    """A cell's `print`, which runs meanwhile, holds no reference to it: it would be memory that is
    gone."""
    seen = set()
    for _ in range(2):
        with spy() as service:
            service.call(lambda: seen.update([sys.stdout, sys.stderr]))
    assert len(seen) == 2


def test_a_check_inside_an_outage(monkeypatch):
    monkeypatch.setenv("COURSE_PACE", "0")
    start("01_first_call")
    with outage(errors=503) as lab:
        with spy(error(429, retry_after=5)) as service:
            assert service.call(ask_twice, 5) == service.said[0] and service.slept == [5]
        with pytest.raises(HfHubHTTPError, match="503"):
            ask()
    assert len(service.sent) == 2 and len(lab.log) == 1
