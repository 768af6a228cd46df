"""What the gateway is told of an endpoint."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from jupyter_serving.api import Capture, Registry, ServedEntityInput
from jupyter_serving.controller.records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
)
from jupyter_serving.controller.routing import routing
from jupyter_serving.settings import Settings

ENTITY = EntityRecord(
    name="iris-3",
    spec=ServedEntityInput(name="iris-3", entity_name="iris", entity_version="3"),
    source={},
    registry=Registry(tracking_uri="sqlite:////r"),
    created=5,
    creator="me",
)
CONFIG = ConfigRecord(
    endpoint="e", version=1, created=5, entities=(ENTITY,), routes=(("iris-3", 100),)
)
ENDPOINT = EndpointRecord(id="e", name="iris", creator="me", created=5, updated=6, active=1)
REPLICA = ReplicaRecord(
    id="r",
    endpoint="e",
    version=1,
    entity="iris-3",
    phase=ReplicaPhase.READY,
    backend="process",
    slots=2,
    reason="deploy",
    created=5,
)


def told(config: ConfigRecord, *replicas: ReplicaRecord) -> dict[str, Any]:
    return routing(
        ENDPOINT,
        config,
        replicas,
        [],
        Settings(),
        lambda r: f"unix:/{r.id}",
        lambda key: None,
        lambda entity: {"platform": entity.name},
    )


def test_a_replica_that_batches_is_given_more_than_its_slots() -> None:
    plain, batching = REPLICA, replace(REPLICA, id="b", capacity=64)
    members = told(CONFIG, plain, batching)["entities"][0]["replicas"]
    assert [(m["slots"], m["capacity"]) for m in members] == [(2, 2), (2, 64)]


def test_the_model_version_selects_a_served_entity() -> None:
    assert told(CONFIG)["entities"][0]["version"] == "3"


def test_the_model_is_described_for_the_open_inference_protocol() -> None:
    assert told(CONFIG)["entities"][0]["v2"] == {"platform": "iris-3"}


def test_capture_is_off_unless_the_config_says_so() -> None:
    assert told(CONFIG)["capture"] is None
    ring = told(replace(CONFIG, capture=Capture(sample=0.5)))["capture"]
    assert ring == {"sample": 0.5, "max_requests": 200, "max_bytes": 16 * 1024 * 1024}
