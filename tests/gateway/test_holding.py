"""Requests that wait: for a first replica, for a slot, in order."""

import asyncio
from pathlib import Path

from .replicas import (
    HealthyReplica,
    running,
)
from .world import KEY, begin, endpoint, entity, post, scenario, until, world_in


@scenario
async def test_a_held_request_wakes_the_controller_and_is_served_when_a_replica_comes(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        await controller.sync(endpoint(entity("m")))
        held = await begin(world)
        wake = await controller.heard("wake")
        assert (wake["key"], wake["held"]) == (KEY, 1)
        await until(lambda: len(controller.all("wake")) >= 2, "a repeated wake")
        async with running(replica):
            await controller.put(endpoint(entity("m", replica.wire())))
            answer = await held
        assert answer.status_code == 200
        assert "cold;dur=" in answer.headers["server-timing"]
        first, second = (m["at"] for m in controller.all("wake")[:2])
        assert second - first > 0.5, "not at once"


@scenario
async def test_a_hundred_requests_from_zero_never_exceed_the_slots(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replicas = [
            HealthyReplica(world.places.runtime, f"r{n}", slots=n % 2 + 1) for n in range(4)
        ]
        await controller.sync(endpoint(entity("m")))
        client = await world.tcp()
        tasks = [asyncio.create_task(post(client)) for _ in range(100)]
        await controller.heard("wake")
        async with running(*replicas):
            for count in range(1, 5):
                members = [replica.wire() for replica in replicas[:count]]
                await controller.put(endpoint(entity("m", *members)))
            answers = await asyncio.gather(*tasks)
        assert [answer.status_code for answer in answers] == [200] * 100
        assert [replica.most_held for replica in replicas] == [1, 2, 1, 2]
        assert sum(replica.begun for replica in replicas) == 100


@scenario
async def test_held_requests_are_served_in_the_order_they_came(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        await controller.sync(endpoint(entity("m")))
        tasks = []
        for number in range(6):
            tasks.append(await begin(world, json=number))
            await controller.heard(
                "stats", lambda m, n=number + 1: m["entities"].get(KEY, {}).get("queued") == n
            )
        async with running(replica):
            await controller.put(endpoint(entity("m", replica.wire())))
            await asyncio.gather(*tasks)
        assert replica.order == list(range(6))


@scenario
async def test_named_served_entities_and_the_split(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        first, second = (HealthyReplica(world.places.runtime, name) for name in ("r1", "r2"))
        async with running(first, second):
            both = endpoint(entity("a", first.wire()), entity("b", second.wire()))
            await controller.sync(both)
            client = world.unix()
            path = "/serving-endpoints/iris/served-models/b/invocations/"
            for _ in range(3):
                named = await client.post(path, json=1)
                assert named.headers["served-model-name"] == "b"
            for _ in range(10):
                await post(client)
            assert (first.begun, second.begun) == (5, 8)
            missing = await client.post(path.replace("/b/", "/c/"), json=1)
            assert missing.status_code == 404 and "a, b" in missing.json()["message"]


@scenario
async def test_a_cold_entity_does_not_block_a_warm_one(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            shares = [{"entity": "warm", "percent": 90}, {"entity": "cold", "percent": 10}]
            both = endpoint(entity("warm", replica.wire()), entity("cold"), routes=shares)
            await controller.sync(both)
            tasks = [await begin(world) for _ in range(20)]
            await until(lambda: sum(task.done() for task in tasks) == 18, "the warm requests")
            await controller.heard("wake", lambda m: m["key"] == "e1:1:cold")
            await controller.put(endpoint(entity("warm", replica.wire())))
            assert {t.status_code for t in await asyncio.gather(*tasks)} == {200}
