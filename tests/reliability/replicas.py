"""Replicas of a data directory as the system knows them: by the locks that they hold for life."""

from __future__ import annotations

import os
from pathlib import Path

from services import Services


def leaders(services: Services) -> dict[str, int]:
    """Pid of the leading process of every living replica, by replica id."""
    files = {pid: _files(pid) for pid in runtime_pids(services)}
    found = {}
    for lock in services.places.runtime.glob("r-*.lock"):
        for pid, names in files.items():
            if str(lock) in names and session(pid) == pid:
                found[lock.stem.removeprefix("r-")] = pid
    return found


def zygotes(services: Services) -> set[int]:
    """Zygotes: they lead a session of the runtime and are no replica."""
    own = {pid for pid in runtime_pids(services) if session(pid) == pid}
    return own - set(leaders(services).values())


def orphans(services: Services) -> set[int]:
    """Processes of the runtime that belong neither to a zygote nor to a living replica."""
    known = set(leaders(services).values()) | zygotes(services)
    return {pid for pid in runtime_pids(services) if session(pid) not in known | {-1}}


def runtime_pids(services: Services) -> set[int]:
    """All processes of the runtime."""
    return {pid for pid, command in services.census().items() if "serving_runtime" in command}


def session(pid: int) -> int:
    """Session of a process, -1 when it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def _files(pid: int) -> set[str]:
    try:
        return {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()
