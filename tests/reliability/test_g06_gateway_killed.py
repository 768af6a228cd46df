"""G6 (Knative, HA with a hard kill): at least 90 % success over 400 probes while the gateway is killed; back in 2 s."""

from __future__ import annotations

import os
import signal
import time

from load import Answer, OpenLoop
from services import until

from .stage import Pace, Stage

ROWS = {"dataframe_records": [{"x": 21.0}]}
RATE = 20.0
PROBES = 400


def outage(answers: list[Answer], killed: float) -> float:
    """Seconds from a kill to the first good answer to a request that was sent after it."""
    return min(a.at for a in answers if a.status == 200 and a.due > killed) - killed


def test_the_gateway_is_killed_under_load(stage: Stage, pace: Pace) -> None:
    with stage.endpoint(stage.zoo.doubles()) as played:
        processes = stage.services.census()
        kills = []
        with OpenLoop(played.url, played.authorization, ROWS, rate=RATE) as load:
            load.flows()
            for number in range(pace.kills // 2):
                gateway = stage.services.pid_of("gateway")
                kills.append(load.mark(f"kill {number}"))
                os.kill(gateway, signal.SIGKILL)
                load.flows()
                time.sleep(max(0.0, kills[-1] + pace.between - time.monotonic()))
            until(lambda: len(load.answers) >= PROBES, what="enough probes")
        left = stage.services.census()
        assert len(left) == len(processes), "no orphan, nothing twice"
        assert len(set(left) & set(processes)) == len(processes) - 1, "only the gateway is new"
    good = [a for a in load.answers if a.status == 200]
    assert len(good) >= 0.9 * len(load.answers), load.sorts()
    assert {a.status for a in load.failures()} <= {0}, "refused or broken connections only"
    outages = [outage(load.answers, killed) for killed in kills]
    print("seconds without the gateway:", [round(seconds, 2) for seconds in outages])
    assert min(outages) <= 2.0
