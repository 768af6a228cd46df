"""One request that takes memory without end costs nobody else theirs."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.conftest import (  # noqa: F401 - fixtures
    Replica,
    Spawner,
    models,
    package_parent,
    peer,
    short,
    spawn,
    zygote_folder,
)
from runtime.harness import ask_later, eventually

HARMLESS = {"dataframe_records": [{"how": "not"}]}
LIMIT = 600_000_000


def hoard(replica: Replica, how: str, meanwhile: int = 200) -> tuple[int, str]:
    """Have one worker take memory, and send harmless requests until it has been answered: status and body of that."""
    greedy = ask_later(
        replica.address, "POST", "/invocations", {"dataframe_records": [{"how": how}]}
    )
    count = 0
    while greedy.thread.is_alive() or count < meanwhile:
        reply = replica.invoke(HARMLESS)
        assert reply.status == 200, reply.body
        count += 1
    answer = greedy.reply()
    return answer.status, answer.body.decode()


def test_a_limit_of_memory_fails_the_request_that_hits_it_and_no_other(
    spawn: Spawner,  # noqa: F811
):
    replica = spawn("hoards", slots=2, memory_bytes=LIMIT)
    before = {worker["pid"] for worker in replica.status()["workers"]}
    status, body = hoard(replica, "within")
    assert status == 400
    assert "MemoryError" in body
    # it cost a request and no worker
    assert {worker["pid"] for worker in replica.status()["workers"]} == before
    assert replica.ready(0).status == 200


def test_a_worker_beyond_its_replicas_limit_ends_with_the_reason_and_is_replaced(
    spawn: Spawner,  # noqa: F811
):
    replica = spawn("hoards", slots=2, memory_bytes=LIMIT)
    before = {worker["pid"] for worker in replica.status()["workers"]}
    status, body = hoard(replica, "beyond")
    assert status == 502
    assert "over its memory limit of 600 MB" in body
    assert "over its memory limit of 600 MB" in replica.log()
    assert replica.ready().status == 200
    after = {worker["pid"] for worker in replica.status()["workers"]}
    assert len(after) == 2
    assert len(after & before) == 1


def test_workers_are_the_first_that_the_kernel_ends_and_nobody_else_is(
    spawn: Spawner,  # noqa: F811
):
    replica = spawn("hoards", slots=2)
    own = int(Path("/proc/self/oom_score_adj").read_text())
    workers = {worker["pid"] for worker in replica.status()["workers"]}
    adjusted = {
        pid: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in replica.processes()
    }
    assert {pid for pid, value in adjusted.items() if value == own + 500} == workers
    assert {pid for pid, value in adjusted.items() if value == own} == set(adjusted) - workers
    # a replacement too
    victim = min(workers)
    os.kill(victim, 9)
    eventually(
        lambda: len({w["pid"] for w in replica.status()["workers"]} - {victim}) == 2, "replaced"
    )
    fresh = {worker["pid"] for worker in replica.status()["workers"]}
    for pid in fresh:
        eventually(
            lambda pid=pid: (
                int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == min(1000, own + 500)
            ),
            "the kernel is told",
        )
