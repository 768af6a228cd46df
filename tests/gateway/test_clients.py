"""Clients that leave."""

from pathlib import Path

from .replicas import (
    HealthyReplica,
    SlowReplica,
    running,
)
from .world import KEY, begin, endpoint, entity, post, scenario, until, world_in


@scenario
async def test_a_client_gone_while_queued_is_forgotten(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        await controller.sync(endpoint(entity("m")))
        held = await begin(world)
        await controller.heard("wake")
        held.cancel()
        await until(
            lambda: controller.total(KEY, "refused") == 1, "the client's leave in the stats"
        )
        async with running(replica):
            await controller.put(endpoint(entity("m", replica.wire())))
            assert (await post(world.unix())).status_code == 200
            assert replica.begun == 1


@scenario
async def test_a_client_gone_while_running_leaves_the_slot_taken(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), SlowReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            gone = await begin(world)
            await until(lambda: replica.held == 1)
            gone.cancel()
            second = await begin(world)
            await controller.heard("stats", lambda m: m["entities"].get(KEY, {}).get("queued") == 1)
            assert replica.begun == 1
            replica.may_end.set()
            assert (await second).status_code == 200
            assert replica.most_held == 1
            await until(lambda: controller.total(KEY, "finished") == 2, "both in the stats")
