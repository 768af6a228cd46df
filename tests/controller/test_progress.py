"""What is told of an update, phase by phase."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from jupyter_serving.api import ConfigUpdate, Registry, ServedEntityInput, UpdatePolicy
from jupyter_serving.controller import progress
from jupyter_serving.controller.records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
)

UPDATING = EndpointRecord(
    id="e",
    name="iris",
    creator="me",
    created=0,
    updated=0,
    active=1,
    pending=2,
    update=ConfigUpdate.IN_PROGRESS,
    update_started=10_000,
)


def config(version: int, **more: Any) -> ConfigRecord:
    entity = EntityRecord(
        name="a",
        spec=ServedEntityInput(entity_name="iris", entity_version="1"),
        source={},
        registry=Registry(tracking_uri="sqlite:///x"),
        created=0,
        creator="me",
    )
    return ConfigRecord(
        endpoint="e", version=version, created=0, entities=(entity,), routes=(("a", 100),), **more
    )


def replica(version: int, phase: ReplicaPhase, **more: Any) -> ReplicaRecord:
    return ReplicaRecord(
        id=f"r{version}",
        endpoint="e",
        version=version,
        entity="a",
        phase=phase,
        backend="process",
        slots=4,
        reason="deploy",
        created=0,
        **more,
    )


def told(endpoint: EndpointRecord = UPDATING, **changes: Any) -> str:
    facts: dict[str, Any] = dict(
        active=config(1),
        pending=config(2) if endpoint.pending else None,
        replicas=[],
        needs={"e:2:a": 3},
        fetched={"e:2:a"},
        staged={"e:2:a"},
        detail="",
        now=22.4,
    )
    return progress.told(endpoint, **facts | changes)


def test_each_phase_of_an_update_with_its_seconds() -> None:
    ready = replica(2, ReplicaPhase.READY)
    gated = config(2, update=UpdatePolicy(gate={}))
    assert told(fetched=set(), staged=set()) == "fetching the model of a (12 s)"
    detail = "installing 40 packages"
    assert told(staged=set(), detail=detail) == f"staging the environment of a: {detail} (12 s)"
    assert told() == "starting replica 1 of 3 of a (12 s)"
    assert told(replicas=[ready]) == "starting replica 2 of 3 of a (12 s)"
    assert told(replicas=[ready], needs={"e:2:a": 1}, pending=gated) == "trying the gate (12 s)"
    assert told(replicas=[ready], needs={"e:2:a": 1}) == "switching (12 s)"


def test_a_swap_tells_that_requests_wait() -> None:
    swapping = replace(UPDATING, swap_since=12_000)
    old = replica(1, ReplicaPhase.DRAINING)
    waits = "requests wait; "
    assert (
        told(swapping, replicas=[old]) == f"{waits}draining 1 replica of the config before (12 s)"
    )
    assert told(swapping) == f"{waits}starting replica 1 of 3 of a (12 s)"


def test_after_the_switch_the_old_replicas_drain() -> None:
    done = replace(UPDATING, active=2, pending=None, update=ConfigUpdate.NOT_UPDATING)
    old = replica(1, ReplicaPhase.DRAINING, draining_since=20_000)
    assert told(done, active=config(2), replicas=[old]) == (
        "draining 1 replica of the config before (2 s)"
    )
    assert told(done, active=config(2)) == ""
