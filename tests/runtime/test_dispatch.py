from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .harness import PATIENCE, eventually
from .inline import PathScorer, Replica, rows

Start = Callable[..., Replica]


@pytest.fixture
def start(short: Path) -> Iterator[Start]:
    started: list[Replica] = []

    def run(*scorers: Any, **more: Any) -> Replica:
        started.append(Replica(short, scorers, **more))
        return started[-1]

    yield run
    for replica in started:
        replica.stop()


class Gate:
    """A model that doubles; a row of 0 waits until ``go``. ``groups``: rows of each prediction."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.groups: list[list[float]] = []

    def __call__(self, data: np.ndarray) -> np.ndarray:
        self.groups.append(data[:, 0].tolist())
        if 0 in data:
            assert self.go.wait(PATIENCE)
        return data[:, 0] * 2

    def held(self) -> bool:
        return bool(self.groups) and 0 in self.groups[-1]


def hold(replica: Replica, *gates: Gate) -> list[Any]:
    """Keep every worker busy."""
    held = [replica.later(rows(0)) for _ in gates]
    eventually(lambda: all(gate.held() for gate in gates), "all workers are busy")
    return held


def test_what_waits_for_a_busy_worker_is_computed_together(start: Start):
    gate = Gate()
    replica = start(PathScorer(gate))
    (first,) = hold(replica, gate)
    later = replica.queue(*(rows(value) for value in (1, 2, 3)))
    gate.go.set()
    assert [each.reply().json["predictions"] for each in later] == [[2], [4], [6]]
    # the last: one member compared, alone, after the answers
    eventually(lambda: gate.groups == [[0], [1, 2, 3], [2]], "one member is compared")
    assert "batch" not in first.reply().headers["server-timing"]
    assert later[0].reply().headers["server-timing"].endswith(", batch;desc=3")
    assert replica.status()["batch"]["sizes"] == {"1": 1, "3": 1}


def test_an_idle_worker_computes_at_once_what_is_there(start: Start):
    gate = Gate()
    replica = start(PathScorer(gate))
    for value in (1, 2, 3):
        assert replica.invoke(rows(value)).json == {"predictions": [2 * value]}
    assert gate.groups == [[1], [2], [3]]


def test_a_group_is_never_larger_than_the_worker_takes(start: Start):
    gate = Gate()
    replica = start(PathScorer(gate), batch=4)
    hold(replica, gate)
    later = replica.queue(*(rows(value) for value in range(1, 7)))
    gate.go.set()
    for each in later:
        assert each.reply().status == 200
    assert [1, 2, 3, 4] in gate.groups
    assert [5, 6] in gate.groups


def test_large_bodies_are_not_joined(start: Start):
    gate = Gate()
    replica = start(PathScorer(gate))
    hold(replica, gate)
    padding = " " * 700_000
    later = replica.queue(*({**rows(value), "x": padding} for value in (1, 2)))
    gate.go.set()
    assert [each.reply().json["predictions"] for each in later] == [[2], [4]]
    assert [1, 2] not in gate.groups


def test_what_is_not_plain_is_sent_back_and_computed_alone(start: Start):
    gate = Gate()
    scorer = PathScorer(gate)
    replica = start(scorer)
    hold(replica, gate)
    later = replica.queue(rows(1), {"instances": "nonsense"}, rows(3))
    gate.go.set()
    assert [each.reply().status for each in later] == [200, 400, 200]
    assert later[1].reply().headers["x-why"] == "slow"
    assert scorer.answered[1:] == [b'{"instances": "nonsense"}']
    assert [1, 3] in gate.groups


def test_a_deadline_that_passes_in_the_queue_harms_nobody(start: Start):
    gate = Gate()
    replica = start(PathScorer(gate))
    hold(replica, gate)
    later = replica.queue(rows(1), rows(2))
    reply = replica.invoke(rows(3), x_serving_deadline=str(time.time() + 0.3))
    assert (reply.status, reply.json["error_code"]) == (504, "DEADLINE_EXCEEDED")
    assert not replica.killed(101)
    gate.go.set()
    assert [each.reply().status for each in later] == [200, 200]


class Stuck:
    """Doubles; hangs on two or more rows until ``go``; one row is never a problem."""

    def __init__(self) -> None:
        self.first, self.go = Gate(), threading.Event()
        self.stuck = threading.Event()

    def __call__(self, data: np.ndarray) -> np.ndarray:
        if len(data) > 1:
            self.stuck.set()
            assert self.go.wait(PATIENCE)
        return self.first(data)


def test_mates_of_a_request_that_ran_out_of_time_are_run_again(start: Start):
    stuck, fresh = Stuck(), Gate()
    replica = start(PathScorer(stuck))
    hold(replica, stuck.first)
    later = replica.queue(rows(1), rows(2))
    late = replica.queue(rows(3), x_serving_deadline=str(time.time() + 2.0))
    stuck.first.go.set()
    assert stuck.stuck.wait(PATIENCE)
    reply = late[0].reply()
    assert reply.status == 504
    assert "during the prediction" in reply.json["message"]
    eventually(lambda: replica.killed(101), "the leader is told to end the worker")
    assert replica.status()["queued"] == 2
    replica.die(1, 101)
    replica.add(1, 201, PathScorer(fresh))
    assert [each.reply().json["predictions"] for each in later] == [[2], [4]]
    assert fresh.groups == [[1], [2]]
    stuck.go.set()


def test_a_group_whose_worker_dies_is_run_again_one_by_one_and_only_once(start: Start):
    stuck, second = Stuck(), Gate()
    replica = start(PathScorer(stuck))
    hold(replica, stuck.first)
    later = replica.queue(rows(1), rows(0), rows(2))
    stuck.first.go.set()
    assert stuck.stuck.wait(PATIENCE)
    replica.die(1, 101)
    replica.add(1, 201, PathScorer(second))
    # the second member kills its next worker too: it is the guilty one
    eventually(second.held, "it runs alone")
    assert second.groups == [[1], [0]]
    replica.die(1, 201)
    assert later[1].reply().status == 502
    assert "SIGKILL" in later[1].reply().json["message"]
    replica.add(1, 301, PathScorer(Gate()))
    assert [later[place].reply().status for place in (0, 2)] == [200, 200]
    for gate in (stuck, second):
        gate.go.set()


def test_answers_that_depend_on_the_group_end_batching_in_the_whole_replica(start: Start):
    gates = [Gate(), Gate()]

    def mean(data: np.ndarray) -> np.ndarray:
        doubled = gates[0](data)
        return doubled - doubled.mean() if len(data) > 1 else doubled

    replica = start(PathScorer(mean), PathScorer(gates[1]))
    hold(replica, *gates)
    assert replica.status()["capacity"] == 64
    later = replica.queue(*(rows(value) for value in (1, 2, 3)))
    gates[0].go.set()
    for each in later:
        assert each.reply().status == 200
    status = eventually(
        lambda: (found := replica.status())["capacity"] == 2 and found, "batching is off"
    )
    assert status["batch"]["max_size"] == 1
    assert "another answer among 3 than alone" in status["batch"]["reason"]
    told = replica.invoke(rows(5))
    assert '"capacity": 2, "text": "Batching is switched off' in told.headers["x-serving-notice"]
    assert "x-serving-notice" not in replica.invoke(rows(5)).headers
    gates[1].go.set()
    # a new worker cannot bring it back
    replica.die(1, 101)
    replica.add(1, 201, PathScorer(Gate()))
    eventually(lambda: len(replica.status()["workers"]) == 2, "the worker is replaced")
    assert replica.status()["capacity"] == 2


def test_a_client_that_leaves_is_not_run_again(start: Start):
    stuck, second = Stuck(), Gate()
    replica = start(PathScorer(stuck))
    hold(replica, stuck.first)
    leaving = replica.http()
    leaving.request("POST", "/invocations", '{"instances": [[7]]}')
    eventually(lambda: replica.status()["queued"] == 1, "it waits")
    later = replica.queue(rows(1), rows(2))
    stuck.first.go.set()
    assert stuck.stuck.wait(PATIENCE)
    leaving.close()
    replica.status()  # the front has seen the end of the connection
    replica.die(1, 101)
    replica.add(1, 201, PathScorer(second))
    assert [each.reply().status for each in later] == [200, 200]
    assert second.groups == [[1], [2]]
    stuck.go.set()


def test_many_deadlines_need_no_timer_each(start: Start):
    gate = Gate()
    replica = start(PathScorer(gate))
    hold(replica, gate)
    later = [
        replica.later(rows(n), x_serving_deadline=str(time.time() + 0.5)) for n in range(1, 30)
    ]
    assert {each.reply().status for each in later} == {504}
    assert replica.status()["queued"] == 0
    gate.go.set()
