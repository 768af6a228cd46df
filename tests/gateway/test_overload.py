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
