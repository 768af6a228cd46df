"""What processes cost: CPU seconds, memory, and what else the machine did meanwhile. Linux: read from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MIB = 1024 * 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, exact to nanoseconds; 0 where it is gone.

    The clock's number is made as the kernel does (``MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)``).
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def pss(pid: int) -> int:
    """Proportional memory of a process in bytes: a page shared by n counts one n-th; 0 where it is gone."""
    return _mapped(pid, "Pss:")


def rss(pid: int) -> int:
    """Resident memory of a process in bytes, shared pages in full; 0 where it is gone."""
    return _mapped(pid, "Rss:")


def _mapped(pid: int, label: str) -> int:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith(label):
            return int(line.split()[1]) * 1024
    return 0


def parents() -> dict[int, tuple[int, int]]:
    """Parent and session of every living process, by pid."""
    found = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        if fields[0] != "Z":
            found[int(entry.name)] = int(fields[1]), int(fields[3])
    return found


def family(root: int, known: Mapping[int, tuple[int, int]]) -> set[int]:
    """A process, its session and all their descendants; ``known`` as ``parents`` gives it."""
    members = {pid for pid, (_, session) in known.items() if pid == root or session == root}
    while True:
        more = {pid for pid, (parent, _) in known.items() if parent in members} - members
        if not more:
            return members
        members |= more


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor seconds since boot: of work, and those that the hypervisor took."""

    busy: float
    stolen: float

    @classmethod
    def now(cls) -> Machine:
        """Read it."""
        with (PROC / "stat").open() as stream:
            return cls.of(stream.readline(), os.sysconf("SC_CLK_TCK"))

    @classmethod
    def of(cls, line: str, ticks: int) -> Machine:
        """From the first line of /proc/stat: user nice system idle iowait irq softirq steal."""
        fields = [int(field) / ticks for field in line.split()[1:9]]
        user, nice, system, _, _, irq, softirq, steal = fields
        return cls(user + nice + system + irq + softirq, steal)


@dataclass(frozen=True, slots=True)
class Reading:
    """Clocks of a tree at one moment."""

    at: float
    tree: Mapping[int, float]
    machine: Machine
    own: float

    @classmethod
    def now(cls, pids: Iterable[int], own: Iterable[int]) -> Reading:
        """Read the clocks of the server's ``pids`` and of the benchmark's ``own`` processes."""
        return cls(
            time.monotonic(),
            {pid: cpu_seconds(pid) for pid in pids},
            Machine.now(),
            sum(map(cpu_seconds, own)),
        )


@dataclass(frozen=True, slots=True)
class Use:
    """Between two readings: CPU seconds of the tree in all and by pid, and the cores that others used."""

    cpu: float
    by_pid: Mapping[int, float]
    foreign_cores: float

    @classmethod
    def between(cls, before: Reading, after: Reading) -> Use:
        """``after.tree`` may hold processes that were not there before; all their time counts."""
        by_pid = {pid: used - before.tree.get(pid, 0.0) for pid, used in after.tree.items()}
        cpu = sum(by_pid.values())
        busy = after.machine.busy - before.machine.busy + after.machine.stolen
        others = busy - before.machine.stolen - cpu - (after.own - before.own)
        return cls(cpu, by_pid, max(others, 0.0) / max(after.at - before.at, 1e-9))
