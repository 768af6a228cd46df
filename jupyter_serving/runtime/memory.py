"""How much memory the processes of a replica hold, and what a worker does so that its hunger harms only itself."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

_WANTED = {
    "Rss": "rss_bytes",
    "Pss": "pss_bytes",
    "Private_Clean": "private_bytes",
    "Private_Dirty": "private_bytes",
    "Shared_Clean": "shared_bytes",
    "Shared_Dirty": "shared_bytes",
}
# How much sooner than its siblings the kernel ends a worker when memory runs out (of 1000, see proc(5)).
_EAGERNESS = 500
# What a worker may always take, and what threads reserve for their stacks without using it.
_LEAST, _STACKS = 64 * 1024 * 1024, 8 * 1024 * 1024


def resident(pids: Iterable[int]) -> Dict[str, int]:
    """Resident bytes of the processes, shared pages counted once per process; takes microseconds."""
    return {"rss_bytes": sum(sum(held(pid)) for pid in pids)}


def held(pid: int) -> Tuple[int, int]:
    """Bytes of memory of its own kind (anonymous) and of files that a process has in RAM; zeros when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            fields = statm.read().split()
    except OSError:
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return (int(fields[1]) - int(fields[2])) * page, int(fields[2]) * page


def proportional(pids: Iterable[int]) -> Dict[str, int]:
    """Bytes by kind, summed over the processes: ``rss_bytes``, ``pss_bytes``, ``private_bytes``, ``shared_bytes``.

    The kernel walks every page for it: some milliseconds per process.
    """
    total = dict.fromkeys(_WANTED.values(), 0)
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as rollup:
                lines = rollup.readlines()
        except OSError:
            continue
        for line in lines:
            name, _, rest = line.partition(":")
            if name in _WANTED:
                total[_WANTED[name]] += int(rest.split()[0]) * 1024
    return total


def report(pids: Mapping[str, Iterable[int]]) -> Dict[str, Any]:
    """``proportional`` of all processes together, and under ``processes`` for each role ("leader", "workers")."""
    roles = {role: proportional(of) for role, of in pids.items()}
    total = {name: sum(each[name] for each in roles.values()) for name in _WANTED.values()}
    return {**total, "processes": roles}


def trim() -> None:
    """Give freed pages back to the system, where the C library can (glibc)."""
    if sys.platform == "linux":
        give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if give_back is not None:
            give_back(0)


def volunteer() -> None:
    """Be the first that the kernel ends when memory runs out: a worker is replaced, its siblings go on."""
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            now = int(file.read())
            file.seek(0)
            file.write(str(max(now, min(1000, now + _EAGERNESS))))
    except (OSError, ValueError):
        return  # not Linux, or not allowed: then nobody is first


def limit(spec: Mapping[str, Any]) -> int:
    """Bytes that the whole replica may hold; 0 for no limit."""
    return max(0, int(spec.get("memory_bytes") or 0))


def confine(total: int, threads: int = 1) -> Optional[int]:
    """Refuse this process more memory than is left of ``total`` bytes: allocations fail, with a MemoryError in Python.

    What it holds now counts as held, so this is for the time when the model is there. Returns the limit that was set,
    None where nothing is limited. The limit is of private memory asked for (RLIMIT_DATA), used or not.
    """
    if not total or sys.platform != "linux":
        return None
    # A little less than the watch of the leader allows: a MemoryError costs a request, its verdict a worker.
    left = max(_LEAST, int(0.9 * (total - held(os.getpid())[0]))) + _STACKS * threads
    bytes_ = _data() + left
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        bytes_ = min(bytes_, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bytes_, hard))
    return bytes_


def _data() -> int:
    with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
        for line in status:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0
