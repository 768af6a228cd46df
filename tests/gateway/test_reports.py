"""What the controller is told each second."""

import asyncio
from pathlib import Path

from .replicas import (
    HealthyReplica,
    running,
)
from .world import KEY, endpoint, entity, gather, post, scenario, until, world_in


@scenario
async def test_the_sums_of_all_deltas_are_the_truth(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = (
            await world.controller(),
            HealthyReplica(world.places.runtime, slots=3),
        )
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire()), queue_limit=10))
            client = await world.tcp()
            codes = [a.status_code for a in await gather(*(post(client) for _ in range(60)))]
            served, refused = codes.count(200), codes.count(429)
            assert served + refused == 60 and served >= 13
            await until(
                lambda: controller.total(KEY, "finished") + controller.total(KEY, "refused") == 60,
                "all requests in the stats",
            )
            assert controller.total(KEY, "arrivals") == 60
            assert controller.total(KEY, "finished") == served
            assert controller.total(KEY, "errors") == 0
            stats = [m["entities"][KEY] for m in controller.all("stats") if KEY in m["entities"]]
            assert sum(count for s in stats for _, count in s["latency"]) == served
            assert (stats[-1]["in_flight"], stats[-1]["queued"], stats[-1]["slots"]) == (0, 0, 3)
            assert stats[-1]["last_arrival"]


@scenario
async def test_an_idle_gateway_says_nothing(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            await post(world.unix())
            await controller.heard("stats", lambda m: m["entities"][KEY]["finished"] == 1)
            await asyncio.sleep(1.2)
            count = len(controller.messages)
            await asyncio.sleep(2.2)
            assert len(controller.messages) == count, controller.messages[count:]


@scenario
async def test_times_of_running_and_waiting_are_told(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            client = world.unix()
            await gather(*(post(client) for _ in range(10)))
            await until(lambda: controller.total(KEY, "finished") == 10, "all in the stats")
            # Each runs for 5 ms, one at a time: the last one waits for nine others.
            assert controller.total(KEY, "busy_seconds") >= 10 * 0.005 * 0.9
            assert controller.total(KEY, "waiting_seconds") >= 45 * 0.005 * 0.9
            stats = [m["entities"][KEY] for m in controller.all("stats") if KEY in m["entities"]]
            assert sum(count for s in stats for _, count in s["waits"]) == 10
            assert all(s["seconds"] > 0 for s in stats)
