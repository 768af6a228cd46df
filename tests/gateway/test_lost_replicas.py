"""Replicas that die, refuse, or speak nonsense: what is sent again, and what never is."""

import asyncio
from pathlib import Path

import httpx
import pytest

from .replicas import (
    HealthyReplica,
    ReplicaThatClosesIdleConnections,
    ReplicaThatDiesAfterItBegan,
    ReplicaThatDiesBeforeItBegins,
    ReplicaThatDiesInItsAnswer,
    ReplicaThatSpeaksNoHttp,
    running,
)
from .world import KEY, begin, endpoint, entity, gather, post, scenario, until, world_in


@scenario
async def test_a_request_that_never_began_is_sent_elsewhere(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        gone = HealthyReplica(world.places.runtime, "gone", slots=8)
        dying = ReplicaThatDiesBeforeItBegins(world.places.runtime, "dying", slots=4)
        well = HealthyReplica(world.places.runtime, "well")
        async with running(dying, well):
            await controller.sync(endpoint(entity("m", gone.wire(), dying.wire(), well.wire())))
            client = world.unix()
            answers = await gather(*(post(client) for _ in range(20)))
        assert [answer.status_code for answer in answers] == [200] * 20
        assert well.begun == 20 and dying.connections
        assert {m["replica"] for m in controller.all("replica_failed")} == {"gone", "dying"}


@scenario
async def test_a_request_whose_only_replica_refuses_waits_for_another(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        gone, fresh = (HealthyReplica(world.places.runtime, name) for name in ("gone", "fresh"))
        await controller.sync(endpoint(entity("m", gone.wire())))
        held = await begin(world)
        failed = await controller.heard("replica_failed")
        assert failed["replica"] == "gone" and failed["reason"]
        assert (await controller.heard("wake"))["key"] == KEY
        async with running(fresh):
            await controller.put(endpoint(entity("m", fresh.wire())))
            assert (await held).status_code == 200


@scenario
async def test_a_replica_that_came_back_is_used_again(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        await controller.sync(endpoint(entity("m", replica.wire())))
        held = await begin(world)
        await controller.heard("replica_failed")
        async with running(replica):
            assert (await held).status_code == 200


@pytest.mark.parametrize(
    "kind", [ReplicaThatDiesAfterItBegan, ReplicaThatSpeaksNoHttp], ids=lambda kind: kind.__name__
)
@scenario
async def test_a_request_that_began_is_not_sent_again(
    tmp_path: Path, kind: type[HealthyReplica]
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        dying = kind(world.places.runtime, "dying", slots=4)
        well = HealthyReplica(world.places.runtime, "well")
        async with running(dying, well):
            await controller.sync(endpoint(entity("m", dying.wire(), well.wire())))
            answer = await post(world.unix(), json="poison")
        assert (answer.status_code, answer.json()["error_code"]) == (502, "INTERNAL_ERROR")
        assert "died while it held the request" in answer.json()["message"]
        assert well.begun == 0
        assert (await controller.heard("replica_failed"))["replica"] == "dying"


@scenario
async def test_a_poisonous_request_kills_one_replica(tmp_path: Path) -> None:
    class ReplicaThatDiesOfPoison(HealthyReplica):
        async def answer(self, writer: asyncio.StreamWriter, head: object, body: bytes) -> None:
            if body == b'"poison"':
                await self.stop()
            else:
                await self.write(writer, b"{}")

    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replicas = [ReplicaThatDiesOfPoison(world.places.runtime, f"r{n}") for n in range(5)]
        async with running(*replicas):
            await controller.sync(endpoint(entity("m", *(r.wire() for r in replicas))))
            client = world.unix()
            await gather(*(post(client) for _ in range(20)))
            answer = await post(client, json="poison")
            assert answer.status_code == 502, "also on a kept connection"
            assert sum(r.order.count("poison") for r in replicas) == 1
            assert (await post(client)).status_code == 200


@scenario
async def test_an_answer_that_breaks_off_is_not_passed_off_as_whole(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replica = ReplicaThatDiesInItsAnswer(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            with pytest.raises(httpx.TransportError):
                await post(world.unix())
            await until(lambda: controller.total(KEY, "errors") == 1, "the error in the stats")


@scenario
async def test_closed_keep_alive_connections_lose_no_request(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replica = ReplicaThatClosesIdleConnections(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            client = world.unix()
            assert [(await post(client)).status_code for _ in range(10)] == [200] * 10
        assert replica.begun == 10 and replica.connections == 10
