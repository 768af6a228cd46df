"""Answers of the API: the fields that clients rely on, with their states."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from jupyter_serving import api
from jupyter_serving.api import ConfigUpdate, Registry, ServedEntityInput
from jupyter_serving.controller import view
from jupyter_serving.controller.records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
)

ENTITY = EntityRecord(
    name="iris-1",
    spec=ServedEntityInput(
        name="iris-1", entity_name="iris", entity_version="1", scale_to_zero_enabled=True
    ),
    source={},
    registry=Registry(tracking_uri="sqlite:////r"),
    created=5,
    creator="me",
    digest="sha256:00",
)
CONFIG = ConfigRecord(
    endpoint="e", version=1, created=5, entities=(ENTITY,), routes=(("iris-1", 100),)
)
ENDPOINT = EndpointRecord(id="e", name="iris", creator="me", created=5, updated=6)
READY = ReplicaRecord(
    id="r",
    endpoint="e",
    version=1,
    entity="iris-1",
    phase=ReplicaPhase.READY,
    backend="process",
    slots=4,
    reason="deploy",
    created=5,
)


def shown(endpoint: EndpointRecord, **facts: Any) -> dict[str, Any]:
    known: dict[str, Any] = dict(
        active=None,
        pending=None,
        replicas=[],
        figures=[],
        checking=False,
        progress="",
        last_cold_start=None,
        base_url="http://127.0.0.1:1",
        default_idle=1800.0,
        now=0.0,
    )
    full = view.detailed(view.Facts(endpoint=endpoint, **(known | facts)))
    return dict(json.loads(api.encode(full)))


def test_a_ready_endpoint() -> None:
    body = shown(replace(ENDPOINT, active=1), active=CONFIG, replicas=[READY])
    assert body["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert "pending_config" not in body
    entity = body["config"]["served_entities"][0]
    assert entity["state"]["deployment"] == "DEPLOYMENT_READY"
    assert entity["workload_size"] == "Small"
    assert entity["scale_to_zero_seconds"] == 1800.0
    assert body["config"]["traffic_config"]["routes"] == [
        {"traffic_percentage": 100, "served_entity_name": "iris-1", "served_model_name": "iris-1"}
    ]
    assert body["config"]["served_models"][0]["model_version"] == "1"
    assert body["live"]["provisioned_concurrency"] == 4
    assert body["description"] == ""
    assert body["invocations_url"] == "http://127.0.0.1:1/serving-endpoints/iris/invocations"


def test_what_is_up_is_wanted_while_it_is_verified() -> None:
    body = shown(replace(ENDPOINT, active=1), active=CONFIG, replicas=[READY], checking=True)
    assert body["live"]["phase"] == "CHECKING"
    assert (body["live"]["replicas"]["ready"], body["live"]["replicas"]["wanted"]) == (1, 1)


def test_an_endpoint_that_is_being_created_waits_with_its_progress() -> None:
    creating = replace(ENDPOINT, pending=1, update=ConfigUpdate.IN_PROGRESS)
    body = shown(creating, pending=CONFIG, progress="staging an environment")
    assert body["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS"}
    state = body["pending_config"]["served_entities"][0]["state"]
    assert state == {
        "deployment": "DEPLOYMENT_CREATING",
        "deployment_state_message": "staging an environment",
    }
    assert body["live"]["message"] == "staging an environment"


def test_a_failed_endpoint_tells_the_reason_where_clients_look() -> None:
    failed = replace(ENDPOINT, failed=1, update=ConfigUpdate.UPDATE_FAILED, message="no xgboost")
    config = replace(CONFIG, entities=(replace(ENTITY, failure="no xgboost"),))
    body = shown(failed, pending=config)
    assert body["state"] == {"ready": "NOT_READY", "config_update": "UPDATE_FAILED"}
    state = body["pending_config"]["served_entities"][0]["state"]
    assert state == {"deployment": "DEPLOYMENT_FAILED", "deployment_state_message": "no xgboost"}
    assert body["live"]["phase"] == "FAILED"


def test_an_answer_can_be_sent_back_as_an_update() -> None:
    body = shown(replace(ENDPOINT, active=1), active=CONFIG, replicas=[READY])
    again = api.decode(api.ConfigInput, json.dumps(body["config"]).encode())
    (entity,) = again.entities()
    assert (entity.entity_name, entity.entity_version) == ("iris", "1")
    assert entity.scale_to_zero_enabled


def test_a_list_item_has_the_fields_of_the_list_and_live() -> None:
    facts = view.Facts(
        endpoint=replace(ENDPOINT, active=1),
        active=CONFIG,
        pending=None,
        replicas=[READY],
        figures=[],
        checking=False,
        progress="",
        last_cold_start=0.2,
        base_url="",
        default_idle=1.0,
        now=0.0,
    )
    item = json.loads(api.encode(view.summary(facts)))
    served = item["config"]["served_entities"]
    assert served == [{"name": "iris-1", "entity_name": "iris", "entity_version": "1"}]
    assert item["live"]["phase"] == "READY"
    assert item["live"]["last_cold_start_seconds"] == 0.2
