"""Requests through the real process: slots, holding, limits, deadlines, loss of replicas, config changes."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from jupyter_serving.gateway.failures import retry_after

from .replicas import (
    HealthyReplica,
    ReplicaThatClosesIdleConnections,
    ReplicaThatDiesAfterItBegan,
    ReplicaThatDiesBeforeItBegins,
    ReplicaThatDiesInItsAnswer,
    ReplicaThatKillsAtTheDeadline,
    ReplicaThatSpeaksNoHttp,
    ReplicaThatStreams,
    ReplicaWithALargeAnswer,
    SlowReplica,
    running,
)
from .world import World, endpoint, entity, gather, post, scenario, until, world_in

KEY = "e1:1:m"


async def begin(world: World, name: str = "iris", **more: object) -> asyncio.Task[httpx.Response]:
    """Send a request whose answer is awaited later."""
    return asyncio.create_task(post(world.unix(), name, **more))


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
        assert second - first > 0.9


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
async def test_a_full_queue_answers_429_with_an_integer_retry_after(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), SlowReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire()), queue_limit=2))
            tasks = [await begin(world) for _ in range(3)]
            await controller.heard("stats", lambda m: m["entities"].get(KEY, {}).get("queued") == 2)
            refused = await post(world.unix())
            assert refused.status_code == 429
            assert refused.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
            assert "limit 2" in refused.json()["message"]
            assert int(refused.headers["retry-after"]) >= 1
            replica.may_end.set()
            assert [t.status_code for t in await asyncio.gather(*tasks)] == [200] * 3
            await until(lambda: controller.total(KEY, "refused") == 1, "the refusal in the stats")


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
async def test_a_poisonous_request_kills_at_most_two_replicas(tmp_path: Path) -> None:
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
            assert answer.status_code == 502
            assert sum(r.order.count("poison") for r in replicas) <= 2
            assert (await post(client)).status_code == 200


@pytest.mark.parametrize(
    ("waiting", "rate", "seconds"),
    [(0, 100.0, 1), (10, 100.0, 1), (10, 3.0, 4), (1000, 1.0, 300), (7, 0.0, 5)],
)
def test_retry_after_is_the_time_to_work_off_the_queue(
    waiting: int, rate: float, seconds: float
) -> None:
    assert retry_after(waiting, rate, 299.5) == seconds


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
