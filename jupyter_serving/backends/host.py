"""What this machine, or the control group that we run in, has to give."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import pressure
from .base import HostCapacity
from .gpus import Gpu

_CGROUPS = Path("/sys/fs/cgroup")


def capacity(
    proc: Path = Path("/proc"),
    cgroups: Path = _CGROUPS,
    data: Path | None = None,
    devices: Sequence[Gpu] = (),
) -> HostCapacity:
    """What we may use in all and now (bytes), within the limits of control groups, and how contended it is.

    Args:
        proc: where /proc is.
        cgroups: where control groups are mounted.
        data: the directory whose disk counts.
        devices: its GPUs, as ``gpus.found`` tells.
    """
    total, available = _memory(proc)
    cpus = float(_affinity())
    groups = list(_groups(proc, cgroups))
    for group in groups:
        cpus = min(cpus, _cpu_limit(group) or cpus)
        limit = _memory_limit(group)
        if limit is not None and limit < total:
            total = limit
        if limit is not None:
            available = min(available, max(0, limit - _memory_used(group)))
    return HostCapacity(
        cpus,
        total,
        min(available, total),
        len(devices),
        tuple(device.memory_bytes for device in devices),
        tuple(device.memory_free for device in devices),
        pressure.waited("cpu", groups, proc),
        pressure.waited("memory", groups, proc),
        *(disk(data) if data is not None else (0, 0)),
    )


def disk(place: Path) -> tuple[int, int]:
    """Bytes of the disk where ``place`` is, and those that this user may still write; zeros where not known."""
    try:
        known = shutil.disk_usage(place)
    except OSError:
        return 0, 0
    return known.total, known.free


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def _memory(proc: Path) -> tuple[int, int]:
    try:
        text = (proc / "meminfo").read_text()
    except OSError:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return total, total // 2  # macOS does not tell without a tool: half is a careful guess
    figures = {name: int(kb) * 1024 for name, kb in re.findall(r"(\w+):\s+(\d+) kB", text)}
    return figures["MemTotal"], figures.get("MemAvailable", figures["MemFree"])


def _groups(proc: Path, cgroups: Path) -> Iterator[Path]:
    """Our control group and those above it, of version 2 and of version 1's two controllers."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers and not {"memory", "cpu"} & set(names):
            continue
        root = cgroups / controllers if controllers else cgroups
        group = root / path.lstrip("/")
        while group != root and root in group.parents:
            yield group
            group = group.parent
        yield root


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _cpu_limit(group: Path) -> float | None:
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    try:
        first, second = (group / "cpu.max").read_text().split()
        quota, period = (None if first == "max" else int(first)), int(second)
    except (OSError, ValueError):
        pass
    return quota / period if quota and period and quota > 0 else None


def _memory_limit(group: Path) -> int | None:
    limit = _number(group / "memory.max")
    return limit if limit is not None else _number(group / "memory.limit_in_bytes")


def _memory_used(group: Path) -> int:
    """What is in use and cannot be given back: the page cache that is not active can."""
    used = _number(group / "memory.current")
    used = used if used is not None else (_number(group / "memory.usage_in_bytes") or 0)
    try:
        found = re.search(
            r"^(?:total_)?inactive_file (\d+)$", (group / "memory.stat").read_text(), re.M
        )
    except OSError:
        found = None
    return max(0, used - int(found[1])) if found else used
