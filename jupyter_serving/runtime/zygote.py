"""One process per environment with its imports done, from which replicas are forked in milliseconds.

Single-threaded. Speaks JSON lines over a unix socket with any number of clients: ``spawn``, ``preload``, ``shutdown``;
tells every client when a replica ends. Replicas are sessions of their own and live on when the zygote ends.
"""

from __future__ import annotations

import fcntl
import gc
import os
import selectors
import signal
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Optional

from . import address, log, preload, process, session, starting
from .fingerprint import fingerprint
from .importclock import ImportClock
from .lessons import School
from .lines import Lines

ALREADY_RUNNING = 4


class Offspring(NamedTuple):
    """A living replica that this zygote forked."""

    id: str
    pid: int
    start: Optional[int]


class Zygote:
    """``path``: control socket; ``key``: the environment's; ``learned``: file of module names; ``idle``: seconds."""

    def __init__(self, path: str, key: str, learned: Optional[str], idle: float) -> None:
        self._path, self._key, self._idle = path, key, idle
        self._facts: Dict[str, Any] = {}
        self._clients: List[Lines] = []
        self._replicas: Dict[int, Offspring] = {}
        self._alone_since = time.monotonic()
        self._end_reason = ""
        self._selector = selectors.DefaultSelector()
        self._school = School(learned, self._selector, self._fork)
        self._wake, self._wake_write = os.pipe()
        self._listener = address.unbound()

    def run(self, clock: ImportClock, interpreter: float = 0.0) -> int:
        """Serve until told to end, or until nobody has been connected for ``idle`` seconds; returns the exit code.

        ``clock`` has counted the imports so far; ``interpreter``: seconds until Python ran our first line.
        """
        lock = _lock(self._path + ".lock")
        if lock is None:
            log.say("zygote", f"another one serves {self._path}")
            return ALREADY_RUNNING
        address.remove(self._path)
        # Bound before the imports: who connects now is greeted when they are done.
        address.bind(self._listener, self._path)
        self._watch()
        self._import(clock, interpreter)
        self._alone_since = time.monotonic()
        while not self._end_reason:
            for key, mask in self._selector.select(self._patience()):
                if isinstance(key.data, Lines):
                    self._serve(key.data, mask)
                else:
                    key.data()
            self._school.step(time.monotonic())
            self._check_idle()
        address.remove(self._path)
        log.say("zygote", f"ended: {self._end_reason}")
        return 0

    def _watch(self) -> None:
        for descriptor in (self._wake, self._wake_write):
            os.set_blocking(descriptor, False)
        process.ignore(signal.SIGCHLD, *process.GENTLE)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, self._signalled)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _import(self, clock: ImportClock, interpreter: float) -> None:
        began = time.monotonic()
        gc.disable()
        with clock:
            facts = fingerprint()
            preload.load(preload.BASE)
            self._school.recall()
            preload.touch()
        self._settle()
        seconds = time.monotonic() - began
        self._facts = {
            "python": facts["python"],
            "fingerprint": facts["fingerprint"],
            # What whoever waited for this start waited for.
            "start": {
                "interpreter": interpreter,
                "imports": seconds,
                "slowest": clock.slowest(),
            },
        }
        log.say("zygote", f"{len(sys.modules)} modules imported in {seconds:.2f} s")

    def _settle(self) -> None:
        # The collector would touch, and so copy, every page that children share: it never looks at what is there now.
        gc.collect()
        gc.freeze()

    def _patience(self) -> Optional[float]:
        if self._school.busy:
            return self._school.patience(time.monotonic())
        if self._clients:
            return None
        return max(0.0, self._alone_since + self._idle - time.monotonic())

    def _check_idle(self) -> None:
        if (
            not self._clients
            and not self._school.busy
            and time.monotonic() - self._alone_since >= self._idle
        ):
            self._end_reason = self._end_reason or f"no client for {self._idle:g} s"

    # Clients

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        client = Lines(sock, self._selector)
        self._clients.append(client)
        hello = {
            "event": "hello",
            "pid": os.getpid(),
            "key": self._key,
            **self._facts,
            "children": [child._asdict() for child in self._replicas.values()],
            "modules": len(sys.modules),
            "threads": process.native_threads(),
        }
        self._tell(client, hello)

    def _tell(self, client: Lines, message: Dict[str, Any]) -> None:
        if client in self._clients and not client.tell(message):
            self._part(client)

    def _part(self, client: Lines) -> None:
        if client in self._clients:
            self._clients.remove(client)
            client.close()
            self._alone_since = time.monotonic()

    def _serve(self, client: Lines, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and not client.send():
            self._part(client)
            return
        if not mask & selectors.EVENT_READ:
            return
        messages = client.hear()
        if messages is None:
            self._part(client)
            return
        for message in messages:
            self._obey(client, message)

    def _obey(self, client: Lines, message: Any) -> None:
        op = message.get("op") if isinstance(message, dict) else None
        if op == "spawn":
            self._spawn(client, message)
        elif op == "preload":
            self._school.teach(message.get("modules"), lambda count: self._taught(client, count))
        elif op == "shutdown":
            self._end_reason = "shutdown"
        else:
            self._tell(
                client,
                {"event": "error", "id": None, "message": f"unknown message: {str(message)[:200]}"},
            )

    def _taught(self, client: Lines, count: int) -> None:
        self._settle()
        self._tell(client, {"event": "preloaded", "count": count})

    # Replicas

    def _spawn(self, client: Lines, message: Dict[str, Any]) -> None:
        born, identity, spec = time.monotonic(), message.get("id"), message.get("spec")
        try:
            faults = session.faults(spec)
            if not isinstance(identity, str) or faults or not isinstance(spec, dict):
                raise ValueError("; ".join(faults) or "id is not a string")
            if any(child.id == identity for child in self._replicas.values()):
                raise ValueError(f"replica {identity} is running")
            listener = address.listen(f"unix:{spec['socket']}")
        except (OSError, ValueError) as error:
            self._tell(client, {"event": "error", "id": identity, "message": str(error)})
            return
        try:
            pid = self._fork(lambda: session.lead({"id": identity, **spec}, listener, born))
        except OSError as error:
            address.remove(spec["socket"])
            self._tell(client, {"event": "error", "id": identity, "message": f"fork: {error}"})
            return
        finally:
            listener.close()
        child = Offspring(identity, pid, process.start_ticks(pid))
        self._replicas[pid] = child
        self._tell(client, {"event": "spawned", **child._asdict(), "socket": spec["socket"]})

    def _fork(self, main: Callable[[], int]) -> int:
        pid = process.fork()
        if not pid:
            self._be_child(main)
        return pid

    def _be_child(self, main: Callable[[], int]) -> NoReturn:
        code = starting.BROKEN
        try:
            process.forget_signals()
            self._selector.close()
            for sock in [self._listener, *(client.sock for client in self._clients)]:
                sock.close()
            trial = [self._school.trial.pipe] if self._school.trial else []
            for descriptor in (self._wake, self._wake_write, *trial):
                os.close(descriptor)
            gc.enable()
            code = main()
        except BaseException:
            log.say_traceback("replica", "unexpected end")
        finally:
            log.flush()
            os._exit(code)

    def _signalled(self) -> None:
        numbers = os.read(self._wake, 512)
        if signal.SIGTERM in numbers:
            self._end_reason = "SIGTERM"
        if signal.SIGCHLD in numbers:
            self._reap()

    def _reap(self) -> None:
        # One by one: modules that have been imported may wait for children of their own.
        for pid in list(self._replicas):
            done, raw = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            child, status = self._replicas.pop(pid), os.waitstatus_to_exitcode(raw)
            log.say("zygote", f"replica {child.id} (pid {pid}) ended: {process.describe(status)}")
            for client in list(self._clients):
                self._tell(client, {"event": "exit", "id": child.id, "pid": pid, "status": status})


def _lock(path: str) -> Optional[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
