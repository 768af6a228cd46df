"""Raw bytes to a real gateway process, and its answers as they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

from .replicas import HealthyReplica, running
from .world import World, endpoint, entity, world_in

PATH = "/serving-endpoints/iris/invocations"


class Wire:
    """A raw connection to the gateway's unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def error(self) -> tuple[int, str]:
        """Status and message of an answer, whose shape must be the error shape."""
        status, _, body = await self.answer()
        answer = json.loads(body)
        assert set(answer) == {"error_code", "message"}
        return status, answer["message"]

    async def at_end(self) -> bool:
        return await self.reader.read(1) == b""


@contextlib.asynccontextmanager
async def served(
    tmp_path: Path, kind: type[HealthyReplica] = HealthyReplica, **more: object
) -> AsyncIterator[tuple[World, Wire, HealthyReplica]]:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replica = kind(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire()), **more))
            async with wire_to(world) as wire:
                yield world, wire, replica


@contextlib.asynccontextmanager
async def wire_to(world: World) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_unix_connection(str(world.places.gateway_socket))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def request(body: bytes = b"1", more: str = "", method: str = "POST", path: str = PATH) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body
