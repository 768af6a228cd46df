"""Answers that come in pieces."""

import asyncio
from pathlib import Path

from .replicas import (
    ReplicaThatStreams,
    ReplicaWithALargeAnswer,
    running,
)
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
