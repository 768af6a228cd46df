"""Reroute, prove, remove: an endpoint that goes to zero and comes back under traffic loses no request."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from load import ClosedLoop
from services import until

from jupyter_serving.processes import Identity

from .clients import Later
from .stage import Played, Stage

ROWS = {"dataframe_records": [{"x": 21.0}]}
IDLE = 0.05
# After its restart a controller gives nothing up for one stable window.
QUICK = {"stable_window_seconds": 6.0, "panic_window_seconds": 1.0}
TO_ZERO: dict[str, Any] = {
    "min_provisioned_concurrency": 0,
    "max_provisioned_concurrency": 4,
    "scale_to_zero_enabled": True,
    "scale_to_zero_seconds": IDLE,
}
ROUNDS, KILLS = 8, 2


class Gaps(ClosedLoop):
    """A client that pauses after each answer: the endpoint's way to zero begins at some moment of the next second."""

    def __init__(self, *arguments: Any, seed: int, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._random = random.Random(seed)

    async def ask(self, connection: Any, due: float) -> Any:
        """Ask, then pause."""
        answer = await super().ask(connection, due)
        await asyncio.sleep(self._random.uniform(0.3, 1.6))
        return answer


def events(played: Played, kind: str) -> list[dict[str, Any]]:
    return [e for e in played.stage.client.events(played.name, 1000) if e["type"] == kind]


def times_at_zero(played: Played) -> int:
    return len(events(played, "REPLICA_STOPPED"))


def test_arrivals_at_every_moment_of_going_to_zero_are_answered(stage: Stage) -> None:
    with stage.endpoint(stage.zoo.doubles(), **TO_ZERO) as played:
        with Gaps(played.url, played.authorization, ROWS, seed=7) as load:
            until(lambda: times_at_zero(played) >= ROUNDS, 180.0, f"{ROUNDS} times at zero")
        assert load.failures() == [], load.sorts()
        assert len(load.answers) >= ROUNDS
        starts = stage.client.starts(played.name, 200)
        assert len(starts) >= ROUNDS, "it did come back each time"
        cold = [start for start in starts if "first_byte" in start["phases"]]
        assert cold, "requests did wait for it"
        assert all(start["remedy"] for start in cold)
    stage.log_is_clean("controller")


@pytest.mark.parametrize("service", ["gateway", "controller"])
def test_a_service_that_dies_at_any_moment_of_it_loses_nothing_for_good(
    stage: Stage, service: str
) -> None:
    """Clients that try again (which is safe for what never began) always get their answer, and none of them hangs."""
    fields = TO_ZERO | {"autoscaling": QUICK}
    with stage.endpoint(stage.zoo.doubles(), **fields) as played:
        named = dict(seed=11, attempts=30, patience=60.0)
        with Gaps(played.url, played.authorization, ROWS, **named) as load:
            chance = random.Random(5)
            for _ in range(KILLS):
                before = times_at_zero(played)
                until(lambda b=before: times_at_zero(played) > b, 180.0, "once more at zero")
                time.sleep(chance.uniform(0.0, 1.5))
                identity = Identity.of(stage.services.pid_of(service))
                assert identity is not None
                identity.signal(9)
                until(lambda i=identity: not i.alive(), what="its end")
            load.flows(3)
        assert load.failures() == [], load.sorts()
        # A dead gateway takes the requests that it holds with it; a dead controller takes nothing.
        if service == "controller":
            assert [a for a in load.answers if a.tries] == []
    until(lambda: not stage.orphans(), what="no orphan")


def test_a_request_that_comes_while_the_last_replica_drains_does_not_wait_for_a_new_one(
    stage: Stage,
) -> None:
    with stage.endpoint(
        stage.zoo.puppet(), **TO_ZERO | {"max_provisioned_concurrency": 1}
    ) as played:
        (replica,) = until(lambda: list(stage.leaders()), what="its replica")
        with Later(played.url, played.authorization, played.act("hold", 1.0)) as first:
            until(played.folder.begun, what="it in flight")
            with Later(played.url, played.authorization, played.act("answer", 2.0)) as second:
                played.folder.release()
                assert first.reply().status == second.reply().status == 200
        assert list(stage.leaders()) in ([replica], [])
        assert stage.client.starts(played.name, 200, "wake") == []
