"""Reroute, prove, remove: an endpoint that goes to zero and comes back under traffic loses no request."""

from __future__ import annotations

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
TO_ZERO: dict[str, Any] = {
    "min_provisioned_concurrency": 0,
    "max_provisioned_concurrency": 4,
    "scale_to_zero_enabled": True,
    "scale_to_zero_seconds": IDLE,
}
ROUNDS = 12


class Gaps(ClosedLoop):
    """A client that pauses between two requests for as long as it takes the endpoint to be on its way to zero."""

    def __init__(self, *arguments: Any, seed: int, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._random = random.Random(seed)

    async def ask(self, connection: Any, due: float) -> Any:
        """Ask, then pause: the decision to go to zero falls anywhere into the next second."""
        import asyncio

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
        starts = stage.client.starts(played.name, 200, "wake")
        assert len(starts) >= ROUNDS - 1, "it did come back each time"
    stage.log_is_clean("controller")


@pytest.mark.parametrize("service", ["gateway", "controller"])
def test_a_service_that_dies_at_any_moment_of_it_loses_nothing_for_good(
    stage: Stage, service: str
) -> None:
    """Clients that try again (which is safe for what never began) always get their answer, and none of them hangs."""
    with stage.endpoint(stage.zoo.doubles(), **TO_ZERO) as played:
        named = dict(seed=11, attempts=30, patience=60.0)
        with Gaps(played.url, played.authorization, ROWS, **named) as load:
            chance = random.Random(5)
            for _ in range(4):
                before = times_at_zero(played)
                until(lambda b=before: times_at_zero(played) > b, 60.0, "once more at zero")
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
