"""Which worker has to end before memory runs out: of its replica, or of the machine.

Looked at a few times a second from the leader, through files that the kernel fills in microseconds. What a worker
shares with the process that it was forked from counts once.
"""

from __future__ import annotations

import os
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from . import memory, process

# Seconds between two looks: at a replica with a limit; at the machine.
OFTEN, SELDOM = 0.25, 1.0
# The machine is nearly out of memory below this part of it; a worker that holds less than this part frees too little.
SCARCE = 0.02
# A killed process takes a moment to give back what it held (seconds).
PAUSE = 2.0

Space = Tuple[int, int]


class Victim(NamedTuple):
    """A worker that has to end; ``status`` stands for the exit status, with the reason (``process.describe``)."""

    pid: int
    status: int
    held: int


class Watch:
    """``limit``: bytes for the whole replica, 0 for none.

    ``held`` gives a process's bytes (its own, of files); ``space`` the machine's bytes (in all, available).
    """

    def __init__(
        self,
        limit: int,
        held: Callable[[int], Tuple[int, int]] = memory.held,
        space: Optional[Callable[[], Space]] = None,
    ) -> None:
        self._limit = limit
        self._held = held
        self._space = space or Machine().space
        self._quiet_until = 0.0
        self.next = 0.0

    def look(self, now: float, parent: int, workers: Iterable[int]) -> Optional[Victim]:
        """Look once; ``parent`` is the process that the workers were forked from."""
        self.next = now + (OFTEN if self._limit else SELDOM)
        if now < self._quiet_until:
            return None
        victim = self._judge(parent, list(workers))
        if victim is not None:
            self._quiet_until = now + PAUSE
        return victim

    def _judge(self, parent: int, workers: List[int]) -> Optional[Victim]:
        scarce = self._scarce()
        if not workers or not (self._limit or scarce):
            return None
        base = self._held(parent)[0]
        grown: Dict[int, int] = {pid: max(0, self._held(pid)[0] - base) for pid in workers}
        worst = max(grown, key=lambda pid: grown[pid])
        if self._limit and base + sum(grown.values()) > self._limit:
            return Victim(worst, process.over_memory(self._limit), grown[worst])
        if scarce and grown[worst] >= scarce:
            return Victim(worst, process.MACHINE_FULL, grown[worst])
        return None

    def _scarce(self) -> int:
        """Bytes that a worker must hold for its end to help; 0 while the machine has memory."""
        total, available = self._space()
        return int(total * SCARCE) if available < total * SCARCE else 0


class Machine:
    """This machine's memory, or that of the control group that we run in where it is smaller.

    ``proc`` and ``groups`` are where the kernel's files are.
    """

    def __init__(self, proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> None:
        self._meminfo = os.path.join(proc, "meminfo")
        self._group = _group(proc, groups)

    def space(self) -> Space:
        """Bytes in all and available; (0, 0) where nobody tells."""
        total, available = self._whole()
        if self._group is None:
            return total, available
        folder, limit_file, usage_file, cache = self._group
        limit = _number(os.path.join(folder, limit_file))
        if not limit or limit >= total:
            return total, available
        left = limit - _number(os.path.join(folder, usage_file))
        if left < limit * SCARCE:
            left += _field(os.path.join(folder, "memory.stat"), cache)
        return limit, min(available, max(0, left))

    def _whole(self) -> Space:
        return (
            _field(self._meminfo, "MemTotal:") * 1024,
            _field(self._meminfo, "MemAvailable:") * 1024,
        )


def _group(proc: str, groups: str) -> Optional[Tuple[str, str, str, str]]:
    """Folder of our memory control group, its files for limit and usage, the name of the page cache in memory.stat."""
    try:
        with open(os.path.join(proc, "self", "cgroup"), encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return None
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            folder = os.path.join(groups, "memory", path.lstrip("/"))
            found = (folder, "memory.limit_in_bytes", "memory.usage_in_bytes")
            cache = "total_inactive_file"
        elif not controllers:
            folder = os.path.join(groups, path.lstrip("/"))
            found, cache = (folder, "memory.max", "memory.current"), "inactive_file"
        else:
            continue
        if os.path.exists(os.path.join(folder, found[1])):
            return (*found, cache)
    return None


def _number(path: str) -> int:
    """The number in a file; 0 for "max" and where there is none."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _field(path: str, name: str) -> int:
    """The number after ``name`` at the start of a line."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                words = line.split(None, 2)
                if len(words) > 1 and words[0] == name:
                    return int(words[1])
    except OSError:
        return 0
    return 0
