"""G9 (Ray #66056): a replica comes and another goes every 2 s, at a high rate from keep-alive clients: no error."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest
from gateway.replicas import HealthyReplica, running
from gateway.world import TOKEN, endpoint, entity, world_in
from load import OpenLoop

from .stage import Pace, Stage

ROWS = {"dataframe_records": [{"x": 21.0}]}
RATE = 100.0
EVERY = 2.0


def test_replicas_come_and_go_under_load(stage: Stage, pace: Pace) -> None:
    """Every new config starts a replica of its own and drains the one before."""
    with stage.endpoint(stage.zoo.doubles()) as played:
        seen = set(stage.leaders())
        with OpenLoop(played.url, played.authorization, ROWS, rate=RATE) as load:
            load.flows()
            end = time.monotonic() + pace.churn
            while time.monotonic() < end:
                again = time.monotonic() + EVERY
                # The same config once more would keep its replicas.
                variables = {"ROUND": str(len(seen))}
                entity = stage.zoo.entity(stage.zoo.doubles(), environment_vars=variables)
                stage.client.update(played.name, {"served_entities": [entity]})
                stage.client.wait(played.name)
                seen |= set(stage.leaders())
                time.sleep(max(0.0, again - time.monotonic()))
            load.flows()
        assert load.failures() == [], load.sorts()
        assert len(seen) >= min(4, pace.churn / EVERY / 2), "replicas did come and go"


@pytest.mark.parametrize("count", [4])
def test_membership_changes_twenty_times_a_second(tmp_path: Path, pace: Pace, count: int) -> None:
    """The gateway alone, with replicas that are fast: far more changes and requests than a machine's starts allow."""

    async def play() -> OpenLoop:
        async with world_in(tmp_path / "d") as world:
            await world.start()
            controller = await world.controller()
            pool = [HealthyReplica(world.places.runtime, f"r{i}", slots=2) for i in range(count)]
            url = f"http://127.0.0.1:{await world.port()}/serving-endpoints/iris/invocations"
            async with running(*pool):
                await controller.sync(endpoint(entity("m", pool[0].wire())))
                with OpenLoop(url, f"Bearer {TOKEN}", ROWS, rate=2 * RATE) as load:
                    end = time.monotonic() + pace.churn / 2
                    for first in itertools.cycle(range(count)):
                        two = (pool[first].wire(), pool[(first + 1) % count].wire())
                        await controller.put(endpoint(entity("m", *two)))
                        if time.monotonic() > end:
                            break
                        await asyncio.sleep(0.05)
                    await asyncio.to_thread(load.stop)
                assert all(replica.begun for replica in pool), "each took part"
                assert all(replica.most_held <= 2 for replica in pool), "never more than its slots"
                return load

    load = asyncio.run(play())
    assert load.failures() == [], load.sorts()
    assert len(load.answers) > RATE * pace.churn / 2
