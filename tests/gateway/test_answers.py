"""What a client is answered, and what is told beside it."""

import asyncio
import json
from pathlib import Path

from .replicas import (
    HealthyReplica,
    running,
)
from .world import KEY, endpoint, entity, post, scenario, until, world_in


@scenario
async def test_an_answer_names_entity_and_request_and_tells_the_times(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            client = world.unix()
            answer = await post(client, headers={"x-request-id": "mine-1"})
            assert (answer.status_code, answer.json()) == (200, {"predictions": "r1"})
            assert answer.headers["served-model-name"] == "m"
            assert answer.headers["x-request-id"] == "mine-1"
            parts = [part.split(";")[0] for part in answer.headers["server-timing"].split(", ")]
            assert parts == ["queue", "replica", "predict"]
            odd = await post(client, headers={"x-request-id": "a b\tc"})
            assert odd.headers["x-request-id"] not in ("", "a b\tc")
            assert replica.heads[-1]["x-request-id"] == odd.headers["x-request-id"]
            first = await controller.heard("first_response")
            assert (first["replica"], first["key"]) == ("r1", KEY)
            assert len(controller.all("first_response")) == 1


@scenario
async def test_the_request_log_has_a_line_per_request(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start(request_log="true")
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            await post(world.unix(), headers={"x-request-id": "id-1"})
            await until(lambda: "iris/m 200 " in world.log.read_text(), "the line")
            assert "id-1" in world.log.read_text()


@scenario
async def test_connections_to_a_replica_are_kept(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            client = world.unix()
            for _ in range(10):
                await post(client)
            assert replica.connections == 1


@scenario
async def test_the_error_of_a_model_passes_through_untouched(tmp_path: Path) -> None:
    class ReplicaThatRefuses(HealthyReplica):
        async def answer(self, writer: asyncio.StreamWriter, head: object, body: bytes) -> None:
            answer = {"error_code": "BAD_REQUEST", "message": "no column a", "stack_trace": "..."}
            await self.write(writer, json.dumps(answer).encode(), "400 Bad Request")

    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), ReplicaThatRefuses(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            answer = await post(world.unix())
            assert (answer.status_code, answer.json()["stack_trace"]) == (400, "...")
            await until(lambda: controller.total(KEY, "finished") == 1)
            assert controller.total(KEY, "errors") == 0
