"""The leader of one replica: starts the front and one worker per slot, replaces dead workers, drains on SIGTERM.

The leader loads no model and answers nobody, so that nothing a model does can harm it. Workers are forks of a keeper,
which has the model in memory, or load copies of their own (nursery.py). Where forking is safe at all, children of the
leader are forks whose imports are done; otherwise, as on macOS, each is a new interpreter.
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

from . import (
    burden,
    front,
    imports,
    keeper,
    log,
    memory,
    nursery,
    preload,
    process,
    starting,
    threads,
    wire,
    worker,
)
from .course import Course, asked
from .crashes import Crashes
from .importclock import ImportClock
from .pressure import Watch

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
        self._born = asked(spec, born)
        self._clock = ImportClock()
        self._preloaded = 0.0
        self._before = ""
        self._children: Dict[int, Child] = {}
        self._told: Set[int] = set()
        self._doomed: Dict[int, int] = {}
        self._pressure = Watch(memory.limit(spec))
        self._crashes = Crashes()
        self._restarts: List[Tuple[float, int]] = []
        self._limit: Optional[float] = None
        self._code: Optional[int] = None
        self._control, self._front_control = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._wake, self._wake_write = os.pipe()
        patience = float(spec.get("fork_seconds") or nursery.PATIENCE)
        self._nursery = nursery.Nursery(self, self._selector, patience)
        if not self._forks:
            self._nursery.give_up(burden.PLATFORM)

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
            self._before = imports.latest()
            self._start_workers()
            self._start_front()
        while self._code is None:
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj in self._selector.get_map():  # an earlier event may have closed it
                    key.data()
            self._run_due()
        self._end()
        return self._code

    def _watch(self) -> None:
        process.adopt_orphans()
        for descriptor in (self._wake, self._wake_write):
            os.set_blocking(descriptor, False)
        process.ignore(signal.SIGCHLD, *process.GENTLE)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, self._signalled)
        self._selector.register(self._control, selectors.EVENT_READ, self._hear)

    def _import_base(self) -> None:
        began, single = time.monotonic(), threads.Single()
        with self._clock:
            preload.load(
                preload.unknown([*preload.BASE, *preload.valid(self._spec.get("preload") or [])]),
                "leader",
            )
            preload.touch("leader")
        single.undo()
        gc.collect()
        gc.freeze()  # the collector would otherwise touch, and so copy, every page that children share
        self._preloaded = time.monotonic() - began
        self._before = imports.latest()

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
            self._nursery.want(slot)

    def _course(self) -> Course:
        """Of the worker that is started now; to be called in its own process."""
        if self.phase != "loading":
            return Course(time.monotonic(), ImportClock())
        interpreter = float(self._spec.get("interpreter") or 0.0)
        before = self._preloaded + interpreter
        return Course(self._born + before, self._clock, self._preloaded, interpreter)

    def start_keeper(self, slot: int, control: socket.socket, sock: socket.socket) -> int:
        """Fork a keeper; see ``nursery.Household``."""
        return self._start(
            "keeper",
            lambda: keeper.run(self._spec, slot, control, sock, self._before, self._course()),
            [],
            (control, sock),
        )

    def start_alone(self, slot: int, why: int) -> None:
        """Start a worker that loads a copy of its own; see ``nursery.Household``."""
        ours, theirs = socket.socketpair()
        born = self._born if self.phase == "loading" else time.monotonic()
        with theirs:
            try:
                pid = self._start(
                    f"worker {slot}",
                    lambda: worker.run(self._spec, slot, theirs, self._before, self._course(), why),
                    ["worker", str(theirs.fileno()), str(slot), repr(born)],
                    (theirs,),
                )
            except OSError as error:
                ours.close()
                self.postpone(slot, error)
                return
        self.welcome(slot, pid, ours)

    def postpone(self, slot: int, error: OSError) -> None:
        """Ask again for a worker that cannot be started now; see ``nursery.Household``."""
        log.say("leader", f"worker {slot} cannot be started: {error}; next try in {RETRY:.0f} s")
        heapq.heappush(self._restarts, (time.monotonic() + RETRY, slot))

    def announce(self, pid: int) -> None:
        """Tell the front who keeps the model; see ``nursery.Household``."""
        wire.tell(self._control, wire.Note(wire.KEEPER, pid=pid))

    def welcome(self, slot: int, pid: int, sock: socket.socket) -> None:
        """A worker is there; see ``nursery.Household``."""
        self._children[pid] = Child(pid, slot)
        # The front's end travels to the front; a front that is gone is noticed when it is reaped.
        with sock:
            wire.tell(self._control, wire.Note(wire.ADD, slot, pid, fd=sock.fileno()))

    def bury(self, slot: int, pid: int, sock: socket.socket, status: int) -> None:
        """A keeper died in place of the worker it was to bring; see ``nursery.Household``."""
        self.welcome(slot, pid, sock)
        self._worker_died(self._children.pop(pid), status)

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
            self._nursery.hear()
            self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            child, status = self._children.pop(pid, None), os.waitstatus_to_exitcode(raw)
            if self._nursery.reaped(pid, status) or child is None:  # an orphan that was left to us
                continue
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
        status = self._doomed.pop(child.pid, status)
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
        if len(self._children) > 1 and self.phase != "failed":
            times.append(self._pressure.next)
        times += [limit for limit in (self._limit, self._nursery.limit()) if limit is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _run_due(self) -> None:
        now = time.monotonic()
        while self._restarts and self._restarts[0][0] <= now and self._code is None:
            slot = heapq.heappop(self._restarts)[1]
            try:
                self._nursery.want(slot)
            except OSError as error:
                self.postpone(slot, error)
        self._nursery.check(now)
        if self._pressure.next <= now:
            self._relieve(now)
        if self._limit is not None and self._limit <= now and self._code is None:
            self._code = 0 if self.phase == "draining" else front.LOAD_FAILED

    def _relieve(self, now: float) -> None:
        """End a worker that takes more memory than there is for it."""
        workers = [child.pid for child in self._children.values() if child.slot]
        victim = self._pressure.look(now, self._nursery.keeper or os.getpid(), workers)
        if victim is not None:
            self._doomed[victim.pid] = victim.status
            why, held = process.describe(victim.status), victim.held // 1_000_000
            slot = self._children[victim.pid].slot
            log.say("leader", f"worker {slot} (pid {victim.pid}) is ended, {held} MB: {why}")
            process.kill_group(victim.pid)

    def _end(self) -> None:
        # The keeper first: it may be about to fork.
        pids = [*self._nursery.pids(), *self._children]
        for pid in pids:
            process.kill_group(pid)
        for pid in pids:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:  # its way to us was not over: it dies with us
                continue
        log.say("leader", f"ended with exit code {self._code}")
