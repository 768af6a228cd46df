"""The replica's model zygote: loads the model once, proves that forks of it may serve, then forks workers on order.

A worker is forked twice over, so that it becomes a child of the leader (which is a subreaper): one process starts,
reaps and replaces all workers, and a keeper that dies harms none of them. After the proof no code of the model runs
here any more. Where forks may not serve, the keeper becomes a worker itself and the leader starts the others.

Keeper and leader exchange notes (wire.py) over a socket pair.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import Any, Dict, NoReturn

from . import burden, loading, log, memory, process, threads, wire, worker
from .course import Course
from .warmup import EXAMPLE, GENERATED, NOTHING

# leader -> keeper
FORK = (
    31  # a worker of ``slot``, with its socket; ``status`` 1: it has to prove that it can predict
)
BECOME = 32  # be the worker of ``slot``, because of WHY[status]
# keeper -> leader
LOADED = 33  # ready to fork; ``status``: milliseconds that a first prediction may take
UNSAFE = 34  # the keeper is the worker of ``slot`` from now on, because of WHY[status]
FORKED = 35  # worker ``pid`` of ``slot``
REFUSED = 36  # no fork for ``slot``: errno ``status``
# worker -> leader
PROVEN = 37  # worker ``pid`` of ``slot`` has predicted; ``status``: with which of ORIGINS

_PROOF_SECONDS, _PROOF_TIMES = 5.0, 10.0
ORIGINS = (NOTHING, EXAMPLE, GENERATED)
# Why forks serve, by the origin of what a first fork was tried with.
REASONS = {
    EXAMPLE: "a first fork has predicted the model's example",
    GENERATED: "a first fork has predicted a row made from the signature",
    NOTHING: "the load left no thread, device or open file; there is no example to try a fork with",
}


class Keeper:
    """``control``: to the leader; ``sock``: to the front, for the case that this becomes the worker of ``slot``.

    ``before``, ``course`` as in ``loading.load``.
    """

    def __init__(
        self, spec: Dict[str, Any], slot: int, control: socket.socket, sock: socket.socket
    ) -> None:
        self._spec = spec
        self._slot = slot
        self._control = control
        self._sock = sock
        self._leader = os.getppid()
        self._burden = burden.now()
        self._single = threads.Single()

    def run(self, before: str, course: Course) -> int:
        """Load, then fork on order until the leader is gone; returns the exit code."""
        memory.confine(memory.limit(self._spec))
        try:
            loaded = loading.load(self._spec, "keeper", before, course)
        except BaseException as error:
            worker.tell_failure(self._sock, "keeper", error, self._spec, course)
            return worker.LOAD_FAILED
        why = self._objection(loaded)
        if why:
            wire.tell(self._control, wire.Note(UNSAFE, self._slot, status=why))
            return self._become(loaded, self._slot, why)
        least = float(self._spec.get("proof_seconds") or _PROOF_SECONDS)
        # Whoever stands between the keeper and a worker ends unseen: the next fork need not wait for it.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        patience = max(least, _PROOF_TIMES * loaded.course.phases["warm_up"])
        wire.tell(self._control, wire.Note(LOADED, status=int(patience * 1000)))
        while True:
            note = wire.hear(self._control)
            if note is None:
                return 0
            if note.kind == BECOME:
                return self._become(loaded, note.slot, note.status)
            self._fork(note, loaded)

    def _objection(self, loaded: loading.Loaded) -> int:
        told = getattr(loaded.metadata, "metadata", None) or {}
        own = told.get("jupyter_serving")
        if isinstance(own, dict) and own.get("workers") == "spawn":
            return burden.ASKED
        return burden.added(self._burden, burden.now())

    def _become(self, loaded: loading.Loaded, number: int, why: int) -> int:
        self._control.close()
        self._settle_in(number)
        return worker.work(self._sock, loaded, number, "spawn", burden.WHY[why])

    # Forks

    def _fork(self, note: wire.Note, loaded: loading.Loaded) -> None:
        """Have a worker: a child of a child that ends at once."""
        with socket.socket(fileno=note.fd) as theirs:
            try:
                pid = process.fork()
            except OSError as error:
                wire.tell(self._control, wire.Note(REFUSED, note.slot, status=error.errno or 0))
                return
            if not pid:
                self._between(note, theirs, loaded)

    def _between(self, note: wire.Note, theirs: socket.socket, loaded: loading.Loaded) -> NoReturn:
        code = 0
        try:
            between = os.getpid()
            try:
                pid = os.fork()
            except OSError as error:
                wire.tell(self._control, wire.Note(REFUSED, note.slot, status=error.errno or 0))
                os._exit(1)
            if pid:
                # Told by who knows it first: the leader hears of the worker before it can hear of its death.
                wire.tell(self._control, wire.Note(FORKED, note.slot, pid))
                os._exit(0)
            self._settle_in(note.slot)
            while os.getppid() == between:
                time.sleep(0.0002)
            process.die_with_parent(self._leader)
            code = self._work(note, theirs, loaded)
        except BaseException:
            log.say_traceback(f"worker {note.slot}", "unexpected end")
            code = 70
        finally:
            log.flush()
            os._exit(code)

    def _settle_in(self, number: int) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        worker.settle_in(self._spec, number)
        self._single.restore(threads.share(self._spec))

    def _work(self, note: wire.Note, theirs: socket.socket, loaded: loading.Loaded) -> int:
        if note.status:
            if loaded.sample.request is not None:
                loaded.scorer.answer(loaded.sample.request, None)
            tried = ORIGINS.index(loaded.sample.origin)
            wire.tell(self._control, wire.Note(PROVEN, note.slot, os.getpid(), tried))
        self._control.close()
        self._sock.close()
        return worker.work(theirs, loaded, note.slot, "fork", REASONS[loaded.sample.origin])


def run(
    spec: Dict[str, Any],
    slot: int,
    control: socket.socket,
    sock: socket.socket,
    before: str,
    course: Course,
) -> int:
    """Be the keeper process; returns its exit code."""
    process.ignore(*process.GENTLE)
    process.lead_group()
    return Keeper(spec, slot, control, sock).run(before, course)
