"""The gateway as a whole: its parts wired together, its start, and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from ..places import Places
from ..settings import Settings
from ..version import version
from . import handover, listeners, state
from .connections import Connections
from .dispatch import Dispatcher
from .http import Connection
from .link import Forget, Link, LinkConnection, Sync, Upsert
from .revive import Reviver, accepts_connections

log = logging.getLogger(__name__)

EXIT_PORT = 4
RETRY_SECONDS = 0.5
PATIENT_RETRY_SECONDS = 5.0
PATIENT_AFTER = 120
SHUTDOWN_GRACE_SECONDS = 5.0
ROUTES_PATIENCE_SECONDS = 1.0
FLUSH_SECONDS = 1.0
POLL_SECONDS = 0.02
# Of a gateway that has a successor: how long connections that are just being made find it, and how long one without a
# request is kept, since the next may be on its way.
SETTLE_SECONDS = 0.1
RETIRED_IDLE_SECONDS = 60.0


class Gateway:
    """One gateway process.

    Args:
        settings: host, port, drain grace and request log are read.
        places: where its sockets and files are; the lock is held already.
        reviver: brings the controller back; None leaves it alone.
        lock: descriptor of the lock; closed when no new work is taken any more, so that a successor can start.
        inheritance: what a gateway that runs has handed over; None for a first one.
    """

    def __init__(
        self,
        settings: Settings,
        places: Places,
        reviver: Reviver | None,
        lock: int,
        inheritance: handover.Inheritance | None = None,
    ) -> None:
        self._settings = settings
        self._places = places
        self._reviver = reviver
        self._lock = lock
        self._inheritance = inheritance
        self._offer = handover.Offer(places.handover_socket, self)
        self._tcp: socket.socket | None = None
        self._succession = False
        self._leaving: asyncio.TimerHandle | None = None
        self._retired = asyncio.Event()
        self._saved = state.load(places.gateway_state)
        self._state = state.StateFile(places.gateway_state, self._saved)
        self._connections = Connections(
            settings.gateway_idle_seconds, settings.gateway_max_connections
        )
        self._link = Link()
        self._link.listener = self
        self._dispatcher = Dispatcher(
            asyncio.get_running_loop(), self._link, request_log=settings.request_log
        )
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()
        self._told = asyncio.Event()
        self._end: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Serve until told to end; returns the exit code."""
        self._saved.pid, self._saved.host = os.getpid(), self._settings.gateway_host
        self._dispatcher.replace(self._saved.endpoints)
        if not await self._listen():
            return EXIT_PORT
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._terminate)
        if self._reviver is not None:
            self._spawn(self._keep_controller(self._reviver))
        log.info("gateway %s: pid %d, port %d", version(), os.getpid(), self._saved.port)
        self._offer.open()
        self._said("serving")
        if self._inheritance is not None:
            self._inheritance.close()
        grace = await self._end
        if self._retired.is_set():
            await self._retire()
        else:
            await self._wind_down(grace)
        return 0

    # --- Listener: the controller's messages --------------------------------------------------------

    def hello(self) -> dict[str, Any]:
        """Who we are and what we know; ``problem`` says why TCP does not work, if so."""
        return {
            "pid": os.getpid(),
            "version": version(),
            "port": self._saved.port,
            "host": self._saved.host,
            "revision": self._saved.revision,
            "problem": self._saved.problem,
        }

    def link_changed(self, connected: bool) -> None:
        """A controller connected, or it is gone."""
        log.info("controller %s", "connected" if connected else "gone")
        if self._reviver is not None:
            self._reviver.link_changed(connected)

    def apply(self, message: Sync | Upsert | Forget) -> list[str]:
        """Routes changed: let them take effect and remember them."""
        match message:
            case Sync():
                drained = self._dispatcher.replace(message.endpoints)
                drained += self._dispatcher.idle(message.draining)
            case Upsert():
                drained = self._dispatcher.put(message.endpoint)
            case Forget():
                drained = self._dispatcher.forget(message.name)
        self._saved.revision = message.revision
        self._saved.endpoints = self._dispatcher.table.endpoints()
        if not self._retired.is_set():  # the file is a successor's then
            self._state.changed()
        return drained

    def applied(self, message: Sync | Upsert | Forget) -> None:
        """A controller that has told everything hears what is held and counted."""
        if isinstance(message, Sync):
            self._succession = message.succession
            self._told.set()
            self._dispatcher.reports.connected()

    def shutdown(self) -> None:
        """The installation is being stopped: end, and leave the controller alone."""
        log.info("shutdown")
        self._dispatcher.dismiss("Serving is being shut down.", cold_only=False)
        if self._retired.is_set():
            self._connections.close_idle()
            asyncio.get_running_loop().call_later(SHUTDOWN_GRACE_SECONDS, self._hurry.set)
        self._finish(SHUTDOWN_GRACE_SECONDS)

    # --- Predecessor: a successor comes -------------------------------------------------------------

    def descriptors(self) -> list[int]:
        """The lock and the TCP socket, for a successor, which reads port and routes from disk."""
        self._state.write_now()
        return [self._lock, *([self._tcp.fileno()] if self._tcp is not None else [])]

    def bound(self) -> None:
        """A successor listens for the controller: send it there."""
        self._link.retiring()

    def succeeded(self) -> None:
        """A successor serves: finish what is here and end."""
        log.info("a successor serves")
        self._retired.set()
        if self._end.done():
            self._hurry.set()
        self._finish(0.0)

    def deserted(self) -> None:
        """The successor has ended too early: be found again."""
        log.error("the successor ended before it served: going on")
        self._spawn(self._serve_unix())

    # --- start --------------------------------------------------------------------------------------

    async def _listen(self) -> bool:
        await self._serve_unix()
        self._said("bound")
        if self._saved.port:
            await self._newest_routes()
        explicit = bool(self._settings.gateway_port)
        port = self._settings.gateway_port or self._saved.port
        try:
            sock = self._inherited(port) or self._bind(port)
        except OSError as error:
            self._report_port(port, error)
            if explicit:
                self._state.write_now()
                for server in self._servers:
                    server.close()
                self._unlink_sockets()
                return False
            self._spawn(self._listen_later(port))
        else:
            await self._serve_tcp(sock)
        self._state.changed()
        return True

    def _said(self, word: str) -> None:
        if self._inheritance is not None:
            self._inheritance.say(word)

    def _inherited(self, port: int) -> socket.socket | None:
        """The predecessor's socket, unless the settings have changed meanwhile."""
        given = self._inheritance.tcp if self._inheritance else None
        host = self._settings.gateway_host
        if given is not None and not handover.fits(given, host, port):
            given.close()
            given = None
        return given

    async def _newest_routes(self) -> None:
        """After a crash the file may lack what changed just before it (a token, say): a controller that is there tells
        within milliseconds, and without one the file has to do."""
        if not await accepts_connections(self._places.controller_socket):
            return
        try:
            async with asyncio.timeout(ROUTES_PATIENCE_SECONDS):
                await self._told.wait()
        except TimeoutError:
            log.warning("the controller did not tell its routes: serving those on disk")

    def _bind(self, port: int) -> socket.socket:
        host = self._settings.gateway_host
        return listeners.bind_tcp(host, port) if port else listeners.bind_any(host, random.Random())

    async def _listen_later(self, port: int) -> None:
        """The remembered port is taken: clients know it, so wait for it rather than move (the unix socket serves)."""
        attempt = 0
        while True:
            attempt += 1
            await asyncio.sleep(RETRY_SECONDS if attempt < PATIENT_AFTER else PATIENT_RETRY_SECONDS)
            try:
                sock = self._bind(port)
            except OSError:
                continue
            await self._serve_tcp(sock)
            self._state.changed()
            return

    async def _serve_tcp(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(lambda: self._connection(False), sock=sock))
        self._tcp = sock
        self._saved.port = int(sock.getsockname()[1])
        self._saved.problem = None

    async def _serve_unix(self) -> None:
        loop = asyncio.get_running_loop()
        for path, factory in (
            (self._places.gateway_socket, lambda: self._connection(True)),
            (self._places.link_socket, lambda: LinkConnection(self._link)),
        ):
            sock = listeners.bind_unix(path)
            self._servers.append(await loop.create_unix_server(factory, sock=sock))

    def _connection(self, trusted: bool) -> Connection:
        return Connection(self._dispatcher, self._connections, trusted=trusted)

    def _report_port(self, port: int, error: OSError) -> None:
        host = self._settings.gateway_host
        self._saved.port = port
        self._saved.problem = (
            f"The gateway cannot listen on {host}:{port} ({error.strerror or error}). Stop the program that uses it, "
            "or set gateway_port to another port."
        )
        log.error("%s", self._saved.problem)

    async def _keep_controller(self, reviver: Reviver) -> None:
        await reviver.run()
        log.warning("%s is gone: ending", self._places.data)
        self.shutdown()

    # --- end ----------------------------------------------------------------------------------------

    def _terminate(self) -> None:
        """SIGTERM: hand over where the controller brings a successor; else take nothing new. A second one hurries."""
        if self._end.done():
            self._hurry.set()
        elif self._succession and self._link.connected and self._leaving is None:
            self._link.leaving()
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(handover.SECONDS, self._end_alone)
        else:
            self._end_alone()

    def _end_alone(self) -> None:
        """Take nothing new, finish what a replica can still answer."""
        if not self._end.done():
            self._dispatcher.dismiss("The gateway restarts.", cold_only=True)
            self._finish(self._settings.drain_grace_seconds)

    def _finish(self, grace: float) -> None:
        if not self._end.done():
            self._end.set_result(grace)

    async def _wind_down(self, grace: float) -> None:
        self._stop_listening()
        await self._state.close()
        self._offer.close(unlink=True)
        self._unlink_sockets()
        os.close(self._lock)
        self._connections.close_idle()
        await self._until(lambda: self._dispatcher.busy() == 0, grace)
        await self._part()

    async def _retire(self) -> None:
        """A successor serves: every request that has come here, or comes on a connection that is here, is answered.

        The controller goes on telling what changes, so that held requests are released too. What a client has not used
        for a while is closed; until then its next answer is its last here.
        """
        # Who connected to a unix socket that is being replaced is in its queue: take all of them.
        await asyncio.sleep(SETTLE_SECONDS)
        self._stop_listening()
        await self._state.leave()
        self._offer.close(unlink=False)
        os.close(self._lock)
        self._connections.retire()
        await self._until(lambda: not self._connections.all, RETIRED_IDLE_SECONDS)
        self._connections.close_idle()
        await self._until(
            lambda: self._dispatcher.busy() == 0, self._settings.request_deadline_seconds
        )
        await self._part()

    def _stop_listening(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        for task in list(self._tasks):
            task.cancel()
        for server in self._servers:
            server.close()

    async def _part(self) -> None:
        self._dispatcher.reports.stop()
        await self._until(lambda: not self._connections.all, FLUSH_SECONDS)
        self._link.close()
        await asyncio.sleep(0)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        limit = loop.time() + seconds
        while not done() and not self._hurry.is_set() and loop.time() < limit:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._hurry.wait()
            except TimeoutError:
                continue

    def _unlink_sockets(self) -> None:
        for path in (self._places.gateway_socket, self._places.link_socket):
            path.unlink(missing_ok=True)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
