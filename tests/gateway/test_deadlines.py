import asyncio
import sys
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.gateway.deadlines import GRAIN_SECONDS, Deadlines

from .world import scenario, until


class Handle:
    """A timer of ``Loop``."""

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when, self.call, self.cancelled = when, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop whose time the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Handle] = []
        self.fired = 0

    def call_later(self, seconds: float, call: Callable[[], None]) -> Handle:
        self.timers.append(Handle(self.now + seconds, call))
        return self.timers[-1]

    def move(self, until: float) -> None:
        """Run every timer that is due by then, at its time."""
        while True:
            self.timers = [timer for timer in self.timers if not timer.cancelled]
            due = [timer for timer in self.timers if timer.when <= until]
            if not due:
                break
            first = min(due, key=lambda timer: timer.when)
            self.timers.remove(first)
            self.now = max(self.now, first.when)
            self.fired += 1
            first.call()
            assert self.fired < 10_000, "it spins"
        self.now = max(self.now, until)


class Due:
    """Writes down when it was called."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.at: list[float] = []

    def on_due(self) -> None:
        self.at.append(self.loop.now)


def deadlines(loop: Loop) -> Deadlines:
    return Deadlines(loop, lambda: loop.now)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.booleans()), max_size=30))
def test_each_is_called_once_within_a_grain_and_none_that_ended(
    plan: list[tuple[float, float, bool]],
) -> None:
    loop = Loop()
    all_of_them, made = deadlines(loop), []
    for start, length, ends in sorted(plan):
        loop.move(start)
        due = Due(loop)
        slot = all_of_them.add(start + length, due)
        if ends:
            all_of_them.remove(slot, due)
        made.append((due, start + length, ends))
    loop.move(100.0)
    for due, when, ends in made:
        assert len(due.at) == (not ends)
        assert all(when - 1e-6 <= at <= when + 1.01 * GRAIN_SECONDS + 1e-6 for at in due.at)
    assert not loop.timers, "an idle gateway has no timer"


def test_requests_that_end_in_time_make_about_one_timer_per_deadline() -> None:
    loop = Loop()
    all_of_them = deadlines(loop)
    for number in range(20_000):
        loop.move(number / 100)
        due = Due(loop)
        all_of_them.remove(all_of_them.add(loop.now + 10.0, due), due)
    assert loop.fired <= 21
    assert len(all_of_them._slots) <= 10.0 / GRAIN_SECONDS + 2


def test_a_slot_that_held_many_takes_no_memory_once_it_is_empty() -> None:
    loop = Loop()
    all_of_them = deadlines(loop)
    many = [Due(loop) for _ in range(5000)]
    slots = {all_of_them.add(7.0, due) for due in many}
    (slot,) = slots
    for due in many:
        all_of_them.remove(slot, due)
    assert sys.getsizeof(all_of_them._slots[slot]) < 500


def test_one_may_set_its_next_deadline_when_it_is_called() -> None:
    loop = Loop()
    all_of_them = deadlines(loop)

    class Twice(Due):
        def on_due(self) -> None:
            super().on_due()
            if len(self.at) == 1:
                all_of_them.add(self.loop.now + 1.0, self)

    due = Twice(loop)
    all_of_them.add(1.0, due)
    loop.move(10.0)
    assert len(due.at) == 2


@scenario
async def test_it_works_on_a_real_loop() -> None:
    loop = asyncio.get_running_loop()
    called: list[float] = []

    class Now:
        def on_due(self) -> None:
            called.append(loop.time())

    start = loop.time()
    Deadlines(loop, loop.time).add(start + 0.1, Now())
    await until(lambda: called)
    assert called[0] >= start + 0.1
