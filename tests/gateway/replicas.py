"""Replicas made to fail in one way each; the base class does not fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self


class HealthyReplica:
    """Answers what it was sent, and remembers how many requests it ever held at once."""

    def __init__(self, folder: Path, name: str = "r1", slots: int = 1) -> None:
        self.name = name
        self.slots = slots
        self.path = folder / f"r-{name}.sock"
        self.held = 0
        self.most_held = 0
        self.begun = 0
        self.connections = 0
        self.order: list[Any] = []
        self.heads: list[dict[str, str]] = []
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def wire(self, *, draining: bool = False) -> dict[str, Any]:
        """As the controller tells it to the gateway."""
        return {
            "id": self.name,
            "address": f"unix:{self.path}",
            "slots": self.slots,
            "draining": draining,
        }

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return len(self._writers)

    async def start(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    async def stop(self) -> None:
        """Close the listener and every connection, as a killed process does."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self.converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await self.read(reader)
            self.begun += 1
            self.held += 1
            self.most_held = max(self.most_held, self.held)
            self.heads.append(head)
            with contextlib.suppress(ValueError):  # also where it is no text
                self.order.append(json.loads(body))
            try:
                await self.answer(writer, head, body)
            finally:
                self.held -= 1

    async def read(self, reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines[1:] if line]
        head = {":line": lines[0], **{name: value for name, value in pairs}}
        return head, await reader.readexactly(int(head["content-length"]))

    async def answer(self, writer: asyncio.StreamWriter, head: dict[str, str], body: bytes) -> None:
        await self.predict()
        await self.write(writer, json.dumps({"predictions": self.name}).encode())

    async def predict(self) -> None:
        await asyncio.sleep(0.005)

    async def write(
        self, writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK"
    ) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nserver-timing: predict;dur=1.5\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()


class SlowReplica(HealthyReplica):
    """Predicts until it is allowed to end."""

    def __init__(self, folder: Path, name: str = "r1", slots: int = 1) -> None:
        super().__init__(folder, name, slots)
        self.may_end = asyncio.Event()

    async def predict(self) -> None:
        await self.may_end.wait()


class ReplicaThatDiesBeforeItBegins(HealthyReplica):
    """Accepts connections and never reads from them; then its process is gone."""

    async def start(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        self._socket.bind(str(self.path))
        self._socket.listen()
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def _accept(self) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._socket)
            self.connections += 1
            await asyncio.sleep(0.05)
            connection.close()

    async def stop(self) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._socket.close()
        await super().stop()


class ReplicaThatDiesAfterItBegan(HealthyReplica):
    """Reads the request, then its process is gone."""

    async def answer(self, writer: asyncio.StreamWriter, head: dict[str, str], body: bytes) -> None:
        writer.transport.abort()


class ReplicaThatDiesInItsAnswer(HealthyReplica):
    """Begins to answer, then its process is gone."""

    async def answer(self, writer: asyncio.StreamWriter, head: dict[str, str], body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()


class ReplicaThatClosesIdleConnections(HealthyReplica):
    """Answers one request per connection; the next one on it meets a closing socket, which nobody reads."""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await self.read(reader)
        self.begun += 1
        transport: Any = writer.transport
        transport.pause_reading()
        await self.answer(writer, head, body)
        descriptor = writer.get_extra_info("socket").fileno()
        await asyncio.to_thread(select.select, [descriptor], [], [], 10.0)


class ReplicaThatSpeaksNoHttp(HealthyReplica):
    """Answers with something else."""

    async def answer(self, writer: asyncio.StreamWriter, head: dict[str, str], body: bytes) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()


class ReplicaThatStreams(HealthyReplica):
    """Sends chunks without a length, the second one only when it is allowed to."""

    def __init__(self, folder: Path, name: str = "r1", slots: int = 1) -> None:
        super().__init__(folder, name, slots)
        self.may_end = asyncio.Event()

    async def answer(self, writer: asyncio.StreamWriter, head: dict[str, str], body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n6\r\nfirst \r\n")
        await writer.drain()
        await self.may_end.wait()
        writer.write(b"4\r\nlast\r\n0\r\n\r\n")
        await writer.drain()


class ReplicaWithEvents(HealthyReplica):
    """Sends server-sent events of 32 KB each, one per permission, and counts those that could be written."""

    COUNT = 400

    def __init__(self, folder: Path, name: str = "r1", slots: int = 1) -> None:
        super().__init__(folder, name, slots)
        self.permits = asyncio.Semaphore(0)
        self.sent = 0

    def event(self, number: int) -> bytes:
        return b"data: %06d%b\n\n" % (number, b"x" * 32_000)

    async def answer(self, writer: asyncio.StreamWriter, head: dict[str, str], body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for number in range(self.COUNT):
            await self.permits.acquire()
            event = self.event(number)
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            self.sent += 1
        writer.write(b"0\r\n\r\n")
        await writer.drain()


class ReplicaWithALargeAnswer(HealthyReplica):
    """Answers with 64 MB and counts how much of it could be written."""

    def __init__(self, folder: Path, name: str = "r1", slots: int = 1) -> None:
        super().__init__(folder, name, slots)
        self.written = 0

    async def answer(self, writer: asyncio.StreamWriter, head: dict[str, str], body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * 2**20))
        for _ in range(1024):
            writer.write(b"x" * 65536)
            await writer.drain()
            self.written += 65536


class ReplicaThatKillsAtTheDeadline(HealthyReplica):
    """Never ends by itself; answers 504 at the deadline that the gateway names, as the runtime does."""

    async def answer(self, writer: asyncio.StreamWriter, head: dict[str, str], body: bytes) -> None:
        await asyncio.sleep(max(0.0, float(head["x-serving-deadline"]) - time.time()))
        answer = {"error_code": "DEADLINE_EXCEEDED", "message": "the worker was replaced"}
        await self.write(writer, json.dumps(answer).encode(), "504 Gateway Timeout")


@contextlib.asynccontextmanager
async def running(*replicas: HealthyReplica) -> AsyncIterator[None]:
    """Start replicas, and stop them at the end."""
    for replica in replicas:
        await replica.start()
    try:
        yield
    finally:
        for replica in replicas:
            await replica.stop()
