"""G16 (Triton warm-up, LitServe #664): readiness only after warm-up; a hung worker is noticed and replaced."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from services import until

from .clients import Later, post
from .stage import Pace, Stage


def test_a_replica_is_ready_only_after_its_warm_up(stage: Stage, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    fields = {"environment_vars": {"GATE": str(gate)}}
    with stage.endpoint(stage.zoo.puppet(), wait=False, **fields) as played:
        with Later(played.url, played.authorization, played.act("answer", 3.0)) as early:
            until(lambda: "model loaded" in stage.client.logs(played.name), what="a load")
            time.sleep(0.5)
            assert played.live["phase"] == "CREATING" and played.live["replicas"]["ready"] == 0
            assert not early.answered and not played.folder.begun(), "nothing is sent to it yet"
            gate.touch()
            stage.client.wait(played.name)
            reply = early.reply()
        assert (reply.status, reply.json) == (200, {"predictions": [3.0]})


def test_a_hung_worker_is_replaced(strict: Stage, pace: Pace) -> None:
    """A stopped process answers nothing and does not even end by itself."""
    with strict.endpoint(strict.zoo.puppet()) as played:
        (worker,) = strict.workers()
        os.kill(worker, signal.SIGSTOP)
        reply = post(played.url, played.authorization, played.act("answer"))
        assert reply.status in (502, 503, 504), reply
        assert reply.seconds < pace.deadline + 10, "never a hang"
        again = post(played.url, played.authorization, played.act("answer", 4.0))
        assert (again.status, again.json) == (200, {"predictions": [4.0]})
        assert worker not in strict.services.census()
        assert strict.workers().isdisjoint({worker})
