"""Unchanged clients against a real server and a real controller, which their first request starts."""

from __future__ import annotations

import io
import logging
import tarfile

import httpx
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, PermissionDenied

from jupyter_serving.registry.digest import of as digest_of

from .conftest import shut_down


@pytest.fixture
def workspace(real_controller, monkeypatch):
    """The SDK's client, with the extension as its workspace."""
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nonexistent")
    return WorkspaceClient(host=real_controller.url, token=real_controller.token)


def test_the_sdk_lists_and_reads(workspace, places, caplog):
    assert not places.controller_socket.exists(), "constructing a client must start nothing"
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert list(workspace.serving_endpoints.list()) == []
    assert places.controller_socket.exists()
    with pytest.raises(NotFound, match="nosuch"):
        workspace.serving_endpoints.get("nosuch")


def test_the_sdk_shows_the_reason_of_a_refusal(real_controller, workspace):
    stranger = WorkspaceClient(host=real_controller.url, token="wrong")
    with pytest.raises(PermissionDenied, match="No valid Jupyter credential"):
        list(stranger.serving_endpoints.list())


def test_mlflow_lists(real_controller, monkeypatch):
    from mlflow.deployments import get_deploy_client

    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("DATABRICKS_HOST", real_controller.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", real_controller.token)
    assert get_deploy_client("databricks").list_endpoints() == []


def test_the_controller_outlives_jupyter(real_server, places):
    authorised = {"Authorization": f"token {real_server.token}"}
    with httpx.Client(headers=authorised, timeout=60, trust_env=False) as client:
        client.get(real_server.url + "/api/2.0/serving-endpoints").raise_for_status()
    real_server.stop()
    transport = httpx.HTTPTransport(uds=str(places.controller_socket))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=60) as client:
        status = client.get("/api/2.0/jupyter-serving/status").json()
        assert status["data_dir"] == str(places.data)
        shut_down(client, places)


def model_in_a_tar(folder):
    """A model directory as a tar, and its digest."""
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "model.bin").write_bytes(bytes(range(256)) * 16384)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue(), digest_of(folder)


def test_a_model_is_uploaded_through_jupyter(real_controller, places, tmp_path):
    content, digest = model_in_a_tar(tmp_path / "model")
    path = f"/api/2.0/jupyter-serving/models/{digest}"
    authorised = {"Authorization": f"token {real_controller.token}"}
    with httpx.Client(
        base_url=real_controller.url, headers=authorised, timeout=60, trust_env=False
    ) as client:
        assert client.get(path).status_code == 404
        assert client.put(path, content=content).json() == {"digest": digest}
        assert client.get(path).status_code == 200


def test_a_prediction_of_an_unknown_endpoint_is_told(real_controller):
    authorised = {"Authorization": f"token {real_controller.token}"}
    answer = httpx.post(
        real_controller.url + "/serving-endpoints/nosuch/invocations",
        json={"inputs": [1]},
        headers=authorised,
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
