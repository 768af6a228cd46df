"""Updates on real services under load: cancel, hold, rollback, reload; what is carried on keeps its processes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from load import OpenLoop
from services import Services, until
from zoo import Zoo

from jupyter_serving.errors import BadRequest, Conflict, StartFailed

from .replicas import leaders
from .stage import Played, Stage

ROWS = {"dataframe_records": [{"x": 21.0}]}
RATE = 40.0
TROUBLE = "the licence has expired"


@contextlib.contextmanager
def probed(played: Played) -> Iterator[OpenLoop]:
    """Requests all the while; none may fail."""
    with OpenLoop(played.url, played.authorization, ROWS, rate=RATE) as load:
        load.flows()
        yield load
        load.flows()
    assert load.failures() == [], load.sorts()


def only_pid(stage: Stage) -> int:
    """Pid of the one replica, when there is one."""
    until(lambda: len(stage.leaders()) == 1, what="one replica")
    (pid,) = stage.leaders().values()
    return pid


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that lets ``waits_in_load`` be loaded, or raises what is in it."""
    (tmp_path / "gate").touch()
    return tmp_path / "gate"


@pytest.fixture
def gated(stage: Stage, gate: Path) -> Iterator[Played]:
    """An endpoint of that model."""
    with stage.endpoint(stage.zoo.waits_in_load(), environment_vars=variables(gate)) as played:
        yield played


def variables(gate: Path, **more: str) -> dict[str, str]:
    return {"GATE": str(gate), **more}


def configured(stage: Stage, gate: Path, number: str) -> dict[str, Any]:
    """A config that starts a replica of its own for each number."""
    own = variables(gate, ROUND=number)
    return {"served_entities": [stage.zoo.entity(stage.zoo.waits_in_load(), environment_vars=own)]}


def test_a_new_split_or_capture_keeps_the_processes(stage: Stage) -> None:
    zoo, client = stage.zoo, stage.client
    entity = zoo.entity(zoo.doubles())
    with stage.endpoint(zoo.doubles()) as played, probed(played) as load:
        pid = only_pid(stage)
        for share in (1.0, 0.5):
            load.mark("update")
            client.update(played.name, {"served_entities": [entity], "capture": {"sample": share}})
            client.wait(played.name, 60)
            load.flows()
        assert only_pid(stage) == pid
        detail = client.get(played.name).detail
        assert detail["config"]["config_version"] == 3
        assert detail["config"]["capture"]["sample"] == 0.5
        named = client.configs(played.name)
        assert [c["served_entities"][0]["since"] for c in named] == [1, 1, 1]
        starts = [e for e in client.events(played.name) if e["type"] == "REPLICA_STARTING"]
        assert len(starts) == 1


def test_a_cancel_while_the_new_replica_loads(stage: Stage, gated: Played, gate: Path) -> None:
    client = stage.client
    with probed(gated):
        pid = only_pid(stage)
        gate.unlink()
        client.update(gated.name, configured(stage, gate, "2"))
        until(lambda: len(stage.leaders()) == 2, what="the new replica")
        assert "starting replica 1 of 1" in client.get(gated.name).message
        with pytest.raises(Conflict, match="being updated"):
            client.update(gated.name, configured(stage, gate, "3"))
        client.cancel(gated.name)
        with pytest.raises(StartFailed, match="was canceled"):
            client.wait(gated.name, 60)
        assert only_pid(stage) == pid
        until(lambda: not stage.orphans(), what="nothing of the new one left")
        detail = client.get(gated.name).detail
        assert detail["state"] == {"ready": "READY", "config_update": "UPDATE_CANCELED"}
        (entity,) = detail["pending_config"]["served_entities"]
        assert entity["state"]["deployment"] == "DEPLOYMENT_ABORTED"
        with pytest.raises(BadRequest, match="nothing to cancel"):
            client.cancel(gated.name)
        gate.touch()


def test_a_rollback_starts_from_what_is_here(stage: Stage, gated: Played, gate: Path) -> None:
    client = stage.client
    with probed(gated) as load:
        client.update(gated.name, configured(stage, gate, "2"))
        client.wait(gated.name, 120)
        load.flows()
        client.rollback(gated.name)
        assert client.wait(gated.name, 120).detail["config"]["config_version"] == 3
        states = {c["config_version"]: c["state"] for c in client.configs(gated.name)}
        assert states == {1: "SUPERSEDED", 2: "SUPERSEDED", 3: "ACTIVE"}
        served = client.get(gated.name).detail["config"]["served_entities"][0]
        assert served["environment_vars"] == variables(gate)
        only_pid(stage)


def test_a_reload_replaces_every_replica_and_a_failing_one_none(
    stage: Stage, gated: Played, gate: Path
) -> None:
    client = stage.client
    with probed(gated) as load:
        first = only_pid(stage)
        client.reload(gated.name).wait(120)
        second = only_pid(stage)
        assert second != first
        load.flows()
        gate.write_text(TROUBLE)
        client.reload(gated.name)
        with pytest.raises(StartFailed, match=TROUBLE):
            client.wait(gated.name, 120)
        assert only_pid(stage) == second
        detail = client.get(gated.name).detail
        assert detail["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED"}
        gate.write_text("")
        client.reload(gated.name)
        until(
            lambda: client.get(gated.name).detail["state"]["config_update"] == "NOT_UPDATING",
            what="a reload that succeeds",
        )
        until(lambda: only_pid(stage) != second, what="a fresh replica")
        assert client.get(gated.name).message == ""


def test_replicas_grow_old_and_are_replaced(stage: Stage) -> None:
    zoo, client = stage.zoo, stage.client
    every = {"served_entities": [zoo.entity(zoo.doubles(), reload_every_seconds=3.0)]}
    with stage.endpoint(zoo.doubles()) as played, probed(played):
        first = only_pid(stage)
        client.update(played.name, every)
        client.wait(played.name, 60)
        until(lambda: first not in stage.leaders().values(), what="a fresh replica")
        client.update(played.name, {"served_entities": [zoo.entity(zoo.doubles())]})
        client.wait(played.name, 60)


def test_a_new_config_is_ready_at_the_capacity_needed_before_it_gets_traffic(
    stage: Stage, tmp_path: Path
) -> None:
    """Three replicas of one slot are busy: the new config has three ready in the moment it is promoted."""
    zoo, client = stage.zoo, stage.client
    bounds = {"min_provisioned_concurrency": 1, "max_provisioned_concurrency": 3}
    with stage.endpoint(zoo.sleeps(), **bounds) as played:
        rows = {"dataframe_records": [{"x": 0.5}]}
        with OpenLoop(played.url, played.authorization, rows, rate=4.0) as load:
            until(lambda: len(stage.leaders()) == 3, what="three replicas")
            load.flows(5)
            config = zoo.entity(zoo.sleeps(), environment_vars={"ROUND": "2"}, **bounds)
            client.update(played.name, {"served_entities": [config]})
            told = watched(lambda: client.get(played.name).detail)
            assert told["live"]["replicas"]["ready"] >= 2, "not one and then the others"
            load.flows(5)
        assert load.failures() == [], load.sorts()


def watched(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The first answer after the end of the update."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        detail = ask()
        if detail["state"]["config_update"] != "IN_PROGRESS":
            return detail
    raise AssertionError("the update does not end")


def test_where_there_is_room_for_one_the_update_is_refused_or_requests_wait(
    services: Services, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SERVING_MEMORY_BUDGET_BYTES", str(250_000_000))
    client = services.client_started()
    client.create("tight", {"served_entities": [zoo.entity(zoo.doubles())]})
    url, token = client.wait("tight", 120).url, client.token("tight")
    other = {"served_entities": [zoo.entity(zoo.doubles(), environment_vars={"ROUND": "2"})]}
    with OpenLoop(url, f"Bearer {token}", ROWS, rate=RATE) as load:
        load.flows()
        with pytest.raises(Conflict, match=r"(?s)beside the config that serves.*hold"):
            client.update("tight", other)
        assert len(client.configs("tight")) == 1
        before = set(leaders(services).values())
        client.update("tight", {**other, "update": {"when_no_room": "hold"}})
        client.wait("tight", 120)
        load.flows()
        assert before.isdisjoint(leaders(services).values())
    assert load.failures() == [], load.sorts()
    assert "requests had to wait" in client.get("tight").message
    told = [e["type"] for e in client.events("tight")]
    assert (
        told.index("UPDATE_HOLDS") < told.index("REPLICA_STOPPED") < told.index("CONFIG_READY", 4)
    )
