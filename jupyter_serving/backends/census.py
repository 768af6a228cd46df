"""Which processes of this user belong to a replica, found without any record of ours.

Every process of a replica holds its lock file open for life, and whatever is about to become one names a file of the
runtime directory in its command line. /proc tells both; where there is none (macOS) nothing is found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..places import Places
from ..processes import Identity

_DELETED = " (deleted)"


def holders(places: Places) -> dict[str, list[Identity]]:
    """Processes by replica id that hold ``r-<id>.lock`` of this runtime directory, a removed one too."""
    pattern = re.compile(re.escape(os.path.realpath(places.runtime)) + r"/r-([A-Za-z0-9_-]+)\.lock")
    found: dict[str, dict[int, Identity]] = {}
    for pid in own_processes():
        for target in _open_files(pid):
            match = pattern.fullmatch(target.removesuffix(_DELETED))
            identity = Identity.of(pid) if match else None
            if match and identity:
                found.setdefault(match[1], {})[pid] = identity
    return {replica: list(of.values()) for replica, of in found.items()}


def leader(processes: list[Identity]) -> Identity | None:
    """The one that leads its session; the others are its workers."""
    return next((p for p in processes if _session(p.pid) == p.pid), None)


def naming(text: str) -> list[Identity]:
    """Processes whose command line holds ``text``."""
    return [identity for identity, _ in command_lines(text)]


def zygote(places: Places, socket: Path) -> list[Identity]:
    """Processes of the zygote of ``socket``; its replicas, which have its command line, are not among them."""
    replicas = {p.pid for processes in holders(places).values() for p in processes}
    return [identity for identity in naming(str(socket)) if identity.pid not in replicas]


def command_lines(text: str) -> list[tuple[Identity, str]]:
    """Processes whose command line holds ``text``, with that line."""
    found = []
    for pid in own_processes():
        try:
            line = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            continue
        identity = Identity.of(pid) if text in line else None
        if identity:
            found.append((identity, line.replace("\0", " ").strip()))
    return found


def own_processes() -> Iterator[int]:
    """Ids of this user's other processes."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in names:
        if name.isdigit() and int(name) != os.getpid():
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    yield int(name)
            except OSError:
                continue


def _open_files(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    try:
        entries = os.listdir(folder)
    except OSError:
        return
    for entry in entries:
        try:
            yield os.readlink(f"{folder}/{entry}")
        except OSError:
            continue


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
