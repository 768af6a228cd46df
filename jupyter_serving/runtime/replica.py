"""The leader of one replica: starts the front and one worker per slot, replaces dead workers, drains on SIGTERM.

The leader loads no model and answers nobody, so that nothing a model does can harm it. Where forking is safe its
children are forks (their imports are done); otherwise, as on macOS, each is a new interpreter.
"""

from __future__ import annotations

import gc
import heapq
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from . import front, log, preload, process, starting, wire, worker
from .crashes import Crashes

DEFAULT_GRACE = 30.0
# How long a replica whose model failed to load stays, for someone to ask why.
FAILURE_STAYS = 30.0
# Until a fork that the system refused is tried again.
RETRY = 1.0
FRONT_LOST = 5


class Child(NamedTuple):
    """A process of this replica; ``slot`` 0 is the front."""

    pid: int
    slot: int


class Leader:
    """``spec`` as in the spawn protocol; ``born``: monotonic time at which the replica was asked for.

    ``phase``: loading, serving, draining or failed.
    """

    def __init__(self, spec: Dict[str, Any], listener: socket.socket, born: float) -> None:
        self.phase = "loading"
        self._spec = spec
        self._listener = listener
        self._born = born
        self._preloaded = 0.0
        self._before: List[str] = []
        self._children: Dict[int, Child] = {}
        self._told: Set[int] = set()
        self._crashes = Crashes()
        self._restarts: List[Tuple[float, int]] = []
        self._limit: Optional[float] = None
        self._code: Optional[int] = None
        self._control, self._front_control = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._wake, self._wake_write = os.pipe()

    @property
    def _forks(self) -> bool:
        return str(self._spec.get("start") or starting.default()) == "fork"

    def run(self) -> int:
        """Lead until drained or failed; returns the exit code."""
        self._watch()
        if self._forks and "mlflow.pyfunc" not in sys.modules:
            # Without a zygote: health is answered while the leader imports what its workers share.
            self._start_front()
            self._import_base()
            self._start_workers()
        else:
            # Each fork takes milliseconds, and the model's load is what a waiting request waits for.
            self._before = list(sys.modules)
            self._start_workers()
            self._start_front()
        while self._code is None:
            for key, _ in self._selector.select(self._patience()):
                key.data()
            self._run_due()
        self._end()
        return self._code

    def _watch(self) -> None:
        for descriptor in (self._wake, self._wake_write):
            os.set_blocking(descriptor, False)
        process.ignore(signal.SIGCHLD, *process.GENTLE)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, self._signalled)
        self._selector.register(self._control, selectors.EVENT_READ, self._hear)

    def _import_base(self) -> None:
        began = time.monotonic()
        preload.load(
            preload.unknown([*preload.BASE, *preload.valid(self._spec.get("preload") or [])]),
            "leader",
        )
        preload.touch("leader")
        gc.collect()
        gc.freeze()  # the collector would otherwise touch, and so copy, every page that children share
        self._preloaded = time.monotonic() - began
        self._before = list(sys.modules)

    # Children

    def _start_front(self) -> None:
        kept = (self._listener, self._front_control)
        pid = self._start(
            "front",
            lambda: front.run(self._spec, *kept),
            ["front", *(str(sock.fileno()) for sock in kept)],
            kept,
        )
        self._children[pid] = Child(pid, 0)
        for sock in kept:
            sock.close()

    def _start_workers(self) -> None:
        for slot in range(1, int(self._spec["slots"]) + 1):
            self._start_worker(slot)

    def _start_worker(self, slot: int) -> None:
        ours, theirs = socket.socketpair()
        born = self._born + self._preloaded if self.phase == "loading" else time.monotonic()
        with ours, theirs:
            pid = self._start(
                f"worker {slot}",
                lambda: worker.run(self._spec, slot, theirs, self._before, born, self._preloaded),
                ["worker", str(theirs.fileno()), str(slot), repr(born)],
                (theirs,),
            )
            self._children[pid] = Child(pid, slot)
            # The front's end travels to the front; a front that is gone is noticed when it is reaped.
            wire.tell(self._control, wire.Note(wire.ADD, slot, pid, fd=ours.fileno()))

    def _start(
        self,
        name: str,
        main: Callable[[], int],
        arguments: List[str],
        kept: Tuple[socket.socket, ...],
    ) -> int:
        if self._forks:
            return starting.forked(name, main, lambda: self._let_go(kept))
        log.flush()
        return starting.launched(self._spec, arguments, tuple(sock.fileno() for sock in kept))

    def _let_go(self, kept: Tuple[socket.socket, ...]) -> None:
        process.forget_signals()
        self._selector.close()
        os.close(self._wake)
        os.close(self._wake_write)
        for sock in (self._listener, self._control, self._front_control):
            if sock not in kept:
                sock.close()

    # Events

    def _signalled(self) -> None:
        numbers = os.read(self._wake, 512)
        if signal.SIGTERM in numbers and self.phase != "draining":
            log.say("leader", "draining: SIGTERM")
            self.phase = "draining" if self.phase != "failed" else "failed"
            self._limit = time.monotonic() + float(self._spec.get("grace") or DEFAULT_GRACE)
            wire.tell(self._control, wire.Note(wire.DRAIN))
        if signal.SIGCHLD in numbers:
            # What the front said before a death counts as before it.
            self._hear()
            self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            child = self._children.pop(pid, None)
            if child is None:  # an orphan that init's place (pid 1 of a container) brought here
                continue
            status = os.waitstatus_to_exitcode(raw)
            if child.slot:
                process.kill_group(pid)  # what the model started and left behind
                self._worker_died(child, status)
            else:
                self._front_died(status)

    def _front_died(self, status: int) -> None:
        if self.phase == "failed" or status == front.LOAD_FAILED:
            self._code = front.LOAD_FAILED
        elif self.phase == "draining":
            self._code = 0
        else:
            log.say("leader", f"the front ended: {process.describe(status)}")
            self._code = FRONT_LOST

    def _worker_died(self, child: Child, status: int) -> None:
        wire.tell(self._control, wire.Note(wire.DIED, child.slot, child.pid, status))
        told = child.pid in self._told
        self._told.discard(child.pid)
        how = process.describe(status)
        if self.phase in ("loading", "failed"):
            log.say(
                "leader",
                f"worker {child.slot} (pid {child.pid}) ended before the replica was ready: {how}",
            )
            if self.phase == "loading":
                self.phase, self._limit = (
                    "failed",
                    time.monotonic() + float(self._spec.get("failure_stays") or FAILURE_STAYS),
                )
            return
        if not told:
            self._crashes.died(time.monotonic())
        delay = 0.0 if told else self._crashes.delay()
        log.say(
            "leader",
            f"worker {child.slot} (pid {child.pid}) ended: {how}; the next one starts in {delay:.1f} s",
        )
        heapq.heappush(self._restarts, (time.monotonic() + delay, child.slot))

    def _hear(self) -> None:
        for note in wire.hear_all(self._control):
            if note is None:
                if self._control in self._selector.get_map():
                    self._selector.unregister(self._control)
            elif note.kind == wire.READY and self.phase == "loading":
                self.phase = "serving"
            elif note.kind == wire.SUCCESS:
                self._crashes.succeeded()
            elif note.kind == wire.KILL and note.pid in self._children:
                self._told.add(note.pid)
                process.kill_group(note.pid)

    def _patience(self) -> Optional[float]:
        times = [self._restarts[0][0]] if self._restarts else []
        if self._limit is not None:
            times.append(self._limit)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _run_due(self) -> None:
        now = time.monotonic()
        while self._restarts and self._restarts[0][0] <= now and self._code is None:
            slot = heapq.heappop(self._restarts)[1]
            try:
                self._start_worker(slot)
            except OSError as error:
                log.say(
                    "leader", f"worker {slot} cannot be started: {error}; next try in {RETRY:.0f} s"
                )
                heapq.heappush(self._restarts, (now + RETRY, slot))
        if self._limit is not None and self._limit <= now and self._code is None:
            self._code = 0 if self.phase == "draining" else front.LOAD_FAILED

    def _end(self) -> None:
        for child in self._children.values():
            process.kill_group(child.pid)
        for child in self._children.values():
            os.waitpid(child.pid, 0)
        log.say("leader", f"ended with exit code {self._code}")
