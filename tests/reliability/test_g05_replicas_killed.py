"""G5 (Knative, workload HA): replicas are killed again and again under load.

Requests that may be sent again all succeed; of the others only those in flight fail, with 502 or 503; none hangs.
"""

from __future__ import annotations

import os
import random
import signal

from load import ClosedLoop, OpenLoop
from services import until

from .clients import post
from .stage import Pace, Stage, act

TWO = {"min_provisioned_concurrency": 2, "max_provisioned_concurrency": 2}
ROWS = {"dataframe_records": [{"x": 21.0}]}


def test_replicas_are_killed_under_load(stage: Stage, pace: Pace) -> None:
    with stage.endpoint(stage.zoo.doubles(), **TWO) as played:
        to = (played.url, played.authorization, ROWS)
        with ClosedLoop(*to, clients=2, attempts=20) as safe, ClosedLoop(*to, clients=2) as plain:
            for number in range(pace.kills):
                until(lambda: len(stage.leaders()) == 2, what="two replicas")
                safe.flows()
                plain.flows()
                victim = random.Random(number).choice(sorted(stage.leaders().values()))
                os.kill(victim, signal.SIGKILL)
                until(lambda v=victim: v not in stage.leaders().values(), what="its end")
            safe.flows()
            plain.flows()
        until(lambda: not stage.orphans(), what="no worker of a killed replica")
    assert safe.failures() == []
    assert {a.status for a in plain.failures()} <= {502, 503}, plain.sorts()
    lost = [s for a in safe.answers for s in a.tries] + [a.status for a in plain.failures()]
    assert len(lost) <= pace.kills, "a killed replica of one slot fails one request"
    assert max(a.seconds for a in safe.answers + plain.answers) < 30, "none hangs"


def test_workers_are_killed_under_load(stage: Stage, pace: Pace) -> None:
    with (
        stage.endpoint(stage.zoo.doubles(), **TWO) as played,
        ClosedLoop(played.url, played.authorization, ROWS, clients=4) as plain,
    ):
        replicas = stage.leaders()
        for number in range(pace.kills):
            workers = until(lambda: w if len(w := stage.workers()) == 2 else set(), what="two")
            plain.flows(40)
            os.kill(random.Random(number).choice(sorted(workers)), signal.SIGKILL)
            until(lambda w=workers: stage.workers() - w, what="a new worker")
        plain.flows()
        assert stage.leaders() == replicas, "the replica stays; only its worker is replaced"
    assert {a.status for a in plain.failures()} <= {502, 503}, plain.sorts()
    assert len(plain.failures()) <= pace.kills


def test_each_process_of_a_replica_is_killed_under_load(stage: Stage) -> None:
    with (
        stage.endpoint(stage.zoo.doubles(), **TWO) as played,
        ClosedLoop(played.url, played.authorization, ROWS, clients=4) as plain,
    ):
        victims = sorted(stage.family())
        for victim in victims:
            leader = stage.family().get(victim)
            if leader is None:
                continue  # it went with an earlier one
            plain.flows()
            os.kill(victim, signal.SIGKILL)
            until(lambda v=victim: v not in stage.services.census(), what="its end")
            until(lambda: len(stage.leaders()) == len(stage.workers()) == 2, what="two of each")
        plain.flows()
        until(lambda: not stage.orphans(), what="no orphan")
    assert {a.status for a in plain.failures()} <= {502, 503}, plain.sorts()
    assert len(plain.failures()) <= len(victims), "each process serves one request at a time"


def test_a_poisonous_request_kills_nothing_but_its_own_worker(stage: Stage, pace: Pace) -> None:
    with stage.endpoint(stage.zoo.puppet(), **TWO) as played:
        replicas = stage.leaders()
        with OpenLoop(played.url, played.authorization, act("sleep", 0.005), rate=20) as good:
            for number in range(pace.kills):
                good.flows(10)
                reply = post(played.url, played.authorization, played.act("die", number))
                assert reply.status == 502, reply
            good.flows()
        assert stage.leaders() == replicas
        assert played.folder.begun() == [float(n) for n in range(pace.kills)], "each ran once"
    assert good.failures() == [], good.sorts()
