"""Which replicas a reload replaces, and when."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from jupyter_serving.api import Registry, ServedEntityInput
from jupyter_serving.controller import reloads
from jupyter_serving.controller.records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
)

ENDPOINT = EndpointRecord(id="e", name="iris", creator="me", created=0, updated=0, active=1)


def config(every: float | None = None, own: float | None = None) -> ConfigRecord:
    entity = EntityRecord(
        name="a",
        spec=ServedEntityInput(entity_name="iris", entity_version="1", reload_every_seconds=own),
        source={},
        registry=Registry(tracking_uri="sqlite:///x"),
        created=0,
        creator="me",
    )
    return ConfigRecord(
        endpoint="e",
        version=1,
        created=0,
        entities=(entity,),
        routes=(("a", 100),),
        reload_every_seconds=every,
    )


def replica(name: str, created: int, **more: Any) -> ReplicaRecord:
    facts: dict[str, Any] = {"phase": ReplicaPhase.READY, "version": 1, **more}
    return ReplicaRecord(
        id=name,
        endpoint="e",
        entity="a",
        backend="process",
        slots=4,
        reason="deploy",
        created=created,
        **facts,
    )


PAIR = [replica("old", 1_000), replica("young", 50_000)]


def test_without_a_period_nothing_is_stale_until_somebody_asks() -> None:
    assert reloads.stale(ENDPOINT, config(), PAIR, now=1e6) == set()
    asked = replace(ENDPOINT, reload_asked=20_000)
    assert reloads.stale(asked, config(), PAIR, now=21.0) == {"old"}


def test_a_period_is_the_entitys_own_or_the_configs() -> None:
    assert reloads.stale(ENDPOINT, config(every=60.0), PAIR, now=61.0) == {"old"}
    assert reloads.stale(ENDPOINT, config(every=60.0), PAIR, now=60.9) == set()
    assert reloads.stale(ENDPOINT, config(every=60.0, own=5.0), PAIR, now=60.0) == {"old", "young"}


def test_one_that_came_to_nothing_is_not_tried_before_the_next_period() -> None:
    tried = replace(ENDPOINT, reload_tried=61_000)
    assert reloads.stale(tried, config(every=60.0), PAIR, now=120.9) == set()
    assert reloads.stale(tried, config(every=60.0), PAIR, now=121.0) == {"old", "young"}


def test_only_ready_replicas_of_the_active_config_and_not_during_an_update() -> None:
    others = [
        replica("starting", 0, phase=ReplicaPhase.STARTING),
        replica("draining", 0, phase=ReplicaPhase.DRAINING),
        replica("before", 0, version=7),
    ]
    asked = replace(ENDPOINT, reload_asked=20_000)
    assert reloads.stale(asked, config(), others, now=30.0) == set()
    assert reloads.stale(replace(asked, pending=2), config(), PAIR, now=30.0) == set()
    assert reloads.stale(asked, None, PAIR, now=30.0) == set()
