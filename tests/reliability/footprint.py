"""What the services hold of the system: memory, descriptors, threads, processes, files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from services import Services

PROC = Path("/proc")
SERVICES = ("jupyter_serving.controller", "jupyter_serving.gateway")


@dataclass(frozen=True)
class Footprint:
    """Figures by name; ``kinds`` of processes are ``controller``, ``gateway`` and ``runtime`` (zygotes and replicas).

    Counts: ``processes``, ``zombies``, ``runtime files``; of each kind ``threads``, ``descriptors`` and ``sockets``.
    Bytes: ``pss`` of each kind, ``store``.
    """

    counts: dict[str, int]
    bytes_: dict[str, int]

    def grown(self, before: Footprint) -> dict[str, int]:
        """Counts that have grown since ``before``."""
        return _grown(self.counts, before.counts)

    def grown_bytes(self, before: Footprint) -> dict[str, int]:
        """Bytes that have grown since ``before``."""
        return _grown(self.bytes_, before.bytes_)


def _grown(now: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: n - before.get(name, 0) for name, n in now.items() if n > before.get(name, 0)}


def footprint(services: Services) -> Footprint:
    """Everything that the services and what they started hold now."""
    kinds = {pid: _kind(command) for pid, command in services.census().items()}
    places = services.places
    counts = {
        "processes": len(kinds),
        "zombies": len(_zombies(set(kinds))),
        "runtime files": len(list(places.runtime.rglob("*"))),
    }
    bytes_ = {"store": sum(f.stat().st_size for f in places.data.glob("store.sqlite*"))}
    for pid, kind in kinds.items():
        files = _files(pid)
        own = {
            "threads": len(_names(PROC / str(pid) / "task")),
            "descriptors": len(files),
            "sockets": sum(name.startswith("socket:") for name in files),
        }
        for name, number in own.items():
            counts[f"{kind} {name}"] = counts.get(f"{kind} {name}", 0) + number
        bytes_[f"{kind} pss"] = bytes_.get(f"{kind} pss", 0) + _pss(pid)
    return Footprint(counts, bytes_)


def _kind(command: str) -> str:
    return next((s.rpartition(".")[2] for s in SERVICES if s in command), "runtime")


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _files(pid: int) -> list[str]:
    found = []
    for name in _names(PROC / str(pid) / "fd"):
        try:
            found.append(os.readlink(PROC / str(pid) / "fd" / name))
        except OSError:
            continue  # closed meanwhile
    return found


def _pss(pid: int) -> int:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(x.split()[1]) * 1024 for x in text.splitlines() if x.startswith("Pss:"))


def _zombies(parents: set[int]) -> set[int]:
    """Processes that have ended and whose parent, one of ours, has not asked how."""
    found = set()
    for name in _names(PROC):
        if name.isdigit():
            try:
                fields = (PROC / name / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] == "Z" and int(fields[1]) in parents:
                found.add(int(name))
    return found
