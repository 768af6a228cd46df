"""G10 (Ray #64399, mlflow #7948): ten times too many requests, then a normal rate again."""

from __future__ import annotations

import time

import psutil
from load import Answer, OpenLoop, quantile
from services import until

from .stage import Pace, Stage, act

SECONDS = 0.05
"""What a prediction takes: one slot does 20 in a second."""
NORMAL, TEN_TIMES = 8.0, 200.0
BACK_WITHIN = 10.0
FLAT = 16 * 2**20


def p95(answers: list[Answer]) -> float:
    return quantile([a.seconds for a in answers], 0.95)


def test_overload_is_refused_at_once_and_forgotten_soon(strict: Stage, pace: Pace) -> None:
    with strict.endpoint(strict.zoo.puppet()) as played:
        to = (played.url, played.authorization, act("sleep", SECONDS))
        gateway = psutil.Process(strict.services.pid_of("gateway"))
        with OpenLoop(*to, rate=NORMAL) as load:
            until(lambda: load.good_since(0.0, 30), what="answers at the normal rate")
            before = p95(load.answers)
            load.mark("overload")
            with OpenLoop(*to, rate=TEN_TIMES) as flood:
                time.sleep(pace.overload / 3)
                early = gateway.memory_info().rss
                queued = []
                end = time.monotonic() + pace.overload * 2 / 3
                while time.monotonic() < end:
                    queued.append(played.live["queued"])
                    time.sleep(0.5)
                late = gateway.memory_info().rss
                flood.mark("last")
            over = load.mark("over")
            # As soon as so many came in time, it is back.
            until(lambda: back(load, over, before), BACK_WITHIN, "p95 as before the overload")
        assert late - early < FLAT, "the gateway's memory is flat"
        assert 0 < max(queued) <= Pace.queue_limit, "the queue is used, and bounded"
    answers = flood.between("begin", "last")
    assert set(flood.sorts()) == {"200", "429 REQUEST_LIMIT_EXCEEDED"}, flood.sorts()
    refused = [a for a in answers if a.status == 429]
    assert len(refused) > len(answers) / 2
    assert all(int(a.headers["retry-after"]) >= 1 for a in refused)
    assert quantile([a.seconds for a in refused], 0.5) < 0.05, "refused at once"
    done = [a for a in answers if a.status == 200]
    assert len(done) > 0.5 * pace.overload / SECONDS / 2, "the slot is kept busy meanwhile"


def back(load: OpenLoop, over: float, before: float, count: int = 20) -> bool:
    """True once the last answers to requests sent after the overload have the p95 of before it."""
    last = [a for a in load.answers if a.due > over][-count:]
    good = len(last) == count and all(a.status == 200 for a in last)
    return good and p95(last) <= 2 * before + 0.05
