"""Memory that processes hold: proportional set size, pages that several share counted by each one's share.

The kernel walks every page for it, some milliseconds per process: ask rarely, and in a thread.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from .census import own_processes

_PSS = "Pss:"
# Fields of /proc/<pid>/stat behind the command's name: state, parent, group, session (proc(5)).
_SESSION = 3


def of_process(pid: int, proc: Path = Path("/proc")) -> int:
    """Bytes of one process; 0 when it is gone, or where the system does not tell."""
    try:
        lines = (proc / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(_PSS)), 0)


def of_sessions(sessions: Collection[int], proc: Path = Path("/proc")) -> dict[int, int]:
    """Bytes of all processes of each session, by the session's id."""
    found = dict.fromkeys(sessions, 0)
    for pid in own_processes() if sessions else ():
        session = _session(pid, proc)
        if session in found:
            found[session] += of_process(pid, proc)
    return found


def _session(pid: int, proc: Path) -> int:
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[_SESSION])
