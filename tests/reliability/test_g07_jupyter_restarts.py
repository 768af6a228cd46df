"""G7 (Knative, restart in panic): Jupyter, a kernel and the controller come and go under load; capacity stays.

A burst brings the endpoint to four replicas. What is left of the load then needs one: whoever decided on the history
since its own start would take three of them away.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from load import ClosedLoop, OpenLoop
from services import Services, until
from zoo import Zoo

from jupyter_serving.client import Client
from jupyter_serving.places import DATA_DIR_VARIABLE

from .jupyter import Jupyter
from .kernels import Kernel
from .stage import Pace, Played, Stage, act

FOUR = {"min_provisioned_concurrency": 1, "max_provisioned_concurrency": 4}
QUERIES = """
from jupyter_serving.client import Client
answer = Client().query("{name}", {{"dataframe_records": [{{"act": "answer", "x": 1.0, "folder": ""}}]}})
told = {{"predictions": list(answer.predictions)}}
"""


@pytest.fixture(scope="module")
def jupyter(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Jupyter, Stage]]:
    """Jupyter, and a stage on the services that it starts, as a user would."""
    folder = tmp_path_factory.mktemp("restarts")
    services = Services(folder / "data")
    try:
        with Jupyter(folder, {DATA_DIR_VARIABLE: str(folder / "data")}) as jupyter:
            assert Client(jupyter.url, jupyter.token).list() == []
            yield jupyter, Stage(services, zoo, folder)
    finally:
        services.end()


def ready(played: Played) -> int:
    return int(played.live["replicas"]["ready"])


def burst(played: Played) -> None:
    """Load that needs four replicas, until there are four."""
    with ClosedLoop(played.url, played.authorization, act("sleep", 0.2), clients=8) as much:
        until(lambda: ready(played) == 4, what="four replicas")
    assert much.failures() == [], much.sorts()


def holds(played: Played, replicas: dict[str, int], seconds: float) -> None:
    """At every look the four are wanted, and the replicas are the same ones."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = played.live
        assert now["replicas"]["wanted"] == 4, now
        time.sleep(0.1)
    assert played.stage.leaders() == replicas


def kill_controller(stage: Stage) -> None:
    """Kill it, and wait for the next one."""
    before = stage.services.pid_of("controller")
    os.kill(before, signal.SIGKILL)
    until(lambda: before not in stage.services.census(), what="its end")
    until(lambda: controllers(stage) - {before}, what="a new controller")
    assert stage.services.pid_of("controller") != before


def controllers(stage: Stage) -> set[int]:
    told = stage.services.census().items()
    return {pid for pid, command in told if "jupyter_serving.controller" in command}


def test_jupyter_kernel_and_controller_come_and_go_under_load(
    jupyter: tuple[Jupyter, Stage], pace: Pace
) -> None:
    server, stage = jupyter
    with stage.endpoint(stage.zoo.puppet(), **FOUR) as played:
        query = QUERIES.format(name=played.name)
        with OpenLoop(played.url, played.authorization, act("answer"), rate=30) as load:
            load.flows()
            with Kernel(server) as kernel:
                burst(played)
                replicas = stage.leaders()
                steps: dict[str, Callable[[], object]] = {
                    "kernel": lambda: kernel.run(query),
                    "kernel restarted": kernel.restart,
                    "kernel again": lambda: kernel.run(query),
                }
                for name, step in steps.items():
                    load.mark(name)
                    step()
                    load.flows()
                holds(played, replicas, 0.5)
            for end in (server.stop, server.kill):
                load.mark(end.__name__)
                end()
                load.flows()
                holds(played, replicas, 0.5)
                server.start()
                assert [e.name for e in Client(server.url, server.token).list()] == [played.name]
                load.flows()
            load.mark("controller killed")
            kill_controller(stage)
            holds(played, replicas, pace.looks)
            load.flows()
    assert load.failures() == [], load.sorts()
