"""G2 (Knative, autoscale): from no load to four times what one replica can serve and back; bounds at every look."""

from __future__ import annotations

import time
from typing import Any

import pytest
from load import Ramp
from services import until

from .stage import Pace, Played, Stage, act

SECONDS = 0.1
CAPACITY = 1 / SECONDS
TIMES = 4
MOST = 6
BOUNDS = {
    "from zero": {
        "min_provisioned_concurrency": 0,
        "max_provisioned_concurrency": MOST,
        "scale_to_zero_enabled": True,
        "scale_to_zero_seconds": 1.0,
    },
    "from two": {"min_provisioned_concurrency": 2, "max_provisioned_concurrency": MOST},
}
LEAST = {"from zero": 0, "from two": 2}


def look(played: Played) -> dict[str, int]:
    """Replicas by state, and how many processes there are that lead one."""
    found: dict[str, int] = played.live["replicas"]
    return found


def settled(played: Played, least: int) -> bool:
    now = look(played)
    return now["ready"] == now["wanted"] == least and now["draining"] == now["starting"] == 0


@pytest.mark.parametrize("bounds", BOUNDS)
def test_capacity_follows_a_ramp_within_its_bounds(brisk: Stage, pace: Pace, bounds: str) -> None:
    fields: dict[str, Any] = BOUNDS[bounds]
    least = LEAST[bounds]
    looks: list[dict[str, int]] = []
    with brisk.endpoint(brisk.zoo.puppet(), **fields) as played:
        until(lambda: settled(played, least), what="the lower bound")
        to = (played.url, played.authorization, act("sleep", SECONDS))
        with Ramp(*to, rate=TIMES * CAPACITY, seconds=pace.ramp) as load:
            while not load.over:
                looks.append(look(played))
                time.sleep(0.05)
        until(lambda: settled(played, least), what="the lower bound again")
    good = [a for a in load.answers if a.status == 200]
    assert len(good) >= 0.999 * len(load.answers) > 0.9 * TIMES * CAPACITY * pace.ramp / 2
    assert {a.status for a in load.failures()} <= {429}, load.sorts()
    for now in looks:
        assert now["ready"] + now["starting"] <= MOST, now
        assert least <= now["wanted"] <= MOST, now
        assert now["ready"] >= least, now
    assert max(now["ready"] for now in looks) >= TIMES, "capacity came"
