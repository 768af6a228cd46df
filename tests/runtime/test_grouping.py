from __future__ import annotations

from collections import deque

import pytest

from jupyter_serving.runtime import calls, frames
from jupyter_serving.runtime.grouping import GROUP_BYTES, Grouping


def waiting(*most: int, size: int = 10) -> deque[calls.Call]:
    queue: deque[calls.Call] = deque()
    for number in most:
        queue.append(calls.Call(frames.INVOCATION, b"", b"x" * size, 1.0, calls.NOBODY))
        queue[-1].most = number
    return queue


@pytest.fixture
def grouping() -> Grouping:
    made = Grouping(2)
    made.learn([{"max_size": 8, "reason": "measured"}, {"max_size": 16, "reason": ""}])
    return made


@pytest.mark.parametrize(
    ("count", "idle", "sizes"),
    [
        (1, 1, [1]),
        (5, 1, [5]),
        (5, 2, [3, 2]),
        (7, 3, [3, 2, 2]),
        (2, 4, [1, 1]),
        (20, 1, [8]),
        (20, 2, [8, 8]),
    ],
)
def test_idle_workers_share_what_waits(grouping: Grouping, count: int, idle: int, sizes: list[int]):
    queue, taken = waiting(*[calls.MANY] * count), []
    while idle and queue:
        taken.append(len(grouping.take(queue, idle, 32)))
        idle -= 1
    assert taken == sizes


def test_a_group_ends_before_a_call_that_has_to_be_alone(grouping: Grouping):
    queue = waiting(calls.MANY, calls.MANY, 1, calls.MANY)
    first = queue[0]
    assert grouping.take(queue, 1, 32)[0] is first
    assert [len(grouping.take(queue, 1, 32)) for _ in range(2)] == [1, 1]
    assert not queue


def test_a_group_keeps_to_the_size_of_its_worker_and_to_its_bytes(grouping: Grouping):
    assert len(grouping.take(waiting(*[calls.MANY] * 9), 1, 4)) == 4
    large = waiting(*[calls.MANY] * 9, size=GROUP_BYTES // 3)
    assert len(grouping.take(large, 1, 32)) == 3
    assert len(grouping.take(waiting(calls.MANY, calls.MANY, size=GROUP_BYTES), 1, 32)) == 1


def test_the_smallest_size_holds_for_all_and_capacity_is_all_slots_full(grouping: Grouping):
    assert (grouping.max_size, grouping.reason, grouping.capacity) == (8, "measured", 16)


def test_switched_off_is_told_once_and_stays(grouping: Grouping):
    grouping.switch_off("it lies")
    grouping.switch_off("it lies again")
    grouping.learn([{"max_size": 8}])
    assert (grouping.max_size, grouping.reason, grouping.capacity) == (1, "it lies", 2)
    assert [grouping.news(), grouping.news()] == ["it lies", ""]


def test_before_a_worker_is_ready_nothing_is_joined():
    assert len(Grouping(1).take(waiting(calls.MANY, calls.MANY), 1, 32)) == 1


@pytest.mark.parametrize(
    ("headers", "what", "most", "lines"),
    [
        ({}, frames.INVOCATION, calls.MANY, b""),
        (
            {"content-type": "application/json", "host": "x"},
            frames.INVOCATION,
            calls.MANY,
            b"content-type: application/json",
        ),
        ({"content-type": "text/csv"}, frames.INVOCATION, 1, b"content-type: text/csv"),
        (
            {"content-type": "application/json", "content-encoding": "gzip"},
            frames.INVOCATION,
            1,
            b"content-encoding: gzip\ncontent-type: application/json",
        ),
        ({"x-serving-model": "m"}, frames.V2, 1, b"x-serving-model: m"),
    ],
)
def test_what_no_fast_path_takes_is_alone_from_the_start(
    headers: dict[str, str], what: int, most: int, lines: bytes
):
    made = calls.call(what, headers, b"", 1.0, calls.NOBODY)
    assert (made.most, made.headers) == (most, lines)


@pytest.mark.parametrize(
    ("processors", "busy", "waiting", "room"),
    [
        (2, 0, 1, 1),
        (2, 1, 7, 0),  # they are the next group of the one that computes
        (2, 1, 8, 1),  # a whole group waits
        (2, 2, 8, 0),
        (8, 1, 3, 3),
        (1, 0, 1, 1),
        (1, 1, 20, 0),
    ],
)
def test_a_further_worker_needs_a_processor_or_a_whole_group(
    processors: int, busy: int, waiting: int, room: int
):
    made = Grouping(4, processors)
    made.learn([{"max_size": 8, "reason": "measured"}])
    assert made.room(busy, waiting) == room


def test_one_by_one_every_worker_may_compute():
    made = Grouping(4, 2)
    assert made.room(3, 1) > 0
    made.learn([{"max_size": 8, "reason": "measured"}])
    made.switch_off("answers depend on the group")
    assert made.room(3, 1) > 0
