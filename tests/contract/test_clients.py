"""Unchanged clients deploy, query and delete through Jupyter, and what they are answered has the documented shape.

The clients know nothing of kernels, so the model's environment really is staged, once for all tests.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    OperationFailed,
    ResourceAlreadyExists,
    ResourceConflict,
)
from databricks.sdk.service.serving import (
    DataframeSplitInput,
    EndpointCoreConfigInput,
    EndpointStateConfigUpdate,
    EndpointStateReady,
    EndpointTag,
    Route,
    ServedEntityInput,
    ServedModelInput,
    ServedModelStateDeployment,
    ServingEndpointsAPI,
    TrafficConfig,
)
from mlflow.deployments import BaseDeploymentClient, get_deploy_client
from openapi_spec_validator import OpenAPIV31SpecValidator
from reliability.jupyter import Jupyter
from services import Services, until
from zoo import Zoo

from jupyter_serving.places import DATA_DIR_VARIABLE

PAYLOAD = {"dataframe_split": {"columns": ["x"], "data": [[2.0]]}}
LIMIT = timedelta(minutes=4)

# Fields of the reference's sections 1.1, 1.3 and 1.4, and the additive ones of ours.
OURS = {"live", "invocations_url"}
OURS_OF_ENTITIES = {
    *("kernel_python", "model_digest", "model_uri", "registry"),
    *("scale_to_zero_seconds", "batching"),
}
ENDPOINT = {
    *("name", "id", "creator", "creation_timestamp", "last_updated_timestamp", "state", "config"),
    *("pending_config", "description", "tags", "task", "permission_level", "route_optimized"),
    *("endpoint_url", "endpoint_type"),
}
SUMMARY = {
    *("name", "id", "creator", "creation_timestamp", "last_updated_timestamp", "state", "config"),
    *("description", "tags", "task"),
}
CONFIG = {"config_version", "served_entities", "served_models", "traffic_config"}
SERVED = {
    *("name", "workload_size", "workload_type", "scale_to_zero_enabled", "environment_vars"),
    *("min_provisioned_concurrency", "max_provisioned_concurrency", "instance_profile_arn"),
    *("state", "creator", "creation_timestamp"),
}


@dataclass(frozen=True)
class Workspace:
    """Jupyter as a workspace: its URL and token as a client's configuration has them."""

    host: str
    token: str
    services: Services

    @property
    def sdk(self) -> WorkspaceClient:
        """A client as a user makes it."""
        return WorkspaceClient(host=self.host, token=self.token)

    @property
    def endpoints(self) -> ServingEndpointsAPI:
        """Its serving part."""
        return self.sdk.serving_endpoints


@pytest.fixture(scope="module")
def workspace(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Jupyter, whose first request starts the services; they know the registry by MLflow's variable."""
    for register in (zoo.doubles, zoo.raises_in_predict, zoo.raises_in_load, zoo.waits_in_load):
        register()
    folder = tmp_path_factory.mktemp("contract")
    services = Services(folder / "data")
    environ = {DATA_DIR_VARIABLE: str(folder / "data"), "MLFLOW_TRACKING_URI": zoo.uri}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABRICKS_CONFIG_FILE", "/nonexistent")
        try:
            with Jupyter(folder, environ) as jupyter:
                yield Workspace(f"{jupyter.url}jupyter-serving", jupyter.token, services)
        finally:
            services.end()


@pytest.fixture(scope="module")
def doubles(workspace: Workspace) -> str:
    """An endpoint that was created and waited for."""
    config = EndpointCoreConfigInput(name="doubles", served_entities=[entity("doubles")])
    tags = [EndpointTag("team", "contract")]
    waiter = workspace.endpoints.create("doubles", config=config, tags=tags)
    assert waiter.response.state.config_update is EndpointStateConfigUpdate.IN_PROGRESS
    assert waiter.response.state.ready is EndpointStateReady.NOT_READY
    (pending,) = waiter.response.pending_config.served_entities
    assert pending.state.deployment is ServedModelStateDeployment.DEPLOYMENT_CREATING
    ready = waiter.result(LIMIT)
    assert ready.state.ready is EndpointStateReady.READY
    assert ready.pending_config is None
    return "doubles"


def entity(model: str, **fields: Any) -> ServedEntityInput:
    return ServedEntityInput(
        entity_name=model,
        entity_version="1",
        min_provisioned_concurrency=0,
        max_provisioned_concurrency=1,
        scale_to_zero_enabled=True,
        **fields,
    )


def raw(workspace: Workspace, path: str, method: str = "GET", **more: Any) -> Any:
    """The answer as it is on the wire."""
    return workspace.sdk.api_client.do(method, path, **more)


# -- the SDK ---------------------------------------------------------------------------------------------


def test_get_tells_the_config_as_it_was_sent(workspace: Workspace, doubles: str) -> None:
    endpoint = workspace.endpoints.get(doubles)
    (served,) = endpoint.config.served_entities
    assert (served.name, served.entity_name, served.entity_version) == ("doubles-1", "doubles", "1")
    assert (served.min_provisioned_concurrency, served.max_provisioned_concurrency) == (0, 1)
    assert served.scale_to_zero_enabled is True
    assert served.state.deployment is ServedModelStateDeployment.DEPLOYMENT_READY
    assert endpoint.config.served_models[0].model_name == "doubles"
    (route,) = endpoint.config.traffic_config.routes
    assert (route.served_model_name, route.traffic_percentage) == ("doubles-1", 100)
    assert endpoint.tags == [EndpointTag("team", "contract")]
    assert endpoint.creator
    assert endpoint.description == ""


def test_list_has_the_endpoint_in_short(workspace: Workspace, doubles: str) -> None:
    (found,) = [e for e in workspace.endpoints.list() if e.name == doubles]
    assert found.state.ready is EndpointStateReady.READY
    (served,) = found.config.served_entities
    assert (served.name, served.entity_name, served.entity_version) == ("doubles-1", "doubles", "1")
    assert found.config.served_models[0].model_version == "1"
    assert found.creation_timestamp <= found.last_updated_timestamp


def test_answers_have_the_documented_fields_and_ours_alone(
    workspace: Workspace, doubles: str
) -> None:
    full = raw(workspace, f"/api/2.0/serving-endpoints/{doubles}")
    assert set(full) <= ENDPOINT | OURS
    assert {"name", "id", "creator", "state", "config", "description", "route_optimized"} <= set(
        full
    )
    assert full["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert set(full["config"]) == CONFIG
    (served,), (old,) = full["config"]["served_entities"], full["config"]["served_models"]
    assert set(served) <= SERVED | {"entity_name", "entity_version"} | OURS_OF_ENTITIES
    assert set(old) <= SERVED | {"model_name", "model_version"} | OURS_OF_ENTITIES
    assert served["state"] == {"deployment": "DEPLOYMENT_READY", "deployment_state_message": ""}
    for path in ("/api/2.0/serving-endpoints", "/api/2.0/serving-endpoints/"):
        (item,) = [e for e in raw(workspace, path)["endpoints"] if e["name"] == doubles]
        assert set(item) <= SUMMARY | OURS
        (served,) = item["config"]["served_entities"]
        assert set(served) == {"name", "entity_name", "entity_version"}


@pytest.mark.parametrize(
    "data",
    [
        {"dataframe_split": DataframeSplitInput(columns=["x"], data=[[2.0]])},
        {"dataframe_records": [{"x": 2.0}]},
        {"instances": [{"x": 2.0}]},
        {"inputs": {"x": [2.0]}},
    ],
    ids=lambda data: next(iter(data)),
)
def test_every_form_of_query(workspace: Workspace, doubles: str, data: dict[str, Any]) -> None:
    answer = workspace.endpoints.query(doubles, **data)
    assert answer.predictions == [{"x": 4.0}]
    assert answer.served_model_name == "doubles-1"


def test_a_served_model_is_queried_by_its_name(workspace: Workspace, doubles: str) -> None:
    path = f"/serving-endpoints/{doubles}/served-models/doubles-1/invocations"
    assert raw(workspace, path, "POST", body=PAYLOAD) == {"predictions": [{"x": 4.0}]}


def test_a_bad_row_is_an_error_of_the_caller(workspace: Workspace, doubles: str) -> None:
    with pytest.raises(BadRequest, match="x"):
        workspace.endpoints.query(doubles, dataframe_records=[{"y": 2.0}])


def test_the_logs_are_read(workspace: Workspace, doubles: str) -> None:
    assert "model loaded" in workspace.endpoints.logs(doubles, "doubles-1").logs
    assert "environment" in workspace.endpoints.build_logs(doubles, "doubles-1").logs
    with pytest.raises(NotFound, match="doubles-1"):
        workspace.endpoints.logs(doubles, "nosuch")


def test_the_query_schema_is_read(workspace: Workspace, doubles: str) -> None:
    stream = workspace.endpoints.get_open_api(doubles).contents
    assert stream is not None
    whole = json.loads(stream.read())
    OpenAPIV31SpecValidator(whole).validate()
    assert whole["info"] == whole["info"] | {"title": doubles, "version": "1"}
    content = whole["paths"]["/served-models/doubles-1/invocations"]["post"]["requestBody"]
    assert content["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/doubles-1.request"
    }
    gateway = urlsplit(raw(workspace, f"/api/2.0/serving-endpoints/{doubles}")["invocations_url"])
    (server,) = whole["servers"]
    assert server["url"] == f"http://{gateway.netloc}/serving-endpoints/{doubles}"
    with pytest.raises(NotFound, match="nosuch"):
        workspace.endpoints.get_open_api("nosuch")


def test_the_open_inference_protocol_is_spoken(workspace: Workspace, doubles: str) -> None:
    base = f"/serving-endpoints/{doubles}/v2/models/{doubles}"
    about = raw(workspace, base)
    assert about["platform"] == "mlflow_python_function"
    assert [(t["name"], t["datatype"], t["shape"]) for t in about["inputs"]] == [
        ("x", "FP64", [-1, 1])
    ]
    tensor = {"name": "x", "datatype": "FP64", "shape": [2], "data": [2.0, 3.5]}
    answer = raw(workspace, f"{base}/infer", "POST", body={"id": "7", "inputs": [tensor]})
    assert answer == {
        "model_name": doubles,
        "model_version": "1",
        "id": "7",
        "parameters": {"content_type": "pd"},
        "outputs": [{"name": "x", "datatype": "FP64", "shape": [2, 1], "data": [4.0, 7.0]}],
    }
    path = f"{base}/versions/1/infer"
    assert raw(workspace, path, "POST", body={"inputs": [tensor]})["model_version"] == "1"
    with pytest.raises(NotFound, match="2"):
        raw(workspace, f"{base}/versions/2/infer", "POST", body={"inputs": [tensor]})
    with pytest.raises(BadRequest, match="3 elements, but 2"):
        raw(workspace, f"{base}/infer", "POST", body={"inputs": [tensor | {"shape": [3]}]})


def test_tensors_travel_in_binary_through_jupyter(workspace: Workspace, doubles: str) -> None:
    data = struct.pack("<2d", 2.0, 3.5)
    tensor = {"name": "x", "datatype": "FP64", "shape": [2]}
    head = json.dumps(
        {
            "inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    url = f"{workspace.host}/serving-endpoints/{doubles}/v2/models/{doubles}/infer"
    headers = {
        "Authorization": f"Bearer {workspace.token}",
        "Inference-Header-Content-Length": str(len(head)),
    }
    answer = httpx.post(url, content=head + data, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["inference-header-content-length"])
    assert struct.unpack("<2d", answer.content[length:]) == (4.0, 7.0)
    (output,) = json.loads(answer.content[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 16}


def test_an_update_changes_what_serves_and_a_failed_one_does_not(workspace: Workspace) -> None:
    endpoints = workspace.endpoints
    config = EndpointCoreConfigInput(name="moves", served_entities=[entity("doubles")])
    endpoints.create_and_wait("moves", config=config, timeout=LIMIT)
    models = [
        ServedModelInput(
            model_name=model,
            model_version="1",
            name=name,
            workload_size="Small",
            scale_to_zero_enabled=True,
        )
        for model, name in (("raises-in-predict", "same"), ("doubles", "double"))
    ]
    split = TrafficConfig(
        routes=[
            Route(served_model_name="same", traffic_percentage=0),
            Route(served_model_name="double", traffic_percentage=100),
        ]
    )
    updated = endpoints.update_config_and_wait(
        "moves", served_models=models, traffic_config=split, timeout=LIMIT
    )
    assert updated.config.config_version == 2
    assert [e.name for e in updated.config.served_entities] == ["same", "double"]
    assert {
        r.served_entity_name: r.traffic_percentage for r in updated.config.traffic_config.routes
    } == {
        "same": 0,
        "double": 100,
    }
    assert endpoints.query("moves", dataframe_records=[{"x": 2.0}]).served_model_name == "double"
    with pytest.raises(OperationFailed, match="UPDATE_FAILED"):
        endpoints.update_config_and_wait(
            "moves", served_entities=[entity("raises-in-load")], timeout=LIMIT
        )
    kept = endpoints.get("moves")
    assert kept.state.ready is EndpointStateReady.READY
    assert kept.state.config_update is EndpointStateConfigUpdate.UPDATE_FAILED
    assert kept.config.config_version == 2
    assert endpoints.query("moves", dataframe_records=[{"x": 2.0}]).predictions == [{"x": 4.0}]
    endpoints.delete("moves")


def test_a_failed_deployment_raises_and_tells_why(workspace: Workspace) -> None:
    endpoints = workspace.endpoints
    config = EndpointCoreConfigInput(name="broken", served_entities=[entity("raises-in-load")])
    with pytest.raises(OperationFailed, match="UPDATE_FAILED"):
        endpoints.create_and_wait("broken", config=config, timeout=LIMIT)
    found = endpoints.get("broken")
    assert found.state.ready is EndpointStateReady.NOT_READY
    (served,) = found.pending_config.served_entities
    assert served.state.deployment is ServedModelStateDeployment.DEPLOYMENT_FAILED
    assert "RuntimeError: the weights are missing" in served.state.deployment_state_message
    assert "the weights are missing" in endpoints.build_logs("broken", "raises-in-load-1").logs
    endpoints.delete("broken")


def test_a_second_update_while_one_runs_is_a_conflict(workspace: Workspace, tmp_path: Path) -> None:
    endpoints, gate = workspace.endpoints, tmp_path / "gate"
    held = entity("waits-in-load", environment_vars={"GATE": str(gate)})
    config = EndpointCoreConfigInput(name="busy", served_entities=[held])
    waiter = endpoints.create("busy", config=config)
    try:
        with pytest.raises(ResourceConflict, match="being updated"):
            endpoints.update_config("busy", served_entities=[held])
        with pytest.raises(ResourceAlreadyExists, match="'busy' exists already"):
            endpoints.create("busy", config=config)
        with pytest.raises(BadRequest, match="'busy' is not ready"):
            endpoints.get_open_api("busy")
    finally:
        gate.touch()
    assert waiter.result(LIMIT).state.ready is EndpointStateReady.READY
    endpoints.delete("busy")


def test_what_does_not_exist_is_not_found(workspace: Workspace, doubles: str) -> None:
    endpoints = workspace.endpoints
    with pytest.raises(NotFound, match=f"(?s)'nosuch'.*{doubles}"):
        endpoints.get("nosuch")
    with pytest.raises(NotFound, match="nosuch"):
        endpoints.query("nosuch", dataframe_records=[{"x": 2.0}])
    with pytest.raises(NotFound, match="nosuch"):
        endpoints.delete("nosuch")
    with pytest.raises(NotFound, match="nosuch"):
        endpoints.update_config("nosuch", served_entities=[entity("doubles")])
    unknown = EndpointCoreConfigInput(name="x", served_entities=[entity("dubbles")])
    with pytest.raises(NotFound, match=r"(?s)dubbles.*doubles"):
        endpoints.create("x", config=unknown)


def test_what_cannot_be_served_is_refused_at_once(workspace: Workspace) -> None:
    endpoints = workspace.endpoints
    with pytest.raises(InvalidParameterValue, match="served_entities"):
        endpoints.create("x", config=EndpointCoreConfigInput(name="x"))
    with pytest.raises(InvalidParameterValue, match="add up to 30"):
        endpoints.create(
            "x",
            config=EndpointCoreConfigInput(
                name="x",
                served_entities=[entity("doubles")],
                traffic_config=TrafficConfig(
                    routes=[Route(served_model_name="doubles-1", traffic_percentage=30)]
                ),
            ),
        )


def test_a_registry_that_cannot_be_read_is_told_at_once(workspace: Workspace) -> None:
    """A client retries 429 and 503 for minutes and then tells of a time-out only."""
    served = {
        "entity_name": "doubles",
        "entity_version": "1",
        "registry": {"tracking_uri": "sqlite:////nonexistent/mlflow.db"},
    }
    body = {"name": "x", "config": {"served_entities": [served]}}
    with pytest.raises(BadRequest, match=r"no file /nonexistent/mlflow\.db"):
        raw(workspace, "/api/2.0/serving-endpoints", "POST", body=body)


def test_delete_is_over_when_it_answers_and_leaves_no_process(workspace: Workspace) -> None:
    endpoints = workspace.endpoints
    config = EndpointCoreConfigInput(name="brief", served_entities=[entity("doubles")])
    before = set(workspace.services.census())
    endpoints.create_and_wait("brief", config=config, timeout=LIMIT)
    started = set(workspace.services.census()) - before
    assert started
    assert endpoints.delete("brief") is None
    with pytest.raises(NotFound):
        endpoints.get("brief")
    assert "brief" not in [e.name for e in endpoints.list()]
    until(lambda: not started & set(workspace.services.census()), what="the end of the replica")


# -- MLflow's deployments client -------------------------------------------------------------------------


@pytest.fixture
def mlflow_client(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BaseDeploymentClient]:
    """MLflow's client, configured by its variables."""
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    yield get_deploy_client("databricks")


def test_mlflows_client_lives_a_whole_life(
    workspace: Workspace, mlflow_client: BaseDeploymentClient
) -> None:
    served = {
        "name": "first",
        "entity_name": "doubles",
        "entity_version": 1,
        "workload_size": "Small",
        "scale_to_zero_enabled": True,
    }
    routes = {"routes": [{"served_model_name": "first", "traffic_percentage": "100"}]}
    created = mlflow_client.create_endpoint(
        config={"name": "whole", "config": {"served_entities": [served], "traffic_config": routes}}
    )
    assert created["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS"}
    assert created.name == "whole"

    def settled() -> Any:
        found = mlflow_client.get_endpoint("whole")
        return found if found["state"]["config_update"] != "IN_PROGRESS" else None

    assert until(settled, what="the deployment")["state"]["ready"] == "READY"
    assert "whole" in [e["name"] for e in mlflow_client.list_endpoints()]
    assert mlflow_client.predict(endpoint="whole", inputs=PAYLOAD) == {"predictions": [{"x": 4.0}]}
    mlflow_client.update_endpoint_config(
        "whole", {"served_entities": [served | {"entity_name": "raises-in-predict"}]}
    )
    until(settled, what="the update")
    assert mlflow_client.predict(endpoint="whole", inputs=PAYLOAD) == {"predictions": [2.0]}
    with pytest.raises(Exception, match="x must not be negative"):
        mlflow_client.predict(endpoint="whole", inputs={"dataframe_records": [{"x": -1.0}]})
    assert mlflow_client.delete_endpoint("whole") == {}
    with pytest.raises(Exception, match=r"RESOURCE_DOES_NOT_EXIST|There is no endpoint 'whole'"):
        mlflow_client.get_endpoint("whole")


def test_mlflows_older_form_of_create(mlflow_client: BaseDeploymentClient) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        created = mlflow_client.create_endpoint(
            name="legacy",
            config={"served_entities": [{"entity_name": "doubles", "entity_version": "1"}]},
        )
    assert created.name == "legacy"
    with pytest.raises(Exception, match="exists already"):
        mlflow_client.create_endpoint(
            config={
                "name": "legacy",
                "config": {"served_entities": [{"entity_name": "doubles", "entity_version": "1"}]},
            }
        )
    assert mlflow_client.delete_endpoint("legacy") == {}
