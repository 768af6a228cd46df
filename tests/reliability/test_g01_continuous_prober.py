"""G1 (Knative, upgrade): a prober and one long request at a time, through every change an endpoint can be given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from load import ClosedLoop, OpenLoop
from services import until

from .stage import Pace, Played, Stage, act

# One slot per replica: the long request takes one, the prober has the others.
MOST = 6
SLOTS = {"min_provisioned_concurrency": 2, "max_provisioned_concurrency": MOST}
HALVES = {
    "routes": [
        {"served_entity_name": name, "traffic_percentage": 50} for name in ("first", "second")
    ]
}


def changes(played: Played) -> dict[str, Callable[[], None]]:
    """What is done to the endpoint, in this order; each returns when the change has the traffic."""
    stage = played.stage
    first, second = stage.zoo.puppet(), stage.zoo.puppet_again()
    changed: dict[str, Any] = {**SLOTS, "environment_vars": {"CHANGED": "1"}}

    def split() -> None:
        played.update(
            stage.entity(first, name="first", **SLOTS),
            stage.entity(second, name="second", **SLOTS),
            traffic_config=HALVES,
        )

    def rollback() -> None:
        stage.client.rollback(played.name, 1)
        stage.client.wait(played.name)

    def reload() -> None:
        before = set(stage.leaders())
        stage.client.reload(played.name)
        until(lambda: not before & set(stage.leaders()), what="the end of every replica before")

    return {
        "version switch": lambda: played.update(stage.entity(second, **SLOTS)),
        "config change": lambda: played.update(stage.entity(second, **changed)),
        "traffic split": split,
        "rollback": rollback,
        "reload": reload,
        "scale up": lambda: scale_up(played),
        # How far down depends on how long a busy machine takes for the prober's requests.
        "scale down": lambda: until(lambda: replicas(played) < MOST, what="fewer replicas"),
    }


def scale_up(played: Played) -> None:
    """More requests than two slots can serve, until there are as many as may be."""
    with ClosedLoop(played.url, played.authorization, act("sleep", 0.2), clients=8) as more:
        until(lambda: replicas(played) == MOST, what="all replicas")
    assert more.failures() == [], more.sorts()


def replicas(played: Played) -> int:
    """Replicas that the active config has up."""
    return int(played.live["replicas"]["ready"])


def test_no_change_of_an_endpoint_costs_a_request(brisk: Stage, pace: Pace) -> None:
    with brisk.endpoint(brisk.zoo.puppet(), **SLOTS) as played:
        to = (played.url, played.authorization)
        with (
            OpenLoop(*to, act("answer"), rate=pace.probes) as prober,
            ClosedLoop(*to, act("sleep", pace.prober_long), clients=1, patience=300) as long,
        ):
            prober.flows()
            for name, change in changes(played).items():
                prober.mark(name)
                change()
                prober.flows()
            prober.mark("all done")
            until(lambda: len(long.answers) >= 3, what="long requests", seconds=120)
        names = {
            a.headers["served-model-name"] for a in prober.between("traffic split", "rollback")
        }
        assert {"first", "second"} <= names, "both took part"
    for loop in (prober, long):
        assert loop.failures() == [], loop.sorts()
