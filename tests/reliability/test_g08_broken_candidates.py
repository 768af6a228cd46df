"""G8 (Knative, deployment failure; Ray #66252): a candidate that cannot serve never takes the place of what serves."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from load import OpenLoop
from services import until

from jupyter_serving.errors import StartFailed

from .stage import Pace, Played, Stage

ROWS = {"dataframe_records": [{"x": 21.0}]}
# What is wrong, and what a person must be told of it.
CANDIDATES = {
    "imports": "No module named 'a_module_that_is_not_there'",
    "raises": "RuntimeError: the weights are missing",
    "dies": "SIGSEGV",
    "crashes": "SIGKILL",
    "hangs": "not ready within",
    "hoards": "memory limit",
}


@pytest.fixture(scope="module")
def played(brisk: Stage) -> Iterator[Played]:
    with brisk.endpoint(brisk.zoo.doubles()) as endpoint:
        yield endpoint


@pytest.mark.parametrize("how", CANDIDATES)
def test_a_broken_candidate_leaves_the_old_version_serving(
    played: Played, pace: Pace, how: str
) -> None:
    stage = played.stage
    broken = stage.entity(stage.zoo.broken(how))
    before = stage.leaders()
    files = runtime_files(stage)
    version = played.stage.client.get(played.name).detail["config"]["config_version"]
    with OpenLoop(played.url, played.authorization, ROWS, rate=30) as load:
        load.flows()
        begun = time.monotonic()
        with pytest.raises(StartFailed) as told:
            played.update(broken)
        took = time.monotonic() - begun
        load.flows()
        now = stage.client.get(played.name)
        assert stage.leaders() == before, "the old replica serves, and nothing else is up"
        until(lambda: not stage.orphans(), what="no process of the candidate")
        assert runtime_files(stage) <= files, "no file of the candidate"
        played.update(stage.entity(another(played)))
        load.flows()
        assert not set(stage.leaders()) & set(before), "a good candidate takes the place"
    assert load.failures() == [], load.sorts()
    assert {a.body for a in load.answers} == {load.answers[0].body}, (
        "every version answers the same"
    )
    assert took < pace.patience * 2, "told within the deadline of a start"
    assert CANDIDATES[how] in str(told.value)
    assert now.detail["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED"}
    assert now.phase == "UPDATE_FAILED"
    assert CANDIDATES[how] in now.message
    assert now.detail["config"]["config_version"] == version, "the old config is the active one"


def another(played: Played) -> str:
    """The version of the good model that does not serve now."""
    zoo = played.stage.zoo
    (served,) = played.stage.client.get(played.name).detail["config"]["served_entities"]
    return zoo.doubles() if served["entity_version"] == "2" else zoo.doubles_again()


def runtime_files(stage: Stage) -> set[str]:
    """Names of sockets and locks of replicas."""
    return {file.name for file in stage.services.places.runtime.glob("r-*")}
