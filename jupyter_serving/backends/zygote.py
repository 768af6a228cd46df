"""The connection to one zygote: spawn, teach, and the exits that it tells."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from ..errors import StartFailed
from ..processes import Identity, boot_id
from .making import Making, imports_of

_LINE_LIMIT = 16 * 1024 * 1024
# Exit statuses that are remembered for someone to ask.
_KEPT = 1000


class Zygote:
    """A connected zygote; made by ``Zygote.connect``.

    Attributes:
        hello: its greeting: ``pid``, ``key``, ``python``, ``fingerprint``, ``threads``, ``start``.
        started: monotonic times at which we began to start it and at which it greeted us; None where it was found.
        children: replicas that it has forked and that live, by id.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hello: dict[str, Any] = {}
        self.started: tuple[float, float] | None = None
        self.children: dict[str, Identity] = {}
        self._reader, self._writer = reader, writer
        self._spawning: dict[str, asyncio.Future[Identity]] = {}
        self._replies: list[asyncio.Future[None]] = []
        self._statuses: dict[int, asyncio.Future[int | None]] = {}
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, socket: Path) -> Zygote:
        """Connect and wait for the greeting, which comes when the zygote's imports are done.

        Raises:
            OSError: nobody listens, or it ended before its greeting.
        """
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=_LINE_LIMIT)
        zygote = cls(reader, writer)
        try:
            message = await zygote._next()
            if message is None or message.get("event") != "hello":
                raise ConnectionResetError("the zygote ended before its greeting")
            zygote._greeted(message)
        except BaseException:
            writer.close()
            raise
        zygote._listening = asyncio.create_task(zygote._listen())
        return zygote

    @property
    def alive(self) -> bool:
        """True while the connection stands."""
        return self._listening is not None and not self._listening.done()

    def making(self, began: float, asked: float) -> Making:
        """How a replica comes to be whose launch began at ``began`` and that was ordered at ``asked`` (monotonic)."""
        start, waited = self.hello.get("start") or {}, 0.0
        if self.started is not None:
            waited = max(0.0, self.started[1] - max(began, self.started[0]))
        if not waited:
            return Making("resident", {"spawn": asked - began})
        imports = min(waited, float(start.get("imports") or 0.0))
        phases = {
            "spawn": max(0.0, asked - began - waited),
            "interpreter": waited - imports,
            "imports": imports,
        }
        return Making("started", phases, waited, imports_of(start.get("slowest")))

    async def ended(self) -> None:
        """Return when the connection has ended."""
        if self._listening is not None:
            await asyncio.wait([self._listening])

    async def spawn(self, replica: str, spec: dict[str, Any]) -> Identity:
        """Fork a replica; its socket accepts connections when this returns.

        Raises:
            StartFailed: the zygote refused, or ended.
        """
        future: asyncio.Future[Identity] = asyncio.get_running_loop().create_future()
        self._spawning[replica] = future
        try:
            await self._say({"op": "spawn", "id": replica, "spec": spec})
            return await future
        finally:
            self._spawning.pop(replica, None)

    async def teach(self, modules: list[str]) -> None:
        """Have the modules imported for replicas to come; goes on in the zygote."""
        await self._say({"op": "preload", "modules": modules})

    async def settle(self) -> None:
        """Return when everything that anybody had sent before this call has been carried out.

        The zygote reads all connections in turn, so its answer to a message of ours (one that it does not know
        costs it nothing) comes after what lay in the others before.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._replies.append(future)
        await self._say({"op": "settle"})
        await future

    async def shutdown(self) -> None:
        """Have it end; its replicas go on."""
        with contextlib.suppress(StartFailed):
            await self._say({"op": "shutdown"})
        if self._listening is not None:
            await asyncio.wait([self._listening], timeout=5.0)
        await self.close()

    async def status(self, pid: int, patience: float) -> int | None:
        """Exit status of an ended replica; None where the zygote does not tell it within ``patience`` seconds."""
        future = self._status(pid)
        if not self.alive and not future.done():
            return None
        await asyncio.wait([future], timeout=patience)
        return future.result() if future.done() else None

    async def close(self) -> None:
        """Disconnect; the zygote goes on."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        self._writer.close()

    async def _say(self, message: dict[str, Any]) -> None:
        if not self.alive:
            raise StartFailed("The environment's zygote has ended.")
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except OSError as error:
            raise StartFailed(f"The environment's zygote has ended: {error}.") from error

    async def _next(self) -> dict[str, Any] | None:
        try:
            line = await self._reader.readline()
            return dict(json.loads(line)) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None

    async def _listen(self) -> None:
        try:
            while (message := await self._next()) is not None:
                self._heard(message)
        finally:
            self._gone()

    def _greeted(self, message: dict[str, Any]) -> None:
        self.hello = message
        self.children = {c["id"]: _identity(c) for c in message.get("children", [])}

    def _heard(self, message: dict[str, Any]) -> None:
        event, replica = message.get("event"), message.get("id")
        waiting = self._spawning.get(str(replica))
        if event == "spawned":
            self.children[str(replica)] = _identity(message)
            if waiting and not waiting.done():
                waiting.set_result(self.children[str(replica)])
        elif event == "exit":
            self.children.pop(str(replica), None)
            future = self._status(int(message["pid"]))
            if not future.done():
                future.set_result(int(message["status"]))
        elif event == "error" and waiting and not waiting.done():
            waiting.set_exception(StartFailed(f"The replica was not forked: {message['message']}."))
        elif event == "error" and replica is None and self._replies:
            reply = self._replies.pop(0)
            if not reply.done():
                reply.set_result(None)

    def _status(self, pid: int) -> asyncio.Future[int | None]:
        if pid not in self._statuses:
            while len(self._statuses) >= _KEPT:
                del self._statuses[next(iter(self._statuses))]
            self._statuses[pid] = asyncio.get_running_loop().create_future()
        return self._statuses[pid]

    def _gone(self) -> None:
        lost = StartFailed("The environment's zygote has ended.")
        pending: list[asyncio.Future[Any]] = [*self._spawning.values(), *self._replies]
        for waiting in pending:
            if not waiting.done():
                waiting.set_exception(lost)
                waiting.exception()  # a caller that was cancelled meanwhile will not look at it
        for status in self._statuses.values():
            if not status.done():
                status.set_result(None)
        self._writer.close()


def _identity(told: dict[str, Any]) -> Identity:
    return Identity(boot_id(), int(told["pid"]), int(told["start"] or 0))
