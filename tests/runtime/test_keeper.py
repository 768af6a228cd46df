from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from .conftest import Replica, Spawner
from .harness import ask_later, children, eventually, gone
from .test_replica import waits, worker_pids

ROW = {"dataframe_records": [{"x": 2}]}
DOUBLED = {"predictions": [{"x": 4}]}


def keeper_pid(replica: Replica) -> int:
    """The process that keeps the model: the one child of the leader that is neither front nor worker."""
    known = {replica.status()["front_pid"], *worker_pids(replica)}
    return next(iter(set(children(replica.pid)) - known), 0)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_workers_are_forks_of_one_load_and_children_of_the_leader(spawn: Spawner):
    replica = spawn("iris", slots=3)
    log = replica.log()
    assert log.count("model loaded in") == 1
    assert "leader: workers: fork (a first fork has predicted the model's example)" in log
    assert [parent(pid) for pid in worker_pids(replica)] == [replica.pid] * 3
    assert len(set(worker_pids(replica))) == 3
    assert keeper_pid(replica)


def test_a_model_without_an_example_is_forked_after_the_look_at_threads_alone(spawn: Spawner):
    replica = spawn("double", slots=2)
    assert "workers: fork (the load left no thread, device or open file" in replica.log()
    assert replica.invoke(ROW).json == DOUBLED


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("thread", "left a Python thread running"),
        ("file", "keeps a file or a connection open"),
        ("connection", "keeps a file or a connection open"),
        ("process", "started a process"),
        ("hangs_in_forks", "did not end its prediction in time"),
        ("dies_in_forks", "died in its prediction"),
    ],
)
def test_what_forks_could_not_use_is_loaded_by_each_worker(spawn: Spawner, model: str, why: str):
    replica = spawn(model, slots=2, proof_seconds=0.5)
    assert "leader: workers: spawn (" in replica.log()
    assert why in replica.log()
    assert replica.log().count("model loaded in") == 2
    assert keeper_pid(replica) == 0
    assert replica.invoke(ROW).json == DOUBLED
    # whichever worker it was, a replacement serves too
    for pid in worker_pids(replica):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: replica.log().count("model loaded in") == 4, "both load again")
    assert replica.ready().status == 200
    assert replica.invoke(ROW).json == DOUBLED


def test_a_worker_that_is_killed_is_replaced_within_two_seconds(spawn: Spawner, models: Path):
    replica = spawn("iris", slots=2)
    body = (models / "iris" / "serving_input_example.json").read_bytes()
    for _ in range(3):
        before = set(worker_pids(replica))
        began = time.monotonic()
        os.kill(min(before), signal.SIGKILL)
        eventually(lambda before=before: before != set(worker_pids(replica)), "it is missed")
        assert replica.ready().status == 200
        # some 0.3 s, most of it the wait for the dead one's last words
        assert time.monotonic() - began < 2
        assert replica.invoke(body).status == 200


def test_a_dead_keeper_harms_no_worker_and_comes_back_when_one_is_needed(
    spawn: Spawner, short: Path
):
    replica = spawn("waits", slots=2)
    before, keeper = worker_pids(replica), keeper_pid(replica)
    body, begun, go = waits(short, "a")
    running = ask_later(replica.address, "POST", "/invocations", body)
    eventually(begun.exists, "a prediction has begun")
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: "the keeper ended: killed by SIGKILL" in replica.log(), "it is missed")
    go.touch()
    assert running.reply().status == 200
    assert worker_pids(replica) == before
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: before[0] not in worker_pids(replica), "the death is noticed")
    assert replica.ready().status == 200
    assert replica.log().count("model loaded in") == 2
    assert keeper_pid(replica) not in (0, keeper)


def test_a_keeper_that_does_not_fork_any_more_is_replaced(spawn: Spawner):
    replica = spawn("double", fork_seconds=0.5)
    keeper, before = keeper_pid(replica), worker_pids(replica)
    os.kill(keeper, signal.SIGSTOP)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: gone(keeper), "the keeper is ended")
    eventually(lambda: worker_pids(replica) not in ([], before), "there is a new worker")
    assert replica.ready().status == 200
    assert "does not fork any more" in replica.log()


def test_a_model_that_is_gone_when_its_keeper_is_needed_makes_the_replica_unready(
    spawn: Spawner, short: Path, models: Path
):
    own = short / "model"
    shutil.copytree(models / "double", own)
    replica = spawn(os.path.relpath(own, models), slots=2)
    shutil.rmtree(own)
    before = worker_pids(replica)
    os.kill(keeper_pid(replica), signal.SIGKILL)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: replica.ready(0).status == 503, "it is told")
    eventually(lambda: "processes ended within" in replica.ready(0).json["message"], "a crash loop")
    assert "No such artifact" in replica.ready(0).json["message"]
    # the other one serves on
    assert worker_pids(replica) == [before[1]]
    assert replica.invoke(ROW).json == DOUBLED


def test_libraries_have_one_thread_at_the_load_and_the_slots_share_after(spawn: Spawner):
    replica = spawn("threads_told", cpu_share=3)
    assert replica.invoke(ROW).json == {"predictions": ["1", "3"]}


def test_forks_draw_different_random_numbers(spawn: Spawner):
    replica = spawn("random")
    drawn = [replica.invoke(ROW).json["predictions"]]
    # the next fork has the same memory as the first one had
    before = worker_pids(replica)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: worker_pids(replica) not in ([], before), "it is replaced")
    drawn.append(replica.invoke(ROW).json["predictions"])
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]
