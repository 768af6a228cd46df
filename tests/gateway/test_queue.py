from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jupyter_serving.gateway.endpoint import Replica
from jupyter_serving.gateway.queue import Change, Grant, QueueFull, Queues

LIMIT = 5
NAMES = st.sampled_from(["a", "b", "c", "d"])


def queues(*replicas: Replica, limit: int = LIMIT, key: str = "k") -> Queues[int]:
    fresh: Queues[int] = Queues()
    fresh.apply([], [(key, limit, replicas)])
    return fresh


class QueueMachine(RuleBasedStateMachine):
    """A model of one queue, kept in a plain list, against the real one under all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.real = queues()
        self.waiting: deque[int] = deque()
        self.running: dict[int, object] = {}
        self.last = 0
        self.replicas: tuple[Replica, ...] = ()

    def start(self, grants: list[Grant[int]]) -> None:
        for grant in grants:
            assert self.waiting.popleft() == grant.ticket, "not first in, first out"
            assert grant.ticket not in self.running
            self.running[grant.ticket] = grant.member

    @rule()
    def offer(self) -> None:
        self.last += 1
        try:
            member = self.real.offer("k", self.last)
        except QueueFull:
            assert len(self.waiting) == LIMIT
            return
        if member is None:
            self.waiting.append(self.last)
            assert len(self.waiting) <= LIMIT
        else:
            self.running[self.last] = member

    @rule(index=st.integers(min_value=0, max_value=20), again=st.booleans())
    def finish(self, index: int, again: bool) -> None:
        if not self.running:
            return
        ticket = list(self.running)[index % len(self.running)]
        member = self.running.pop(ticket)
        if again and len(self.waiting) < LIMIT:
            self.waiting.appendleft(ticket)
            self.start(self.real.put_back("k", ticket))
        self.start(self.real.release(member))  # type: ignore[arg-type]
        self.real.retire(member)  # type: ignore[arg-type]

    @rule(index=st.integers(min_value=0, max_value=20))
    def withdraw(self, index: int) -> None:
        if self.waiting:
            ticket = self.waiting[index % len(self.waiting)]
            self.waiting.remove(ticket)
            assert self.real.withdraw("k", ticket)
        assert not self.real.withdraw("k", -1)

    @rule(
        slots=st.dictionaries(NAMES, st.integers(min_value=0, max_value=3), max_size=4),
        draining=st.sets(NAMES),
        capacity=st.integers(min_value=0, max_value=6),
    )
    def change(self, slots: dict[str, int], draining: set[str], capacity: int) -> None:
        self.replicas = tuple(
            Replica(n, "unix:" + n, s, n in draining, capacity) for n, s in slots.items()
        )
        self.start(self.real.apply(["k"], [("k", LIMIT, self.replicas)]).grants)

    @rule(name=NAMES, capacity=st.integers(min_value=1, max_value=4))
    def narrow(self, name: str, capacity: int) -> None:
        member = self.real.members.get(name)
        if member is not None:
            member.narrow(capacity)

    @rule(name=NAMES, on=st.booleans())
    def suspend(self, name: str, on: bool) -> None:
        member = self.real.members.get(name)
        if member is not None and on:
            self.real.suspend(member)
        elif member is not None:
            self.start(self.real.resume(member))

    @invariant()
    def nothing_is_lost_or_run_twice(self) -> None:
        assert list(self.real.lanes["k"].waiting) == list(self.waiting)
        assert not set(self.waiting) & set(self.running)
        held = list(self.running.values())
        for member in self.real.members.values():
            assert member.in_flight == held.count(member)

    @invariant()
    def no_request_waits_beside_a_free_slot(self) -> None:
        assert not self.waiting or self.real.lanes["k"].pick() is None


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class SlotMachine(RuleBasedStateMachine):
    """Slots are never exceeded as long as nobody lowers them, whichever config a replica belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.real: Queues[int] = Queues()
        self.running: list[object] = []
        self.last, self.version = 0, 0
        self.move(["a", "b"])

    @rule(names=st.lists(NAMES, unique=True))
    def move(self, names: list[str]) -> None:
        gone = f"k{self.version}"
        self.version += 1
        lane = (f"k{self.version}", 3, [Replica(n, "unix:" + n, 2) for n in names])
        change: Change[int] = self.real.apply([gone], [lane])
        assert not change.grants
        for ticket in change.homeless:
            member = self.real.offer(f"k{self.version}", ticket, accepted=True)
            self.running += [member] if member else []

    @rule()
    def offer(self) -> None:
        self.last += 1
        try:
            member = self.real.offer(f"k{self.version}", self.last)
        except QueueFull:
            return
        self.running += [member] if member else []

    @rule()
    def finish(self) -> None:
        if self.running:
            member = self.running.pop()
            self.running += [g.member for g in self.real.release(member)]  # type: ignore[arg-type]
            self.real.retire(member)  # type: ignore[arg-type]

    @invariant()
    def slots_are_hard(self) -> None:
        for member in self.running:
            assert self.running.count(member) == member.in_flight <= 2  # type: ignore[attr-defined]
        names = [member.id for member in set(self.running)]  # type: ignore[attr-defined]
        assert len(names) == len(set(names)), "two records of one replica would double its slots"


TestSlots = SlotMachine.TestCase
TestSlots.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_replica_that_is_least_loaded_for_its_capacity_is_chosen() -> None:
    real = queues(Replica("a", "unix:a", 1), Replica("b", "unix:b", 1, capacity=3))
    chosen = [real.offer("k", n) for n in range(4)]
    assert [m.id for m in chosen if m] == ["b", "a", "b", "b"]
    assert real.offer("k", 5) is None
    assert (real.lanes["k"].slots, real.lanes["k"].capacity) == (2, 4)
    assert real.lanes["k"].held() == {"a": 1, "b": 3}


def test_a_replica_that_lowers_its_capacity_gets_no_more_until_it_has_room() -> None:
    real = queues(Replica("a", "unix:a", 1, capacity=4))
    first, *_ = [real.offer("k", n) for n in range(3)]
    assert first is not None
    first.narrow(2)
    assert real.offer("k", 3) is None
    assert real.release(first) == []
    assert [grant.ticket for grant in real.release(first)] == [3]


def test_the_controller_cannot_raise_what_the_replica_lowered() -> None:
    real = queues(Replica("a", "unix:a", 1, capacity=4))
    real.members["a"].narrow(1)
    real.apply(["k"], [("k", LIMIT, [Replica("a", "unix:a", 1, capacity=4)])])
    assert real.lanes["k"].capacity == 1


def test_the_bound_counts_waiting_requests_only() -> None:
    real = queues(Replica("a", "unix:a", 1), limit=1)
    assert real.offer("k", 1) and real.offer("k", 2) is None
    with pytest.raises(QueueFull) as caught:
        real.offer("k", 3)
    assert (caught.value.waiting, caught.value.limit) == (1, 1)
    assert real.offer("k", 4, accepted=True) is None


def test_a_draining_replica_finishes_and_is_then_drained() -> None:
    real = queues(Replica("a", "unix:a", 1))
    member = real.offer("k", 1)
    assert member is not None
    assert real.apply([], [("k", LIMIT, [Replica("a", "unix:a", 1, True)])]).drained == []
    assert real.offer("k", 2) is None
    assert real.release(member) == []
    assert real.retire(member)
    assert real.apply([], [("k", LIMIT, [Replica("a", "unix:a", 1, True)])]).drained == ["a"]


def test_a_removed_idle_replica_is_drained_at_once_and_forgotten() -> None:
    real = queues(Replica("a", "unix:a", 1))
    assert real.apply(["k"], []).drained == ["a"]
    assert real.members == {}


def test_requests_of_a_vanished_key_become_homeless_in_order() -> None:
    real = queues()
    for ticket in (1, 2, 3):
        assert real.offer("k", ticket) is None
    assert real.apply(["k"], [("new", LIMIT, [])]).homeless == [1, 2, 3]
    assert "k" not in real.lanes


def test_a_flushed_queue_is_empty() -> None:
    real = queues()
    real.offer("k", 1)
    assert real.flush("k") == [1]
    assert real.flush("k") == []
