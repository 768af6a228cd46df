"""Answers that come in pieces."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from .replicas import (
    ReplicaThatStreams,
    ReplicaWithALargeAnswer,
    ReplicaWithEvents,
    running,
)
from .wire import Wire, request, wire_to
from .world import endpoint, entity, post, scenario, world_in


@scenario
async def test_an_answer_is_streamed_as_it_comes(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), ReplicaThatStreams(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            stream = world.unix().stream("POST", "/serving-endpoints/iris/invocations", json=1)
            async with stream as answer:
                parts = answer.aiter_raw()
                assert await anext(parts) == b"first "
                assert answer.headers["content-type"] == "text/event-stream"
                replica.may_end.set()
                assert b"".join([part async for part in parts]) == b"last"


@scenario
async def test_a_client_that_does_not_read_holds_the_replica_back(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replica = ReplicaWithALargeAnswer(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            stream = world.unix().stream("POST", "/serving-endpoints/iris/invocations", json=1)
            async with stream as answer:
                before = -1
                while before != replica.written:
                    before = replica.written
                    await asyncio.sleep(0.3)
                assert replica.written < 16 * 2**20
                size = 0
                async for part in answer.aiter_raw():
                    size += len(part)
            assert size == 64 * 2**20
            assert (await post(world.unix())).status_code == 200


@scenario
async def test_events_come_one_by_one_and_a_slow_reader_holds_the_replica_back(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), ReplicaWithEvents(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            async with wire_to(world) as wire:
                await wire.say(request(b"1"))
                head = await wire.reader.readuntil(b"\r\n\r\n")
                assert b"text/event-stream" in head and b"transfer-encoding: chunked" in head
                for number in range(3):
                    replica.permits.release()
                    event = replica.event(number)
                    got = b""
                    while not got.endswith(event):
                        got += await next_chunk(wire)
                    assert replica.sent == number + 1, "the next one has not been sent yet"
                for _ in range(replica.COUNT):
                    replica.permits.release()
                await settled(lambda: replica.sent)
                assert replica.sent < 200, "nobody reads, and it was sent all the same"
                rest = b""
                while chunk := await next_chunk(wire):
                    rest += chunk
                assert rest == b"".join(replica.event(n) for n in range(3, replica.COUNT))
                await wire.say(request(b"1"))
                assert b"200 OK" in await wire.reader.readuntil(b"\r\n\r\n"), "it stays in use"


async def next_chunk(wire: Wire) -> bytes:
    """The data of the next chunk; empty at the end of the answer."""
    size = int(await wire.reader.readuntil(b"\r\n"), 16)
    return (await wire.reader.readexactly(size + 2))[:-2]


async def settled(value: Callable[[], int]) -> None:
    """Wait until a number has not changed for a while."""
    before = -1
    while before != value():
        before = value()
        await asyncio.sleep(0.3)
