"""Too many requests."""

import asyncio
from pathlib import Path

import pytest

from jupyter_serving.gateway.failures import retry_after

from .replicas import (
    SlowReplica,
    running,
)
from .world import KEY, begin, endpoint, entity, post, scenario, until, world_in


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


@pytest.mark.parametrize(
    ("waiting", "rate", "seconds"),
    [(0, 100.0, 1), (10, 100.0, 1), (10, 3.0, 4), (1000, 1.0, 300), (7, 0.0, 5)],
)
def test_retry_after_is_the_time_to_work_off_the_queue(
    waiting: int, rate: float, seconds: float
) -> None:
    assert retry_after(waiting, rate, 299.5) == seconds


@scenario
async def test_ten_times_too_many_are_refused_at_once_and_those_taken_are_served(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), SlowReplica(world.places.runtime, slots=2)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire()), queue_limit=8))
            tasks = [await begin(world) for _ in range(10)]
            await controller.heard("stats", lambda m: m["entities"].get(KEY, {}).get("queued") == 8)
            client = await world.tcp()
            seconds = []
            for _ in range(100):
                start = asyncio.get_running_loop().time()
                refused = await post(client)
                seconds.append(asyncio.get_running_loop().time() - start)
                assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
            assert sorted(seconds)[50] < 0.05, "at once, also while the queue is full"
            replica.may_end.set()
            assert {t.status_code for t in await asyncio.gather(*tasks)} == {200}
            await until(
                lambda: controller.total(KEY, "refused") == 100, "the refusals in the stats"
            )
            reasons = {
                reason
                for m in controller.all("stats")
                for reason in m["entities"].get(KEY, {}).get("refused", {})
            }
            assert reasons == {"queue_full"}


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"state": "STOPPED"}, "", "stopped"),
        ({"state": "FAILED"}, "", "failed"),
        ({"state": "CREATING", "entities": []}, "", "unavailable"),
        ({"entities": [entity("m", unavailable="no memory")]}, "", "unavailable"),
        ({}, "served-models/x/", "unknown_entity"),
    ],
)
@scenario
async def test_what_reaches_no_served_entity_is_counted_by_endpoint_and_reason(
    tmp_path: Path, change: dict[str, object], path: str, reason: str
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m")) | change)
        client = world.unix()
        for _ in range(2):
            answer = await client.post(f"/serving-endpoints/iris/{path}invocations", json=1)
            assert answer.status_code >= 400
        await until(
            lambda: (
                [m["refused"] for m in controller.all("stats") if "refused" in m]
                == [{"iris": {reason: 2}}]
            ),
            "the refusals in the stats",
        )
        assert controller.total(KEY, "arrivals") == 0
