"""Virtual and scaled time: sleeping costs nothing, everybody's turn is fixed, and nobody outside
notices."""

import asyncio
import inspect
import queue
import random
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest

from helpers.faults.clock import EPOCH, ScaledClock, VirtualClock

PATCHED = [
    (time, "sleep"),
    (time, "time"),
    (time, "monotonic"),
    (time, "perf_counter"),
    (threading, "_time"),
    (queue, "time"),
    (queue, "SimpleQueue"),
    (threading.Thread, "start"),
    (threading.Thread, "join"),
    (threading.Condition, "wait"),
    (threading, "Lock"),
    (threading, "_allocate_lock"),
    (threading, "RLock"),
    (ThreadPoolExecutor, "submit"),
    (asyncio.base_events.BaseEventLoop, "time"),
    (asyncio.base_events.BaseEventLoop, "call_at"),
    (asyncio.base_events.BaseEventLoop, "call_soon_threadsafe"),
    (asyncio.base_events.BaseEventLoop, "run_forever"),
]
real_sleep = time.sleep  # as code that took it out of `time` before: it sleeps in real time
ORIGINALS = [getattr(owner, name) for owner, name in PATCHED]


@pytest.fixture(autouse=True)
def restored():
    yield
    assert [getattr(owner, name) for owner, name in PATCHED] == ORIGINALS


def sleepy(number: int, log: list | None = None) -> tuple[int, float]:
    draw = random.Random(number)
    for _ in range(5):
        time.sleep(draw.choice([0.02, 0.5, 1, 55]))
        if log is not None:
            log.append(
                (number, round(time.monotonic() % 1, 6))
            )  # the clock starts somewhere else each time
    return number, round(time.time() - EPOCH, 3)


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
    """Two checks at once, and a check inside an outage: several clocks may be open, left in any
    order."""
    said, both = {}, threading.Barrier(2)

    def alone(seconds):
        with VirtualClock() as clock:
            both.wait()
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(time.sleep, [seconds] * 4))
            said[seconds] = clock.time()

    threads = [threading.Thread(target=alone, args=(seconds,)) for seconds in (10, 700)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert said == {10: 20, 700: 1400}
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


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_must_be_positive(speed):
    with pytest.raises(ValueError, match="greater than 0"):
        ScaledClock(speed)


def test_negative_sleep_is_refused_as_outside():
    with VirtualClock(), pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)


def test_a_loop_of_empty_sleeps_ends():
    with VirtualClock(), ThreadPoolExecutor(1) as pool:
        later = pool.submit(time.sleep, 0.001)
        while not later.done():
            time.sleep(0)


def pool_of_threads() -> list:
    log = []
    with VirtualClock() as clock, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: sleepy(number, log), range(60)))
        return [clock.time(), results, log]


def test_threads_take_the_same_turns_each_time():
    first = pool_of_threads()
    assert first[0] > 400
    assert [pool_of_threads() for _ in range(4)] == [first] * 4


@pytest.mark.parametrize("busy", [0, 0.003])
def test_who_is_woken_works_before_the_clock_goes_on(busy):
    """However long that takes on a busy machine, and however it is woken."""
    told = []
    with VirtualClock() as clock:
        line, bell, lock = queue.Queue(), threading.Event(), threading.Lock()

        def hear(wait):
            wait()
            for _ in range(3):
                real_sleep(busy)
                time.sleep(0)
            told.append(clock.time() < 2)

        def other():
            time.sleep(2)
            told.append("later")

        lock.acquire()
        waits = [line.get, bell.wait, lambda: line.get(timeout=600), lock.acquire, other]
        threads = [threading.Thread(target=hear, args=(wait,)) for wait in waits[:-1]]
        threads.append(threading.Thread(target=other))
        for thread in threads:
            thread.start()
        time.sleep(1)
        line.put(1), bell.set(), line.put(2), lock.release()
        for thread in threads:
            thread.join()
    assert told == [True] * 4 + ["later"]


def test_a_wait_with_a_limit_is_in_line_before_anybody_else_works():
    """Else the clock would move on without it, and on a busy machine for minutes."""
    order = []

    def wait(seconds):
        with condition:
            assert not condition.wait(seconds)
        order.append((seconds, clock.time()))

    with VirtualClock() as clock, ThreadPoolExecutor(9) as pool:
        condition = threading.Condition()
        list(pool.map(wait, [5, 3, 300, 4, 3, 2, 1, 8, 3]))
    assert order == [(n, n) for n in (1, 2, 3, 3, 3, 4, 5, 8, 300)]


def test_who_computes_is_not_taken_for_waiting(monkeypatch):
    """Also when it says nothing for longer than a clock's patience, as on a busy machine."""
    monkeypatch.setattr("helpers.faults.clock.PATIENCE", 0.05)
    with VirtualClock() as clock, ThreadPoolExecutor(2) as pool:
        later = pool.submit(time.sleep, 100)
        time.sleep(1)
        end = time.process_time() + 0.4
        while time.process_time() < end:
            assert clock.time() == 1
        assert not later.done()


def test_a_lock_from_before_the_clock_holds_up_only_who_wants_it(monkeypatch):
    monkeypatch.setattr("helpers.faults.clock.PATIENCE", 0.1)
    lock = threading.Lock()
    with VirtualClock() as clock, ThreadPoolExecutor(3) as pool:

        def hold():
            with lock:
                time.sleep(50)
            return clock.time()

        assert sorted(pool.map(lambda _: hold(), range(3))) == [50, 100, 150]


def test_nobody_looks_at_stack_frames():
    from helpers.faults import clock, scaled, turns

    for module in (clock, scaled, turns):
        assert "frame" not in inspect.getsource(module)


def test_threads_that_were_there_before_the_clock_may_work_in_it():
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(real_sleep, [0.05] * 3))  # three threads
        real = time.perf_counter()
        with VirtualClock() as clock:
            assert list(pool.map(sleepy, range(9)))
            spent = clock.time()
            time.sleep(1)
            assert spent > 50 and clock.time() == spent + 1
        assert time.perf_counter() - real < 5


def test_what_was_made_in_a_clock_works_after_it():
    with VirtualClock():
        lock, line, again = threading.Lock(), queue.SimpleQueue(), threading.RLock()
        pool = ThreadPoolExecutor(2)
        pool.submit(time.sleep, 1).result()
    with lock, again, again:
        assert lock.locked() and not lock.acquire(timeout=0.01)
        line.put(1)
        assert line.get() == 1 and pool.submit(int, "3").result(5) == 3
    pool.shutdown()
    with pytest.raises(RuntimeError):
        lock.release()


def test_joins_with_a_limit_and_of_oneself():
    with VirtualClock() as clock:
        thread = threading.Thread(target=time.sleep, args=(100,))
        thread.start()
        thread.join(30)
        assert thread.is_alive() and clock.time() == 30
        thread.join()
        assert not thread.is_alive() and clock.time() == 100
        with pytest.raises(RuntimeError, match="current thread"):
            threading.current_thread().join()


def fed_while_running() -> list:
    order = []
    with VirtualClock() as clock, ThreadPoolExecutor(6) as pool:
        under_way, fed = {pool.submit(sleepy, number) for number in range(10)}, 10
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda future: future.result()):
                order.append((future.result()[0], clock.time()))
                if fed < 30:
                    under_way.add(pool.submit(sleepy, fed))
                    fed += 1
    return order


def test_a_pool_that_is_fed_by_its_own_results_is_deterministic():
    first = fed_while_running()
    assert len(first) == 30
    assert [fed_while_running() for _ in range(3)] == [first] * 3


def test_plain_threads_queues_and_joins():
    arrived = []
    with VirtualClock() as clock:
        line = queue.Queue()

        def produce():
            for item in range(5):
                time.sleep(10)
                line.put(item)

        thread = threading.Thread(target=produce)
        thread.start()
        for _ in range(5):
            arrived.append((line.get(), clock.time()))
        thread.join()
    assert arrived == [(item, 10.0 * (item + 1)) for item in range(5)]


def test_waits_with_a_limit_pass_in_virtual_time():
    with VirtualClock() as clock:
        event, moments = threading.Event(), []
        assert not event.wait(5)
        moments.append(clock.time())
        with pytest.raises(queue.Empty):
            queue.Queue().get(timeout=3)
        moments.append(clock.time())

        def ring():
            time.sleep(2)
            event.set()

        threading.Thread(target=ring).start()
        assert event.wait(600)
        moments.append(clock.time())
        condition = threading.Condition()
        with condition:
            assert not condition.wait_for(lambda: False, timeout=4)
        moments.append(clock.time())
        with ThreadPoolExecutor(1) as pool, pytest.raises(TimeoutError):
            pool.submit(time.sleep, 100).result(timeout=7)
        moments.append(clock.time())
    assert moments == [5, 8, 10, 14, 114]


def test_a_lock_held_asleep_holds_up_only_who_wants_it(monkeypatch):
    monkeypatch.setattr("helpers.faults.clock.PATIENCE", 0.02)
    with VirtualClock() as clock, ThreadPoolExecutor(3) as pool:
        lock = threading.Lock()

        def hold():
            with lock:
                time.sleep(50)
            return clock.time()

        assert sorted(pool.map(lambda _: hold(), range(3))) == [50, 100, 150]


def test_a_thread_left_behind_is_told():
    said = []

    def work():
        try:
            time.sleep(1000)
        except RuntimeError as error:
            said.append(str(error))

    with VirtualClock():
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(1)
    thread.join(5)
    assert len(said) == 1 and "wait for your threads inside" in said[0]


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
        await clock.asleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [*moments, clock.time()]

    with VirtualClock() as clock:
        assert asyncio.run(main()) == [5, 12, 13]


def test_threads_and_tasks_together():
    async def main():
        threads = asyncio.gather(*(asyncio.to_thread(sleepy, number) for number in range(6)))
        await asyncio.sleep(30)
        middle = clock.time()
        return middle, await threads, clock.time()

    results = []
    for _ in range(3):
        with VirtualClock() as clock:
            results.append(asyncio.run(main()))
    assert results[0][0] == 30 and results[0][2] == max(when for _, when in results[0][1])
    assert results == [results[0]] * 3


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
            real = asyncio.get_running_loop().run_in_executor(None, stop.wait, 0.05)
            await real
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
        assert not threading.Event().wait(20)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(time.sleep, [20, 20]))

        async def limited():
            async with asyncio.timeout(20):
                await asyncio.sleep(2000)

        with pytest.raises(TimeoutError):
            asyncio.run(limited())
        assert clock.time() >= 100
    assert time.perf_counter() - real < 2
