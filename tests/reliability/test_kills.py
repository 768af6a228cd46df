"""Kill -9 of each process under load: everything comes back by itself, nothing is left over, nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from load import QueryLoop
from services import Services, until
from zoo import Zoo

PAYLOAD = {"dataframe_split": {"columns": ["x"], "data": [[21.0]]}}


@dataclass
class Deployed:
    services: Services
    loop: QueryLoop
    url: str

    def pids(self, mark: str) -> set[int]:
        return {pid for pid, command in self.services.census().items() if mark in command}

    def zygotes(self) -> set[int]:
        """Zygotes are the runtime processes that lead a session and are no replica."""
        return self._leaders() - self.replicas()

    def replicas(self) -> set[int]:
        """Leaders of replicas, by their locks."""
        folder = self.services.places.runtime
        return {
            pid
            for pid in self._leaders()
            if any(held_by(pid, lock) for lock in folder.glob("r-*.lock"))
        }

    def tree(self, leader: int) -> set[int]:
        """All processes of a replica's session."""
        return {pid for pid in self.pids("serving_runtime") if os.getsid(pid) == leader}

    def _leaders(self) -> set[int]:
        return {pid for pid in self.pids("serving_runtime") if session(pid) == pid}


def session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def held_by(pid: int, lock: Path) -> bool:
    """True if the process has the lock file open."""
    try:
        return any(os.readlink(f) == str(lock) for f in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


@pytest.fixture
def deployed(services: Services, zoo: Zoo) -> Iterator[Deployed]:
    """An endpoint that is being queried."""
    client = services.client_started()
    entity = zoo.entity(zoo.doubles())
    client.create("doubles", {"served_entities": [entity]})
    endpoint = client.wait("doubles")
    token = f"Bearer {client.token('doubles')}"
    with QueryLoop(endpoint.url, token, PAYLOAD) as loop:
        until(lambda: loop.good_since(0.0), what="the first answers")
        assert b"42.0" in loop.answers[-1].body
        yield Deployed(services, loop, endpoint.url)


def comes_back(deployed: Deployed) -> None:
    """Queries are answered again on the same URL, the endpoint is READY, one of each process runs."""
    moment = time.monotonic()
    until(lambda: deployed.loop.good_since(moment), what="queries answered again")
    client = deployed.services.client

    def ready() -> bool:
        try:
            endpoint = client.get("doubles")
        except Exception:
            return False
        return endpoint.phase == "READY" and endpoint.url == deployed.url

    until(ready, what="the endpoint READY")
    # A second one may be started by whoever was faster; it finds the lock taken and ends.
    for service in ("jupyter_serving.controller", "jupyter_serving.gateway"):
        until(lambda mark=service: len(deployed.pids(mark)) == 1, what=f"one {service}")


def test_the_controller_is_killed(deployed: Deployed) -> None:
    before = deployed.services.pid_of("controller")
    events = [e["message"] for e in deployed.services.client.events("doubles")]
    replicas = deployed.replicas()
    os.kill(before, signal.SIGKILL)
    until(lambda: deployed.pids("jupyter_serving.controller") - {before}, what="a new controller")
    comes_back(deployed)
    assert deployed.loop.failures() == [], "the data path does not need the controller"
    assert deployed.replicas() == replicas, "the replica was adopted"
    after = [e["message"] for e in deployed.services.client.events("doubles")]
    assert after[: len(events)] == events


def test_the_gateway_is_killed(deployed: Deployed) -> None:
    before = deployed.services.pid_of("gateway")
    os.kill(before, signal.SIGKILL)
    until(lambda: deployed.pids("jupyter_serving.gateway") - {before}, what="a new gateway")
    comes_back(deployed)
    assert {a.status for a in deployed.loop.failures()} <= {0}, "only refused connections"


def test_the_zygote_is_killed(deployed: Deployed) -> None:
    (before,) = deployed.zygotes()
    os.kill(before, signal.SIGKILL)
    until(lambda: deployed.zygotes() - {before}, what="a new zygote")
    comes_back(deployed)
    assert deployed.loop.failures() == [], "replicas do not need their zygote"


def test_the_replica_is_killed(deployed: Deployed) -> None:
    (replica,) = deployed.replicas()
    tree = deployed.tree(replica)
    os.kill(replica, signal.SIGKILL)
    until(lambda: deployed.replicas() - {replica}, what="a new replica")
    comes_back(deployed)
    assert {a.status for a in deployed.loop.failures()} <= {502}, "only what was in flight"
    assert len(deployed.loop.failures()) <= 1
    until(lambda: not tree & set(deployed.services.census()), what="no orphaned worker")
    messages = [e["message"] for e in deployed.services.client.events("doubles")]
    assert any("signal 9" in m or "SIGKILL" in m or "killed" in m for m in messages)


def test_controller_and_replica_are_killed_together(deployed: Deployed) -> None:
    (replica,) = deployed.replicas()
    before = deployed.services.pid_of("controller")
    os.kill(before, signal.SIGKILL)
    os.kill(replica, signal.SIGKILL)
    until(lambda: deployed.replicas() - {replica}, what="a new replica")
    comes_back(deployed)


def test_everything_but_the_gateway_is_killed_and_only_the_gateway_heals_it(
    deployed: Deployed,
) -> None:
    gateway = deployed.services.pid_of("gateway")
    for pid in set(deployed.services.census()) - {gateway}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # a worker that died with its replica
    comes_back(deployed)
    assert deployed.services.pid_of("gateway") == gateway
