"""G14 (Knative, rollout probe): a rollout does not slow requests down, and none is late.

The bar of 10 ms is measured by ``benchmarks.control``; here the best of several rollouts must be no disaster.
"""

from __future__ import annotations

import time

from load import Answer, OpenLoop, quantile
from services import until

from .stage import Pace, Stage

ROWS = {"dataframe_records": [{"x": 21.0}]}
RATE = 50.0
CALM, WINDOW = 2.0, 3.0
DISASTER = 0.1


def p95(answers: list[Answer]) -> float:
    """Of all answers, from when their request was due."""
    return quantile([a.seconds for a in answers], 0.95)


def shortfall(load: OpenLoop, first: str, last: str) -> float:
    """Share of the requests due between two marks that were not answered by then."""
    due = load.between(first, last)
    return sum(a.at > load.marks[last] for a in due) / len(due)


def test_a_rollout_is_not_felt(stage: Stage, pace: Pace) -> None:
    slower = []
    with stage.endpoint(stage.zoo.doubles()) as played:
        versions = (stage.zoo.doubles_again(), stage.zoo.doubles())
        with OpenLoop(played.url, played.authorization, ROWS, rate=RATE) as load:
            load.flows()
            for number in range(pace.rollouts):
                calm, begin, end = (f"{name} {number}" for name in ("calm", "begin", "end"))
                load.mark(calm)
                time.sleep(CALM)
                load.mark(begin)
                before = set(stage.leaders())
                played.update(stage.entity(versions[number % 2]))
                until(lambda b=before: not b & set(stage.leaders()), what="the old replica's end")
                load.flows()
                time.sleep(max(0.0, load.marks[begin] + WINDOW - time.monotonic()))
                load.mark(end)
                slower.append(p95(load.between(begin, end)) - p95(load.between(calm, begin)))
    missing = [shortfall(load, f"begin {n}", f"end {n}") for n in range(pace.rollouts)]
    print("p95 during a rollout, more than before, in ms:", [round(s * 1000, 1) for s in slower])
    print("share of the rate that was missing:", [round(s, 4) for s in missing])
    assert load.failures() == [], load.sorts()
    assert min(slower) <= DISASTER
    assert min(missing) <= 0.01
