"""What a process does to itself: end with its parent, forget inherited signals, seed its random generators anew."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import warnings
from types import FrameType
from typing import Optional

from . import log

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

# What is sent to a whole group or by Ctrl-C, and must not end a process that its leader drains.
GENTLE = (signal.SIGTERM, signal.SIGINT)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` ends (Linux; elsewhere a closed socket tells).

    The parent may have ended before the request took effect, hence the second look.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parents end (Linux): a worker is forked by way of two others."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start_ticks(pid: int) -> Optional[int]:
    """Start time of ``pid`` in clock ticks since boot (field 22 of /proc/<pid>/stat); None where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            text = stat.read()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])


def fork() -> int:
    """``os.fork`` without the warning about threads of native libraries, which are known and idle (see preload)."""
    log.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def lead_group() -> None:
    """Become the leader of a process group, so that what a model starts can be ended with it."""
    os.setpgid(0, 0)


def kill_group(pid: int) -> None:
    """SIGKILL to a child and to the process group that it leads, as far as they are there."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def name(text: str) -> None:
    """Name this process for ``ps`` and ``top`` (Linux; 15 characters)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, text.encode()[:15], 0, 0, 0)


def _do_nothing(number: int, frame: Optional[FrameType]) -> None:
    """Stands for SIG_IGN, which programs that the model starts would inherit; a handler is reset by exec."""


def ignore(*numbers: int) -> None:
    """Let these signals pass without effect, in this process only."""
    for number in numbers:
        signal.signal(number, _do_nothing)


def forget_signals() -> None:
    """Undo what a parent set up for signals; for a child right after the fork."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    ignore(signal.SIGINT)


def reseed() -> None:
    """Give this process random numbers of its own: forked siblings would otherwise draw the same ones."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()


# Beyond any status of the system: ends that a leader brought about, with their reason.
MACHINE_FULL = -100_000_000
_OVER_MEMORY = -200_000_000


def over_memory(limit: int) -> int:
    """The status of a worker that was ended because its replica held more than ``limit`` bytes."""
    return _OVER_MEMORY - limit // 1_000_000


def describe(status: int) -> str:
    """An exit status in words: ``exit code 5``, ``killed by SIGSEGV`` or ``over its memory limit of 600 MB``."""
    if status >= 0:
        return f"exit code {status}"
    if status <= _OVER_MEMORY:
        return f"over its memory limit of {_OVER_MEMORY - status} MB"
    if status == MACHINE_FULL:
        return "killed because this machine was nearly out of memory"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def native_threads() -> int:
    """Number of threads of this process, those of native libraries too; 0 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0
