"""What a process carries that a fork of it could not use safely: threads, devices, open files, children."""

from __future__ import annotations

import fcntl
import os
import threading
from typing import FrozenSet, List, NamedTuple, Optional, Tuple

from . import process

_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri", "/dev/accel")
# Descriptors that forks may share: they hold no position and no conversation.
_HARMLESS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

# Why workers are not forked; the number of a word travels in notes.
NONE, THREADS, NATIVE, DEVICES, CHILDREN, FILES, HANGS, DIES, ASKED, PLATFORM = range(10)
WHY = (
    "",
    "the model's load or first prediction left a Python thread running",
    "the model's load or first prediction left a native thread running",
    "the model opened a device",
    "the model started a process",
    "the model keeps a file or a connection open",
    "a first fork did not end its prediction in time",
    "a first fork died in its prediction",
    "the model's metadata asks for it",
    "new interpreters, as this system or the replica's order wants it",
)


class Burden(NamedTuple):
    """What one process carries: numbers of Python and native threads, what it holds open, its children."""

    threads: int
    native: int
    devices: int
    children: int
    files: FrozenSet[Tuple[str, str]]


def now() -> Burden:
    """This process's burden. Where there is no /proc, only Python's threads are known."""
    held = _held()
    devices = sum(target.startswith(_DEVICES) for _, target in held)
    return Burden(
        threading.active_count(), process.native_threads(), devices, _children(), frozenset(held)
    )


def added(before: Burden, after: Burden) -> int:
    """The first thing that ``after`` has more of than ``before`` has: an index of ``WHY``, 0 for nothing."""
    found = [
        (THREADS, after.threads > before.threads),
        (NATIVE, after.native > before.native),
        (DEVICES, after.devices > before.devices),
        (CHILDREN, after.children > before.children),
        (FILES, any(_shares(file) for file in after.files - before.files)),
    ]
    return next((why for why, more in found if more), NONE)


def describe(before: Burden, after: Burden) -> Optional[str]:
    """What makes later forks unsafe, for a sentence; None for nothing. Open files do not count: nobody uses them."""
    words = {THREADS: "threads", NATIVE: "native threads", DEVICES: "devices"}
    return words.get(added(before, after))


def _held() -> List[Tuple[str, str]]:
    found = []
    try:
        entries = os.listdir("/proc/self/fd")
    except OSError:
        return []
    for entry in entries:
        try:
            found.append((entry, os.readlink(f"/proc/self/fd/{entry}")))
        except OSError:  # the one that listed the folder
            continue
    return found


def _shares(file: Tuple[str, str]) -> bool:
    """True when forks that use this descriptor would disturb each other."""
    number, target = file
    if target in _HARMLESS:
        return False
    try:
        mode = fcntl.fcntl(int(number), fcntl.F_GETFL)
    except OSError:
        return False
    # a log file: each line goes to its end
    return not (mode & os.O_APPEND and mode & os.O_ACCMODE == os.O_WRONLY)


def _children() -> int:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return len(file.read().split())
    except OSError:
        return 0
