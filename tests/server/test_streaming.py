"""An answer in pieces from a replica through the real gateway and through Jupyter."""

import asyncio
import os
from pathlib import Path

from gateway.replicas import ReplicaWithEvents, running
from gateway.world import World, endpoint, entity

import jupyter_serving


async def test_events_cross_gateway_and_jupyter_one_by_one_at_the_readers_pace(
    http, url, places, serving
):
    path = {"PYTHONPATH": str(Path(jupyter_serving.__file__).parent.parent)}
    places.prepare()
    world = World(places, dict(os.environ) | path)
    replica = ReplicaWithEvents(places.runtime)
    try:
        await world.start()
        controller = await world.controller()
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            target = url + "/serving-endpoints/iris/invocations"
            async with http.stream("POST", target, content=b"1") as answer:
                assert answer.headers["content-type"] == "text/event-stream"
                pieces = answer.aiter_raw()
                for number in range(3):
                    replica.permits.release()
                    event, got = replica.event(number), b""
                    while len(got) < len(event):
                        got += await anext(pieces)
                    assert got == event
                    assert replica.sent <= number + 1
                for _ in range(replica.COUNT):
                    replica.permits.release()
                before = -1
                while before != replica.sent:
                    before = replica.sent
                    await asyncio.sleep(0.3)
                assert replica.sent < 300, "nobody reads, and it was sent all the same"
                size = sum([len(piece) async for piece in pieces])
                assert size == len(replica.event(0)) * (replica.COUNT - 3)
    finally:
        await world.close()
