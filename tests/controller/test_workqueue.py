"""The work queue: de-duplication, exclusion, back-off."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.controller.workqueue import WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ready(queue: WorkQueue) -> str | None:
    """The name that a worker would get now, without waiting."""

    async def attempt() -> str | None:
        try:
            return await asyncio.wait_for(queue.take(), 0.01)
        except TimeoutError:
            return None

    return asyncio.run(attempt())


def test_a_name_waits_at_most_once() -> None:
    async def scenario() -> None:
        queue = WorkQueue(Clock())
        for _ in range(5):
            queue.add("iris")
        assert await queue.take() == "iris"
        assert len(queue) == 0

    asyncio.run(scenario())


def test_a_name_that_is_worked_on_waits_until_it_is_done() -> None:
    async def scenario() -> None:
        queue = WorkQueue(Clock())
        queue.add("iris")
        await queue.take()
        queue.add("iris")
        second = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        assert not second.done()
        queue.done("iris")
        assert await asyncio.wait_for(second, 10) == "iris"

    asyncio.run(scenario())


def test_an_earlier_date_stays() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add("iris", after=1.0)
    queue.add("iris", after=50.0)
    assert queue._next() == (None, 1.0)
    clock.now = 1.0
    assert queue._next() == ("iris", None)


@given(st.integers(1, 20))
def test_failures_are_put_off_longer_each_time_up_to_the_cap(times: int) -> None:
    clock = Clock()
    queue = WorkQueue(clock, base=0.1, cap=60.0)
    waits = []
    for _ in range(times):
        queue.done("iris", failed=True)
        _, wait = queue._next()
        waits.append(wait or 0.0)
        queue._due.clear()
    assert waits == sorted(waits)
    assert max(waits) <= 60.0
    queue.done("iris")
    queue.done("iris", failed=True)
    assert abs((queue._next()[1] or 0) - 0.1) < 1e-9


def test_workers_never_hold_the_same_name_and_lose_none() -> None:
    async def scenario() -> None:
        queue = WorkQueue()
        held: set[str] = set()
        seen: list[str] = []

        async def worker() -> None:
            while True:
                name = await queue.take()
                assert name not in held
                held.add(name)
                await asyncio.sleep(0)
                held.discard(name)
                seen.append(name)
                queue.done(name)

        workers = [asyncio.create_task(worker()) for _ in range(4)]
        for number in range(200):
            queue.add(f"e{number % 10}")
            if number % 7 == 0:
                await asyncio.sleep(0)
        for _ in range(10_000):
            if not len(queue) and not held and len(set(seen)) == 10:
                break
            await asyncio.sleep(0)
        assert len(set(seen)) == 10
        for task in workers:
            task.cancel()
        failures = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(f, asyncio.CancelledError) for f in failures)

    asyncio.run(scenario())
