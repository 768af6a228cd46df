"""How much memory the processes of a replica hold (Linux: proc(5))."""

from __future__ import annotations

import os
from typing import Dict, Iterable

_WANTED = {
    "Rss": "rss_bytes",
    "Pss": "pss_bytes",
    "Private_Clean": "private_bytes",
    "Private_Dirty": "private_bytes",
}


def resident(pids: Iterable[int]) -> Dict[str, int]:
    """Resident bytes of the processes, shared pages counted once per process; takes microseconds."""
    total, page = 0, os.sysconf("SC_PAGE_SIZE")
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
                total += int(statm.read().split()[1]) * page
        except OSError:
            continue
    return {"rss_bytes": total}


def proportional(pids: Iterable[int]) -> Dict[str, int]:
    """Bytes by kind, summed over the processes: ``rss_bytes``, ``pss_bytes``, ``private_bytes``.

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
