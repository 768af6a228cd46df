"""The one deadline of a request."""

from pathlib import Path

from .replicas import (
    ReplicaThatKillsAtTheDeadline,
    SlowReplica,
    running,
)
from .world import KEY, begin, endpoint, entity, post, scenario, until, world_in


@scenario
async def test_a_request_still_queued_at_its_deadline_gets_504(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), SlowReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m"), deadline=0.3))
            cold = await post(world.unix())
            assert (cold.status_code, cold.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
            assert "became ready" in cold.json()["message"]
            await controller.put(endpoint(entity("m", replica.wire()), deadline=30))
            holder = await begin(world)
            await until(lambda: replica.held == 1)
            await controller.put(endpoint(entity("m", replica.wire()), deadline=0.3))
            queued = await post(world.unix())
            assert queued.status_code == 504
            assert "free slot" in queued.json()["message"]
            replica.may_end.set()
            assert (await holder).status_code == 200
            assert replica.begun == 1


@scenario
async def test_a_replica_that_keeps_to_the_deadline_gives_its_own_504(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replica = ReplicaThatKillsAtTheDeadline(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire()), deadline=0.5))
            answer = await post(world.unix())
        assert (answer.status_code, answer.json()["message"]) == (504, "the worker was replaced")


@scenario
async def test_a_replica_that_misses_the_deadline_keeps_its_slot_taken(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), SlowReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire()), deadline=0.3))
            late = await post(world.unix())
            assert late.status_code == 504 and "did not answer" in late.json()["message"]
            await controller.put(endpoint(entity("m", replica.wire())))
            after = await begin(world)
            await controller.heard("stats", lambda m: m["entities"].get(KEY, {}).get("queued") == 1)
            assert replica.most_held == 1
            replica.may_end.set()
            assert (await after).status_code == 200
            assert replica.most_held == 1
