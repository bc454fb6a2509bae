"""Virtual and scaled time: sleeping costs nothing, everybody's turn is fixed, and nobody outside
notices."""

import asyncio
import functools
import inspect
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from helpers.faults.clock import ScaledClock, VirtualClock, outside

PATCHED = [
    (time, "sleep"),
    (time, "time"),
    (time, "monotonic"),
    (time, "perf_counter"),
    (threading.Thread, "start"),
    (ThreadPoolExecutor, "submit"),
    *(
        (asyncio.BaseEventLoop, name)
        for name in ("call_at", "call_later", "call_soon", "run_forever", "run_in_executor")
    ),
]
ORIGINALS = [getattr(owner, name) for owner, name in PATCHED]


@pytest.fixture
def original():
    """Puts back what a test leaves behind on purpose."""
    yield
    for (owner, name), function in zip(PATCHED, ORIGINALS):
        setattr(owner, name, function)


@pytest.fixture(autouse=True)
def restored():
    yield
    assert [getattr(owner, name) for owner, name in PATCHED] == ORIGINALS


def test_an_hour_takes_no_time():
    real = time.perf_counter()
    with VirtualClock() as clock:
        then = time.monotonic(), time.perf_counter(), time.time()
        time.sleep(3600)
        assert clock.time() == 3600
        assert [
            now() - before
            for now, before in zip((time.monotonic, time.perf_counter, time.time), then)
        ] == [3600] * 3
    assert time.perf_counter() - real < 1


def test_everything_is_as_before_after_an_exception():
    with pytest.raises(KeyError):
        with VirtualClock():
            raise KeyError


def test_each_has_its_own_time():
    """Two checks at once, and a check in an outage: several clocks are open, left in any order."""
    said, both = {}, threading.Barrier(2)

    def alone(seconds):
        with VirtualClock() as clock:
            both.wait()
            time.sleep(seconds)
            said[seconds] = clock.time()

    threads = [threading.Thread(target=alone, args=(seconds,)) for seconds in (10, 700)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert said == {10: 10, 700: 700}
    with VirtualClock() as outer:
        time.sleep(5)
        with VirtualClock() as inner:
            time.sleep(600)
        with ScaledClock(1000) as fast:
            time.sleep(1)
        time.sleep(7)
        assert (outer.time(), inner.time()) == (12, 600) and 1 <= fast.time() < 500


def test_two_in_one_event_loop():
    async def alone(seconds):
        with VirtualClock() as clock:
            await asyncio.gather(*(asyncio.sleep(seconds * n) for n in range(4)))
            return clock.time()

    async def main():
        return await asyncio.gather(alone(10), alone(700))

    assert asyncio.run(main()) == [30, 2100]


def test_a_clock_begins_after_the_last_one_ended():
    """What was learned in one outage is history in the next."""
    ends = []
    for _ in range(2):
        with VirtualClock():
            assert not ends or time.monotonic() >= ends[-1] + 3600
            time.sleep(50_000)
            ends.append(time.monotonic())


def test_a_wrapper_that_was_left_behind_does_not_call_itself(original):
    """Somebody wraps a function of `time` in one outage and forgets it: the next still works."""
    with ScaledClock(1000):
        for name in ("sleep", "monotonic"):
            setattr(time, name, functools.partial(getattr(time, name)))
    for clock in (ScaledClock(1000), VirtualClock()):
        with clock:
            begun = time.monotonic()
            time.sleep(5)
            assert time.monotonic() - begun >= 5
        begun = time.monotonic()
        time.sleep(0.001)
        assert 0.001 <= time.monotonic() - begun < 60


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_must_be_positive(speed):
    with pytest.raises(ValueError, match="greater than 0"):
        ScaledClock(speed)


def test_negative_sleep_is_refused_as_outside():
    with VirtualClock(), pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)


def test_a_loop_of_empty_sleeps_ends():
    with VirtualClock():
        end = time.monotonic() + 0.001
        while time.monotonic() < end:
            time.sleep(0)


def test_nobody_looks_at_stack_frames():
    from helpers.faults import clock

    assert "frame" not in inspect.getsource(clock)


async def tasks(count: int = 60) -> list:
    room = asyncio.Semaphore(8)

    async def one(number):
        async with room:
            draw = random.Random(number)
            for _ in range(5):
                await asyncio.sleep(draw.choice([0.02, 0.5, 1, 55]))
        # Each clock begins later than the last one, so the last digits differ.
        return number, round(round(asyncio.get_running_loop().time(), 6) % 1, 6)

    return await asyncio.gather(*map(one, range(count)))


def run_tasks() -> tuple:
    with VirtualClock() as clock:
        return asyncio.run(tasks()), clock.time()


def test_tasks_take_the_same_turns_each_time():
    first = run_tasks()
    assert first[1] > 400
    assert [run_tasks() for _ in range(3)] == [first] * 3


def test_asyncio_time_limits_and_cancelling():
    async def main():
        moments = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(50)
        moments.append(clock.time())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100), 7)
        moments.append(clock.time())
        task = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [*moments, clock.time()]

    with VirtualClock() as clock:
        assert asyncio.run(main()) == [5, 12, 13]


def test_a_sleep_that_blocks_the_loop_delays_its_tasks():
    async def main():
        ticks = []

        async def tick():
            for _ in range(5):
                await asyncio.sleep(1)
                ticks.append(clock.time())

        task = asyncio.create_task(tick())
        await asyncio.sleep(1.5)
        time.sleep(20)
        await task
        return ticks

    with VirtualClock() as clock:
        assert asyncio.run(main()) == [1, 21.5, 22.5, 23.5, 24.5]


def test_what_was_there_before_keeps_real_time():
    """A kernel's own threads and tasks: not slowed, not hurried, not waited for."""
    ticks, threads = [], []
    stop = threading.Event()

    def outsider():
        while not stop.wait(0.005):
            threads.append(time.time())

    async def main():
        async def ticking():
            while True:
                await asyncio.sleep(0.005)
                ticks.append(time.time())

        outside = asyncio.create_task(ticking())
        with VirtualClock() as clock:
            began = time.time()
            await asyncio.gather(asyncio.sleep(300), asyncio.sleep(3000))
            assert clock.time() == 3000 and time.time() - began == 3000
        await asyncio.get_running_loop().run_in_executor(None, stop.wait, 0.05)
        await asyncio.sleep(0.03)
        outside.cancel()

    thread = threading.Thread(target=outsider)
    thread.start()
    asyncio.run(main())
    stop.set()
    thread.join()
    assert len(ticks) >= 2 and len(threads) >= 2
    assert all(abs(moment - time.time()) < 60 for moment in ticks + threads)


def test_scaled_time_runs_faster():
    real = time.perf_counter()
    with ScaledClock(1000) as clock:
        time.sleep(20)
        asyncio.run(asyncio.sleep(20))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(time.sleep, [20, 20]))

        async def limited():
            async with asyncio.timeout(20):
                await asyncio.sleep(2000)

        with pytest.raises(TimeoutError):
            asyncio.run(limited())
        assert clock.time() >= 80
    assert time.perf_counter() - real < 2


def test_threads_are_refused_in_a_sentence_and_have_room_outside():
    """A pool made before, too, and a task's `to_thread` that waits: their waits are not seen."""
    said = []
    with ThreadPoolExecutor(1) as old:
        old.submit(int).result()
        with VirtualClock() as clock:
            with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match=r"speed=60"):
                pool.submit(time.sleep, 5)
            with pytest.raises(RuntimeError, match="asyncio"):
                threading.Thread(target=time.sleep, args=(5,)).start()
            with pytest.raises(RuntimeError, match="one thread"):
                asyncio.run(asyncio.to_thread(time.sleep, 5))
            with pytest.raises(RuntimeError, match="one thread"):
                old.submit(clock.join).result()
            before = clock.time()
            assert asyncio.run(asyncio.to_thread(int, "3")) == 3
            with outside():
                thread = threading.Thread(target=lambda: said.append(time.time()))
                thread.start()
                thread.join()
            time.sleep(1)
            assert abs(said[0] - time.time()) > 60 and clock.time() == pytest.approx(before + 1)


def test_a_call_that_is_taken_back_does_not_stop_the_clock():
    """anyio takes back what it asked a loop to call soon."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(print, "never").cancel()
        await asyncio.sleep(10)
        timer = loop.call_later(5, print, "never")
        loop.call_soon(lambda: loop.call_soon(print, "never").cancel())
        await asyncio.sleep(1)
        timer.cancel()
        await asyncio.sleep(100)
        return clock.time()

    with VirtualClock() as clock:
        assert asyncio.run(main()) == pytest.approx(111)


def test_tasks_left_behind_go_on_in_real_time():
    async def main():
        with VirtualClock():
            later = asyncio.create_task(asyncio.sleep(1000))
            await asyncio.sleep(1)
        await later

    real = time.perf_counter()
    asyncio.run(main())
    assert time.perf_counter() - real < 60


def test_who_still_sleeps_when_a_loop_ends_is_not_waited_for():
    async def main():
        main.task = asyncio.ensure_future(asyncio.sleep(1000))
        await asyncio.sleep(1)

    with VirtualClock() as clock:
        asyncio.run(main())
        assert clock.time() == 1 and main.task.cancelled()
        asyncio.run(main())
        assert clock.time() == 2


def test_a_wait_is_a_number():
    with VirtualClock() as clock:
        for wait in (time.sleep, lambda seconds: asyncio.run(asyncio.sleep(seconds))):
            with pytest.raises(ValueError, match="(?i)nan|non-negative"):
                wait(float("nan"))
        time.sleep(1)
        assert clock.time() == 1
