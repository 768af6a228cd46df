"""Starts that fail after the endpoint was up: what serves serves on, what waits is told, and the cause may go away."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from load import QueryLoop
from services import Services, until
from zoo import Zoo

from jupyter_serving.client import Client
from jupyter_serving.errors import Unavailable
from jupyter_serving.places import DATA_DIR_VARIABLE

from .replicas import leaders

ROWS = {"dataframe_records": [{"x": 1.0}]}
TROUBLE = "the licence has expired"


@dataclass(frozen=True)
class Gated:
    """Services, and the file that lets the model ``waits-in-load`` be loaded, or raises what is in it."""

    services: Services
    gate: Path

    @property
    def client(self) -> Client:
        return self.services.client

    def entity(self, zoo: Zoo, **fields: Any) -> dict[str, Any]:
        return zoo.entity(zoo.waits_in_load(), environment_vars={"GATE": str(self.gate)}, **fields)

    def heal(self) -> None:
        self.gate.write_text("")

    def spoil(self) -> None:
        self.gate.write_text(TROUBLE)

    def failures(self, name: str) -> list[str]:
        """What was told of starts that failed."""
        events = self.client.events(name, limit=1000)
        return [e["message"] for e in events if e["type"] == "START_FAILED"]


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    folder = tmp_path_factory.mktemp("gated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_DIR_VARIABLE, str(folder / "data"))
        services = Services(folder / "data")
        try:
            services.client_started()
            yield Gated(services, folder / "gate")
        finally:
            services.end()


def test_a_replica_serves_on_while_another_cannot_start(gated: Gated, zoo: Zoo) -> None:
    gated.heal()
    two = {"min_provisioned_concurrency": 2, "max_provisioned_concurrency": 2}
    gated.client.create("pair", {"served_entities": [gated.entity(zoo, **two)]})
    endpoint, token = gated.client.wait("pair"), gated.client.token("pair")
    gated.spoil()
    with QueryLoop(endpoint.url, f"Bearer {token}", ROWS) as loop:
        until(lambda: loop.good_since(0.0), what="the first answers")
        os.kill(min(leaders(gated.services).values()), signal.SIGKILL)
        until(lambda: len(gated.failures("pair")) >= 4, what="four starts that failed")
        moment = time.monotonic()
        until(lambda: loop.good_since(moment), what="answers of the replica that is up")
        assert TROUBLE in gated.client.get("pair").message
        gated.heal()
        until(lambda: len(leaders(gated.services)) == 2, what="a second replica")
        until(lambda: not gated.client.get("pair").message, what="no trouble to be told")
    assert {a.status for a in loop.failures()} <= {502}
    assert len(loop.failures()) <= 1, "only what the killed replica held"
    gated.client.delete("pair")


def test_an_endpoint_that_could_not_wake_wakes_when_the_cause_is_gone(
    gated: Gated, zoo: Zoo
) -> None:
    client = gated.client
    gated.heal()
    zero = {"min_provisioned_concurrency": 0, "scale_to_zero_enabled": True}
    entity = gated.entity(zoo, scale_to_zero_seconds=1.0, **zero)
    client.create("sleepy", {"served_entities": [entity]})
    client.wait("sleepy")

    def asleep() -> bool:
        return client.get("sleepy").phase == "SCALED_TO_ZERO"

    until(asleep, what="zero replicas")
    gated.spoil()
    with pytest.raises(Unavailable, match=TROUBLE):
        client.query("sleepy", ROWS)
    until(asleep, what="the end of trying")
    gated.heal()
    assert client.query("sleepy", ROWS).predictions == [1.0]
    client.delete("sleepy")


def test_a_model_that_is_gone_everywhere_is_told_and_found_again(
    services: Services, zoo: Zoo, tmp_path: Path
) -> None:
    client = services.client_started()
    client.create("lost", {"served_entities": [zoo.entity(zoo.doubles())]})
    client.wait("lost")
    client.shutdown()
    until(lambda: not services.census(), what="the end of every process")
    shutil.rmtree(services.places.models)
    registry = mlflow.MlflowClient(zoo.uri)
    logged = registry.get_model_version("doubles", "1").source.rpartition("/")[2]
    files = Path(registry.get_logged_model(logged).artifact_location.removeprefix("file://"))
    files.rename(tmp_path / "away")
    try:
        services.client_started()
        with pytest.raises(Unavailable, match="moved or deleted"):
            client.query("lost", ROWS)
        failures = [e for e in client.events("lost") if e["type"] == "START_FAILED"]
        assert 3 <= len(failures) < 10, "tried again with growing pauses, not without end"
        assert "moved or deleted" in client.get("lost").message
    finally:
        (tmp_path / "away").rename(files)
    until(lambda: client.get("lost").phase == "READY", seconds=120, what="the model found again")
    assert client.query("lost", ROWS).predictions == [{"x": 2.0}]
    (served,) = client.get("lost").detail["config"]["served_entities"]
    assert served["state"] == {"deployment": "DEPLOYMENT_READY", "deployment_state_message": ""}
