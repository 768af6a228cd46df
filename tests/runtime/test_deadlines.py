from __future__ import annotations

import asyncio

from jupyter_serving.runtime.deadlines import Deadlines


def test_one_timer_ends_each_when_it_is_due():
    async def run() -> list[list[float]]:
        loop = asyncio.get_running_loop()
        start, over = loop.time(), loop.create_future()
        living = {0.05, 0.02, 0.4, 600.0}
        looks: list[list[float]] = []

        def expire(now: float) -> float | None:
            late = sorted(each for each in living if start + each <= now)
            living.difference_update(late)
            looks.append(late)
            if 0.4 in late:
                over.set_result(None)
            return start + min(living)

        deadlines = Deadlines(loop, expire)
        for each in (0.05, 600.0, 0.02, 0.4):
            deadlines.watch(start + each)
        await asyncio.wait_for(over, 60)
        return looks

    looks = asyncio.run(run())
    assert [each for look in looks for each in look] == [0.02, 0.05, 0.4]
    assert len(looks) <= 6  # no look without a reason, timer resolution aside


def test_a_deadline_that_nobody_waits_for_any_more_costs_one_look():
    async def run() -> int:
        loop = asyncio.get_running_loop()
        looked = asyncio.Event()
        count = 0

        def expire(now: float) -> float | None:
            nonlocal count
            count += 1
            looked.set()
            return None

        deadlines = Deadlines(loop, expire)
        for number in range(1000):
            deadlines.watch(loop.time() + 0.01 + number)
        await asyncio.wait_for(looked.wait(), 60)
        deadlines.watch(loop.time() + 600)
        return count

    assert asyncio.run(run()) == 1
