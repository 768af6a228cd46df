"""The HTTP side of a replica: invocations, health, status.

One process, one event loop; nothing is computed here. Requests go to the workers through ``dispatch.Dispatcher``.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import time
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Set, Tuple
from urllib.parse import parse_qs

from . import calls, frames, http1, log, process, wire
from .connection import Connection
from .dispatch import Dispatcher
from .facts import Facts

MAX_BODY = 256 * 1024 * 1024
# Time for connections that wait in the backlog, and for requests on their way, before the listening socket closes.
SETTLE = 0.05
# Time for clients to take their last answer.
FAREWELL = 5.0
LOAD_FAILED = 3
# Between two looks for clients that take too long.
SWEEP = 0.5


Route = Callable[[Connection, http1.Request, str], None]


class Waiter:
    """One ``GET /health/ready`` that waits; ``timer`` ends it."""

    def __init__(self, connection: Connection, timer: asyncio.TimerHandle) -> None:
        self.connection = connection
        self.timer = timer


class Front:
    """The server of one replica; lives in a process of its own. Made within the running event loop.

    ``spec`` as in the spawn protocol, ``listener`` a listening socket, ``control`` the socket to the leader.
    """

    def __init__(
        self, spec: Dict[str, Any], listener: socket.socket, control: socket.socket
    ) -> None:
        self.max_body = int(spec.get("max_body_bytes") or MAX_BODY)
        self.connections: Set[Connection] = set()
        self.limits: Dict[Connection, float] = {}
        self.draining = False
        self._deadline = float(spec["deadline"])
        self._slots = int(spec["slots"])
        self._listener = listener
        self._control = control
        self._waiters: List[Waiter] = []
        self._loop = asyncio.get_running_loop()
        self._dispatcher = Dispatcher(self._slots, self._tell, self._changed)
        self._facts = Facts(self._dispatcher, self._slots)
        self._sweeper: Optional[asyncio.TimerHandle] = None
        self._server: Optional[asyncio.AbstractServer] = None
        self._over: Optional[asyncio.Future[int]] = None
        self._code = 0
        self._routes: Dict[str, Tuple[str, Route]] = {
            "/invocations": ("POST", partial(self._predict, frames.INVOCATION)),
            "/v2/infer": ("POST", partial(self._predict, frames.V2)),
            "/health/live": ("GET", self._live),
            "/health/ready": ("GET", self._ready),
            "/status": ("GET", self._status),
        }

    async def serve(self) -> int:
        """Answer requests until drained; returns the exit code."""
        loop = self._loop
        self._over = loop.create_future()
        self._control.setblocking(False)
        loop.add_reader(self._control.fileno(), self._hear)
        self._listener.setblocking(False)
        if self._listener.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(
                lambda: Connection(self), sock=self._listener
            )
        else:
            self._server = await loop.create_server(lambda: Connection(self), sock=self._listener)
        return await self._over

    # Leader

    def _tell(self, note: wire.Note) -> None:
        wire.tell(self._control, note)

    def _hear(self) -> None:
        for note in wire.hear_all(self._control):
            if note is None:
                # The leader is gone. On Linux the kernel has already killed this process.
                os._exit(1)
            elif note.kind == wire.ADD:
                self._dispatcher.add(note)
            elif note.kind == wire.DIED:
                self._dispatcher.died(note)
            elif note.kind == wire.KEEPER:
                self._facts.keeper = note.pid
            elif note.kind == wire.DRAIN:
                self.drain(0)

    def drain(self, code: int) -> None:
        """Stop accepting, finish what has come, then end with ``code``."""
        if self.draining:
            return
        self.draining, self._code = True, code
        self._changed()
        self._loop.call_later(SETTLE, self._close)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        self._loop.call_later(0, self._finish_if_empty)

    def left(self, connection: Connection) -> None:
        """A connection is closed."""
        self.connections.discard(connection)
        if self._server is not None and not self._server.is_serving():
            self._finish_if_empty()

    def _finish_if_empty(self) -> None:
        if self.connections:
            # An answered connection closes by itself once its client has read; one that never reads must not hold us.
            if not self._dispatcher.busy and not self._dispatcher.queued:
                self._loop.call_later(FAREWELL, self._finish)
            return
        self._finish()

    def _finish(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(self._code)

    # Routes

    def handle(self, connection: Connection, request: http1.Request) -> None:
        """Answer a request, now or later."""
        path, _, query = request.target.partition("?")
        found = self._routes.get(path)
        if found is None:
            self._refuse(
                connection, 404, "ENDPOINT_NOT_FOUND", f"There is no {path} here; use /invocations."
            )
            return
        method, route = found
        if request.method != method and (request.method, method) != ("HEAD", "GET"):
            self._refuse(
                connection, 405, "BAD_REQUEST", f"{path} takes {method}, not {request.method}."
            )
        else:
            route(connection, request, query)

    def _refuse(self, connection: Connection, status: int, code: str, message: str) -> None:
        connection.reply(status, http1.error_body(code, message))

    def _predict(
        self, what: int, connection: Connection, request: http1.Request, query: str
    ) -> None:
        deadline = request.headers.get("x-serving-deadline")
        now = self._loop.time()
        if deadline is None:
            limit = now + self._deadline
        else:
            try:
                limit = now + _seconds_left(deadline)
            except ValueError:
                self._refuse(
                    connection,
                    400,
                    "BAD_REQUEST",
                    "x-serving-deadline is not a time in seconds since 1970.",
                )
                return
        call = calls.call(what, request.headers, request.body, limit, connection)
        connection.abandon = partial(self._dispatcher.drop, call)
        self._dispatcher.submit(call)

    def notice(self) -> str:
        """The header that tells the gateway of a smaller capacity, once; mostly empty."""
        news = self._dispatcher.grouping.news()
        if not news:
            return ""
        notice = {
            "capacity": self._dispatcher.grouping.capacity,
            "text": f"Batching is switched off: {news}",
        }
        return f"x-serving-notice: {json.dumps(notice)}\r\n"

    def _live(self, connection: Connection, request: http1.Request, query: str) -> None:
        connection.reply(200, b'{"live": true}')

    def _status(self, connection: Connection, request: http1.Request, query: str) -> None:
        connection.reply(200, self._facts.status(self._unready() is None))

    # Slow clients

    def limit(self, connection: Connection, seconds: float) -> None:
        """End what ``connection`` is doing unless it moves on within ``seconds``."""
        self.limits[connection] = self._loop.time() + seconds
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in [each for each, limit in self.limits.items() if limit <= now]:
            del self.limits[connection]
            connection.overdue()
        self._sweeper = self._loop.call_later(SWEEP, self._sweep) if self.limits else None

    # Readiness

    def _ready(self, connection: Connection, request: http1.Request, query: str) -> None:
        try:
            seconds = float(parse_qs(query).get("wait", ["0"])[0])
            if not math.isfinite(seconds):
                raise ValueError(query)
        except ValueError:
            self._refuse(
                connection, 400, "INVALID_PARAMETER_VALUE", "wait is not a number of seconds."
            )
            return
        seconds = min(max(seconds, 0.0), 86400.0)
        timer = self._loop.call_later(seconds, self._tell_readiness, connection)
        self._waiters.append(Waiter(connection, timer))
        connection.abandon = lambda: self._forget(connection)
        if seconds == 0:
            self._tell_readiness(connection)
        else:
            self._changed()

    def _unready(self) -> Optional[str]:
        return "The replica is shutting down." if self.draining else self._dispatcher.unready()

    def _changed(self) -> None:
        if self._unready() is None or self._dispatcher.failure is not None or self.draining:
            for waiter in list(self._waiters):
                self._tell_readiness(waiter.connection)

    def _forget(self, connection: Connection) -> None:
        for waiter in self._waiters:
            if waiter.connection is connection:
                waiter.timer.cancel()
        self._waiters = [waiter for waiter in self._waiters if waiter.connection is not connection]

    def _tell_readiness(self, connection: Connection) -> None:
        self._forget(connection)
        report, failure, reason = self._dispatcher.report, self._dispatcher.failure, self._unready()
        phases = report.get("phases", {})
        if failure is not None:
            body = http1.error_body(
                "INTERNAL_ERROR",
                failure.message,
                traceback=failure.traceback,
                **(failure.course or {}),
            )
            connection.reply(503, body)
            self.drain(LOAD_FAILED)
        elif reason is not None:
            connection.reply(
                503, http1.error_body("TEMPORARILY_UNAVAILABLE", reason, phases=phases)
            )
        else:
            connection.reply(200, self._facts.ready())


def _seconds_left(deadline: str) -> float:
    left = float(deadline) - time.time()
    if not math.isfinite(left):
        raise ValueError(deadline)
    return min(left, 86400.0)


async def _serve(spec: Dict[str, Any], listener: socket.socket, control: socket.socket) -> int:
    return await Front(spec, listener, control).serve()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(spec: Dict[str, Any], listener: socket.socket, control: socket.socket) -> int:
    """Be the front process; returns its exit code."""
    process.ignore(*process.GENTLE)
    loop = _new_loop()
    loop.set_exception_handler(lambda _, context: log.say("front", f"unhandled: {context}"))
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(_serve(spec, listener, control))
