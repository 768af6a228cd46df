"""Real processes: what they used, and whose children they are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from benchmarks import accounting
from benchmarks.accounting import MIB, Machine, Reading, Use

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], start_new_session=True)
print(child.pid, flush=True)
sys.stdin.read()
"""
WORKS = """
import sys, time
block = bytearray(64 << 20)
for n in range(0, len(block), 4096): block[n] = 1
while time.process_time() < 0.3: pass
print("done", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent() -> Iterator[tuple[int, int]]:
    """Pids of a process and of its child, which has a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    yield process.pid, int(process.stdout.readline())
    process.communicate()


@pytest.fixture
def worker() -> Iterator[int]:
    """Pid of a process that has used 0.3 s and holds 64 MiB."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.communicate()


def test_a_family_crosses_sessions(parent: tuple[int, int]) -> None:
    first, child = parent
    assert accounting.family(first, accounting.parents()) == {first, child}
    assert {first, child} <= accounting.family(os.getpid(), accounting.parents())


def test_a_family_is_session_and_descendants() -> None:
    known = {1: (0, 1), 10: (1, 10), 11: (1, 10), 12: (11, 12), 13: (12, 13), 20: (1, 20)}
    assert accounting.family(10, known) == {10, 11, 12, 13}


def test_cpu_and_memory_of_another_process(worker: int) -> None:
    assert 0.3 <= accounting.cpu_seconds(worker) < 60
    assert 64 * MIB < accounting.pss(worker) <= accounting.rss(worker)


def test_a_process_that_is_gone_used_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert accounting.cpu_seconds(process.pid) == 0
    assert accounting.pss(process.pid) == 0


def test_the_machine_is_busy_with_all_but_idling_and_waiting() -> None:
    line = "cpu  100 200 300 4000 50000 100 100 50 0 0"
    assert Machine.of(line, 100) == Machine(busy=8.0, stolen=0.5)


def test_use_between_two_readings_counts_who_came_late() -> None:
    before = Reading(10.0, {1: 5.0}, Machine(100.0, 1.0), 2.0)
    after = Reading(12.0, {1: 5.5, 2: 0.25}, Machine(102.0, 1.5), 2.25)
    use = Use.between(before, after)
    assert use.cpu == 0.75
    assert use.by_pid == {1: 0.5, 2: 0.25}
    assert use.foreign_cores == (2.0 + 0.5 - 0.75 - 0.25) / 2


def test_a_reading_of_ourselves() -> None:
    before = Reading.now([os.getpid()], [])
    while time.process_time() and Reading.now([os.getpid()], []).tree == before.tree:
        pass
    assert Use.between(before, Reading.now([os.getpid()], [])).cpu > 0
