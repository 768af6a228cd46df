"""The controller's end of the link to the gateway: routes go out, wake-ups and figures come in.

JSON lines over a unix socket that the gateway listens on. A gateway that does not answer is started; its own lock makes
a second start harmless. After every connect the whole table is sent, so the two can never disagree for long.

A gateway of another version than ours, or one that has been told to end, is given a successor that takes its port over.
The old one stays linked, as retiring, until its last request is answered: see ``sessions``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from .. import processes
from ..places import Places
from ..version import version
from .sessions import Sessions

log = logging.getLogger(__name__)
LINE_LIMIT = 64 * 1024 * 1024
RETRY = 0.05
SPAWN_AGAIN = 5.0
PATIENCE = 2.0
SETTLE = 1.0
MODULE = "jupyter_serving.gateway"


class GatewayLink:
    """Keeps one gateway running and told.

    Args:
        places: sockets.
        table: returns the entry of every endpoint, for the full send.
        draining: returns the ids of replicas whose end of requests is awaited though no entry names them.
        receive: called with every message of the gateway, ``applied`` included.
    """

    def __init__(
        self,
        places: Places,
        table: Callable[[], list[dict[str, Any]]],
        draining: Callable[[], list[str]],
        receive: Callable[[dict[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places, self._table, self._receive, self._clock = places, table, receive, clock
        self._draining = draining
        self._sessions = Sessions(receive)
        self._writer: asyncio.StreamWriter | None = None
        self._leaves: set[asyncio.Task[None]] = set()
        self._tried = ""
        self._linked = asyncio.Event()
        self._revision = int(time.time() * 1000)
        self._applied = 0
        self._confirmed = asyncio.Event()
        self._sent: dict[str, dict[str, Any]] = {}
        # Revision of the last word on each endpoint; of the whole table for those without one since.
        self._said: dict[str, int] = {}
        self._synced = 0
        self._spawned = -SPAWN_AGAIN
        self.hello: dict[str, Any] = {}

    @property
    def connected(self) -> bool:
        """True while a gateway listens to us."""
        return self._writer is not None

    async def run(self) -> None:
        """Connect, and connect again, for ever."""
        try:
            while True:
                retired = False
                try:
                    retired = await self._session()
                except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                    log.debug("no link to the gateway: %s", error)
                finally:
                    self._writer = None
                    self._linked.clear()
                if not retired:
                    await self._revive()
                    await asyncio.sleep(RETRY)
        finally:
            for task in self._leaves:
                task.cancel()

    def publish(self, entry: dict[str, Any] | None, name: str) -> int:
        """Tell the gateway the entry of one endpoint (None: it is gone) if that is news; returns its revision."""
        if self._sent.get(name) == entry:
            return self._said.get(name, self._synced)
        if entry is None:
            self._sent.pop(name, None)
            self._send({"type": "forget", "name": name})
        else:
            self._sent[name] = entry
            self._send({"type": "endpoint", "endpoint": entry})
        self._said[name] = self._revision
        return self._revision

    def proves(self, name: str, replica: str) -> bool:
        """True where the gateway has applied our last word on the endpoint ``name``, which does not route ``replica``.

        Only then does its news that the replica is drained mean that no request can reach it any more: an older news
        may cross the word by which the replica was taken back.
        """
        entry = self._sent.get(name) or {}
        routed = (r["id"] for e in entry.get("entities", ()) for r in e["replicas"])
        return self._applied >= self._said.get(name, self._synced) and replica not in routed

    def known(self) -> set[str]:
        """Names that the gateway has entries of."""
        return set(self._sent)

    async def settled(self) -> None:
        """Return when the gateway has applied everything sent so far; at once without one, at most after a second."""
        revision = self._revision
        try:
            async with asyncio.timeout(SETTLE):
                while self.connected and self._applied < revision:
                    self._confirmed.clear()
                    await self._confirmed.wait()
        except TimeoutError:
            log.warning("the gateway has not confirmed revision %d", revision)

    def _confirm(self, revision: int) -> None:
        self._applied = revision
        self._confirmed.set()

    async def dismiss(self) -> processes.Identity | None:
        """Ask the gateway to end; returns who that is. Cancel ``run`` right after, lest it starts another."""
        # One that was started a moment ago, or has not yet been linked to, must not be left behind.
        patience = max(PATIENCE, self._spawned + SPAWN_AGAIN - self._clock())
        try:
            async with asyncio.timeout(patience):
                await self._linked.wait()
        except TimeoutError:
            return None
        if self._writer is None:
            return None
        self._send({"type": "shutdown"})
        self._sessions.tell({"type": "shutdown"})
        await self._writer.drain()
        return processes.Identity.of(int(self.hello["pid"]))

    async def _session(self) -> bool:
        """Serve one connection to its end; True where its gateway retires and its successor is to be linked to."""
        path = str(self._places.link_socket)
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_LIMIT)
        retired = False
        try:
            self.hello = json.loads(await asyncio.wait_for(reader.readuntil(b"\n"), 5.0))
            self._writer = writer
            self._sessions.begin(writer)
            self._linked.set()
            self._tell_all()
            self._compare()
            while line := await reader.readline():
                message = json.loads(line)
                if message["type"] == "applied":
                    self._confirm(message["revision"])
                    self._receive(message)
                elif message["type"] == "leaving":
                    self._succeed("it is to end")
                elif message["type"] == "retiring":
                    retired = True
                    self._keep(reader, writer)
                    return True
                else:
                    self._sessions.received(writer, message)
            return False
        finally:
            if not retired:
                self._sessions.end(writer)
                writer.close()

    def _tell_all(self) -> None:
        entries = self._table()
        self._sent = {entry["name"]: entry for entry in entries}
        draining = self._draining()
        self._send({"type": "sync", "endpoints": entries, "draining": draining, "succession": True})
        self._said, self._synced = {}, self._revision

    def _keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        log.info("gateway %s retires", self.hello.get("pid"))
        task = asyncio.create_task(self._farewell(reader, writer))
        self._leaves.add(task)
        task.add_done_callback(self._leaves.discard)

    async def _farewell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear a retiring gateway to its end."""
        self._sessions.retire(writer)
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if message["type"] not in ("applied", "leaving", "retiring"):
                    self._sessions.received(writer, message)
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            log.debug("the link to the retiring gateway broke: %s", error)
        finally:
            self._sessions.end(writer)
            writer.close()

    def _send(self, message: dict[str, Any]) -> None:
        self._revision += 1
        message = {**message, "revision": self._revision}
        if message["type"] in ("endpoint", "forget"):
            self._sessions.tell(message)
        if self._writer is not None:
            line = json.dumps(message, separators=(",", ":"))
            self._writer.write(line.encode() + b"\n")

    def _compare(self) -> None:
        """A gateway of another version is succeeded, tried once for each that is met."""
        found = str(self.hello.get("version"))
        if found != version() and self._tried != found:
            self._tried = found
            self._succeed(f"it has version {found}, this is {version()}")

    def _succeed(self, why: str) -> None:
        log.info("gateway %s is given a successor: %s", self.hello.get("pid"), why)
        work = asyncio.to_thread(processes.spawn_service, MODULE, self._places, "--take-over")
        task = asyncio.create_task(work)
        self._leaves.add(task)
        task.add_done_callback(self._leaves.discard)

    async def _revive(self) -> None:
        if self._clock() - self._spawned < SPAWN_AGAIN:
            return
        self._spawned = self._clock()
        await asyncio.to_thread(processes.spawn_service, MODULE, self._places)
