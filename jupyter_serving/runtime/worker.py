"""One slot of a replica: a process with the model in memory that computes one prediction at a time."""

from __future__ import annotations

import socket
import traceback
from typing import Any, Dict

from . import burden, loading, log, memory, process, slot, threads, wire
from .course import Course

LOAD_FAILED = 3


def settle_in(spec: Dict[str, Any], number: int) -> None:
    """What every worker does to itself first: its own group, name, random numbers and limits."""
    process.ignore(*process.GENTLE)
    process.lead_group()
    process.name(f"worker {number}")
    memory.volunteer()
    memory.confine(memory.limit(spec), threads.share(spec))
    process.reseed()


def tell_failure(
    sock: socket.socket, who: str, error: BaseException, spec: Dict[str, Any], course: Course
) -> None:
    """Log why the model is not there, and tell the front; for an ``except`` block."""
    log.say_traceback(who, "the model could not be loaded")
    failed = {
        "event": "failed",
        "message": log.last_line(error) + _bound(error, memory.limit(spec)),
        "traceback": traceback.format_exc(),
        **course.failed(error),
    }
    sock.sendall(wire.pack(failed))


def _bound(error: BaseException, limit: int) -> str:
    """What an error that tells nothing but its name was caused by."""
    if not limit or not isinstance(error, MemoryError):
        return ""
    return f" (the replica's memory limit is {limit // 1_000_000} MB)"


def work(
    sock: socket.socket, loaded: loading.Loaded, number: int, workers: str, reason: str
) -> int:
    """Tell the front that this slot is warm, then serve until the front is gone; returns the exit code."""
    sock.sendall(wire.pack(loaded.ready(workers, reason)))
    slot.serve(sock, loaded.scorer, loaded.batching, f"worker {number}")
    return 0


def run(
    spec: Dict[str, Any],
    number: int,
    sock: socket.socket,
    before: str,
    course: Course,
    why: int = burden.PLATFORM,
) -> int:
    """Be a worker that loads a copy of its own, because of ``burden.WHY[why]``; returns the exit code."""
    settle_in(spec, number)
    count = threads.share(spec)
    threads.default(count)
    try:
        loaded = loading.load(spec, f"worker {number}", before, course)
    except BaseException as error:
        tell_failure(sock, f"worker {number}", error, spec, course)
        return LOAD_FAILED
    threads.spread(count)
    return work(sock, loaded, number, "spawn", burden.WHY[why])
