"""Configs that change while requests wait or run."""

import asyncio
from pathlib import Path

import pytest

from .replicas import (
    HealthyReplica,
    SlowReplica,
    running,
)
from .world import KEY, begin, endpoint, entity, post, scenario, until, world_in


@scenario
async def test_a_config_switch_routes_held_requests_anew(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        await controller.sync(endpoint(entity("m")))
        tasks = [await begin(world) for _ in range(3)]
        await controller.heard("stats", lambda m: m["entities"].get(KEY, {}).get("queued") == 3)
        async with running(replica):
            await controller.put(endpoint(entity("m2", replica.wire(), version=2), version=2))
            answers = await asyncio.gather(*tasks)
        assert [a.headers["served-model-name"] for a in answers] == ["m2"] * 3
        await until(lambda: controller.total("e1:2:m2", "finished") == 3, "the new key's stats")
        assert controller.total(KEY, "arrivals") == 0


@scenario
async def test_a_replica_taken_over_by_a_new_config_keeps_its_slots_counted(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), SlowReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            first = await begin(world)
            await until(lambda: replica.held == 1)
            await controller.put(endpoint(entity("m", replica.wire(), version=2), version=2))
            second = await begin(world)
            await controller.heard("stats", lambda m: m["entities"].get("e1:2:m", {}).get("queued"))
            replica.may_end.set()
            assert [r.status_code for r in await asyncio.gather(first, second)] == [200, 200]
            assert replica.most_held == 1
            assert controller.all("drained") == []


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"state": "STOPPED"}, 400, "stopped"),
        ({"state": "FAILED", "message": "ModuleNotFoundError: x"}, 400, "ModuleNotFoundError"),
        ({"entities": [entity("m", unavailable="out of memory")]}, 503, "out of memory"),
    ],
)
@scenario
async def test_held_requests_are_answered_when_nothing_will_serve_them(
    tmp_path: Path, change: dict[str, object], status: int, words: str
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m")))
        held = await begin(world)
        await controller.heard("wake")
        await controller.put(endpoint(entity("m")) | change)
        answer = await held
        assert answer.status_code == status and words in answer.json()["message"]
        assert ("retry-after" in answer.headers) == (status == 503)
        assert (await post(world.unix())).status_code == status


@scenario
async def test_held_requests_of_a_deleted_endpoint_get_404(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m")))
        held = await begin(world)
        await controller.heard("wake")
        await controller.forget("iris")
        answer = await held
        assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
