"""Stops, starts, crashes and updates: endpoints come back as they were, no request and no process is lost."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from load import QueryLoop
from services import Services, until
from zoo import Zoo

from jupyter_serving.client import Client
from jupyter_serving.places import DATA_DIR_VARIABLE

from .replicas import leaders, orphans, runtime_pids, session, zygotes

TO_ZERO = {
    "min_provisioned_concurrency": 0,
    "scale_to_zero_enabled": True,
    "scale_to_zero_seconds": 0.5,
}


def rows(value: float) -> dict[str, Any]:
    return {"dataframe_records": [{"x": value}]}


def post(url: str, token: str, payload: dict[str, Any]) -> tuple[int, Any]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", parts.path, json.dumps(payload), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@dataclass
class Later:
    """Context manager: a request that another thread sends and waits for."""

    url: str
    token: str
    payload: dict[str, Any]
    answer: tuple[int, Any] | None = None
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Later:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(120)

    def _run(self) -> None:
        self.answer = post(self.url, self.token, self.payload)


@pytest.fixture(scope="module")
def lasting(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services with two endpoints: ``steady`` keeps a replica, ``idle`` goes to zero."""
    folder = tmp_path_factory.mktemp("lasting") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_DIR_VARIABLE, str(folder))
        services = Services(folder)
        try:
            client = services.client_started()
            uri = zoo.doubles()
            client.create("steady", {"served_entities": [zoo.entity(uri)]})
            client.create("idle", {"served_entities": [zoo.entity(uri, **TO_ZERO)]})
            client.wait("steady")
            client.wait("idle")
            yield services
        finally:
            services.end()


def serving_command(*words: str) -> None:
    """``jupyter serving …`` as a person types it."""
    command = [sys.executable, "-m", "jupyter_serving.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def phase(client: Client, name: str) -> str:
    return client.get(name).phase


def only_steady(services: Services) -> dict[str, int]:
    """The replica of ``steady``, once it is the only one."""
    client = services.client
    until(lambda: phase(client, "steady") == "READY", what="the endpoint READY")
    until(lambda: phase(client, "idle") == "SCALED_TO_ZERO", what="zero replicas")
    until(lambda: len(leaders(services)) == 1, what="the end of every other replica")
    return leaders(services)


# -- stop and start --------------------------------------------------------------------------------------


def test_endpoints_come_back_after_a_stop_and_a_start(lasting: Services) -> None:
    client = lasting.client
    urls = {name: client.get(name).url for name in ("steady", "idle")}
    tokens = {name: client.token(name) for name in urls}
    until(lambda: phase(client, "idle") == "SCALED_TO_ZERO", what="zero replicas")
    serving_command("stop")
    until(lambda: not lasting.census(), what="the end of every process")
    serving_command("start")
    until(lambda: phase(client, "steady") == "READY", what="the endpoint READY")
    assert phase(client, "idle") == "SCALED_TO_ZERO"
    assert {name: client.get(name).url for name in urls} == urls
    for name, url in urls.items():
        assert post(url, tokens[name], rows(2.0)) == (200, {"predictions": [{"x": 4.0}]})


def test_replicas_that_are_kept_serve_on_after_the_start(lasting: Services) -> None:
    client = lasting.client
    before = only_steady(lasting)
    url, token = client.get("steady").url, client.token("steady")
    own = {pid for pid in runtime_pids(lasting) if session(pid) in before.values()}
    serving_command("stop", "--keep-replicas")
    until(lambda: set(lasting.census()) <= runtime_pids(lasting), what="the end of the services")
    assert leaders(lasting) == before
    serving_command("start")
    until(lambda: phase(client, "steady") == "READY", what="the endpoint READY")
    assert leaders(lasting) == before
    assert post(url, token, rows(2.0)) == (200, {"predictions": [{"x": 4.0}]})
    assert own <= set(lasting.census()), "not one process was replaced"


def test_everything_but_the_store_is_deleted_while_stopped(lasting: Services) -> None:
    client = lasting.client
    token = client.token("steady")
    serving_command("stop")
    until(lambda: not lasting.census(), what="the end of every process")
    for path in lasting.places.data.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith("store.sqlite"):
            path.unlink()
    serving_command("start")
    until(lambda: leaders(lasting) and phase(client, "steady") == "READY", what="READY")
    until(lambda: client.get("steady").url, what="the gateway's address")
    for name in ("steady", "idle"):
        url = client.get(name).url
        own = token if name == "steady" else client.token(name)
        assert post(url, own, rows(2.0)) == (200, {"predictions": [{"x": 4.0}]})
    assert any(lasting.places.models.iterdir())


def test_of_two_controllers_started_at_once_one_ends(services: Services) -> None:
    services.places.prepare()
    command = [sys.executable, "-m", "jupyter_serving.controller"]
    log = services.places.logs / "controller.log"
    with log.open("ab") as out:
        both = [subprocess.Popen(command, stdout=out, stderr=out, cwd="/") for _ in range(2)]
    try:
        (loser,) = until(lambda: [p for p in both if p.poll() is not None], what="the end of one")
        (winner,) = [p for p in both if p is not loser]
        assert loser.returncode == 0
        assert services.client_started().list() == []
        assert services.pid_of("controller") == winner.pid
    finally:
        services.end()
        assert {p.wait(60) for p in both} == {0}


# -- deletes and updates ---------------------------------------------------------------------------------


def test_a_request_in_flight_outlives_the_delete(lasting: Services, zoo: Zoo) -> None:
    client = lasting.client
    before = only_steady(lasting)
    client.create("brief", {"served_entities": [zoo.entity(zoo.sleeps())]})
    url, token = client.wait("brief").url, client.token("brief")
    (leader,) = set(leaders(lasting).values()) - set(before.values())
    own = {pid for pid in runtime_pids(lasting) if session(pid) == leader}
    with Later(url, token, rows(6.0)) as later:
        until(lambda: client.get("brief").detail["live"]["in_flight"] == 1, what="it in flight")
        client.delete("brief")
        assert later.answer is None, "the delete does not wait for it"
        status, refused = post(url, client.token("steady"), rows(0.0))
        assert (status, refused["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert later.answer == (200, {"predictions": [6.0]})
    until(lambda: not own & set(lasting.census()), what="the end of the replica")
    until(lambda: leaders(lasting) == before, what="steady's replica alone")


def test_no_query_fails_while_the_config_changes(lasting: Services, zoo: Zoo) -> None:
    """The first config answers x, the second 2x: after the first 2x no x comes any more."""
    client = lasting.client
    before = only_steady(lasting)
    first = zoo.entity(zoo.raises_in_predict())
    client.create("moving", {"served_entities": [first]})
    url, token = client.wait("moving").url, client.token("moving")
    with QueryLoop(url, f"Bearer {token}", rows(3.0)) as loop:
        until(lambda: loop.good_since(0.0), what="the first answers")
        client.update("moving", {"served_entities": [zoo.entity(zoo.doubles())]})
        assert client.wait("moving").detail["config"]["config_version"] == 2
        updated = time.monotonic()
        until(lambda: loop.good_since(updated), what="answers after the update")
        until(lambda: len(leaders(lasting)) == len(before) + 1, what="the old replica's end")
    assert loop.failures() == []
    kinds = [json.loads(a.body)["predictions"] for a in loop.answers]
    old, new = [3.0], [{"x": 6.0}]
    assert all(kind in (old, new) for kind in kinds) and old in kinds
    assert old not in kinds[kinds.index(new) :]
    client.delete("moving")


# -- crashes during a deployment -------------------------------------------------------------------------


def kill_controller(services: Services) -> None:
    os.kill(services.pid_of("controller"), signal.SIGKILL)


def survives(services: Services, zoo: Zoo, name: str, crash: Callable[[Path], None]) -> None:
    """Deploy a model whose load waits for a gate, crash, open the gate: exactly one replica serves."""
    client = services.client
    before = only_steady(services)
    gate = services.places.data.parent / f"{name}.gate"
    entity = zoo.entity(zoo.waits_in_load(), environment_vars={"GATE": str(gate)})
    client.create(name, {"served_entities": [entity]})
    assert phase(client, name) == "CREATING"
    crash(gate)
    gate.touch()
    endpoint = client.wait(name)
    until(lambda: phase(client, name) == "READY", what="the endpoint READY")
    assert post(endpoint.url, client.token(name), rows(5.0)) == (200, {"predictions": [5.0]})
    until(lambda: len(leaders(services)) == len(before) + 1, what="exactly one replica")
    until(lambda: not orphans(services), what="no orphaned process")
    named = ("jupyter_serving.controller", "jupyter_serving.gateway")
    commands = services.census().values()
    left = sorted(name for name in named for command in commands if name in command)
    assert left == [*named], "one controller, one gateway"
    client.delete(name)
    until(lambda: leaders(services) == before, what="the end of the replica")


def test_a_crash_right_after_the_create(lasting: Services, zoo: Zoo) -> None:
    survives(lasting, zoo, "created", lambda gate: kill_controller(lasting))


def test_a_crash_while_the_replica_loads(lasting: Services, zoo: Zoo) -> None:
    def crash(gate: Path) -> None:
        until(lambda: len(leaders(lasting)) == 2, what="a process that loads")
        assert lasting.client.get("loading").detail["live"]["replicas"]["starting"] == 1
        kill_controller(lasting)

    survives(lasting, zoo, "loading", crash)


def test_a_crash_while_the_zygote_starts(lasting: Services, zoo: Zoo) -> None:
    """The variables of a model are its zygote's, so each endpoint here begins with a zygote of its own."""
    only_steady(lasting)
    known = zygotes(lasting)

    def crash(gate: Path) -> None:
        until(lambda: zygotes(lasting) - known, what="a new zygote")
        kill_controller(lasting)

    survives(lasting, zoo, "zygote", crash)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_crash_at_any_moment(lasting: Services, zoo: Zoo, seed: int) -> None:
    moment = random.Random(seed).uniform(0.0, 2.0)

    def crash(gate: Path) -> None:
        gate.touch()
        time.sleep(moment)
        kill_controller(lasting)

    survives(lasting, zoo, f"any-{seed}", crash)
