"""A request from the client to the replica and back, through the real process."""

from pathlib import Path

import pytest

from .replicas import HealthyReplica, SlowReplica, running
from .world import endpoint, entity, gather, post, scenario, until, world_in


@scenario
async def test_first(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replica = HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            answer = await post(await world.tcp())
            print(answer.status_code, answer.headers, answer.text)
            print(controller.messages)
            assert answer.status_code == 200
