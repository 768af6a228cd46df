from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
from services import Services
from zoo import Zoo

from jupyter_serving.api import Registry
from jupyter_serving.client import Client
from jupyter_serving.delivery import Options, deliver
from jupyter_serving.errors import NotFound, RegistryUnreachable

ONE = Options(min_concurrency=1, max_concurrency=1)


@pytest.fixture(scope="module")
def client(shared_services: Services) -> Client:
    return shared_services.client_started()


def serve(client: Client, name: str, model: str, **given: Any) -> list[Any]:
    endpoint = deliver(client, name, model, ONE, **given)
    try:
        return list(endpoint.wait(120).query([{"x": 1.0}]))
    finally:
        endpoint.delete()


def test_a_relative_registry_travels_as_an_absolute_one(
    client: Client, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = zoo.doubles()
    folder = Path(zoo.uri.removeprefix("sqlite:///")).parent
    monkeypatch.chdir(folder)
    relative = Registry(tracking_uri="sqlite:///registry.db")
    assert serve(client, "relative", uri, registry=relative) == [{"x": 2.0}]


def test_mlflows_configured_registry_is_meant(client: Client, zoo: Zoo) -> None:
    uri, before = zoo.doubles(), mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(zoo.uri)
    try:
        assert serve(client, "configured", uri.removeprefix("models:/")) == [{"x": 2.0}]
    finally:
        mlflow.set_tracking_uri(before)


def test_batching_is_told_only_where_it_was_asked_for() -> None:
    assert "batching" not in ONE.fields()
    asked = Options(batching="on", max_batch_size=8).fields()
    assert asked["batching"] == {"mode": "on", "max_size": 8}
    assert Options(max_batch_size=8).fields()["batching"] == {"max_size": 8}


class CannotReadRegistries(Client):
    """A client of a controller elsewhere: it refuses every registry and path, but takes uploads."""

    def deploy(self, name: str, entity: dict[str, Any], **fields: Any) -> Any:
        if "model_digest" not in entity:
            raise RegistryUnreachable("the registry cannot be read from here")
        return super().deploy(name, entity, **fields)


class DoesNotSeePaths(Client):
    """A client of a controller on another machine, which has not this one's files."""

    def deploy(self, name: str, entity: dict[str, Any], **fields: Any) -> Any:
        if "model_uri" in entity:
            raise NotFound("There is no model directory there.")
        return super().deploy(name, entity, **fields)


def test_a_registry_that_only_this_side_reads_is_replaced_by_an_upload(
    client: Client, zoo: Zoo
) -> None:
    said: list[str] = []
    elsewhere = CannotReadRegistries(server=client.server)
    stores = Registry(tracking_uri=zoo.uri)
    endpoint = deliver(
        elsewhere, "uploaded", zoo.doubles(), ONE, registry=stores, progress=said.append
    )
    try:
        assert list(endpoint.wait(120).query([{"x": 1.0}])) == [{"x": 2.0}]
        entity = endpoint.refresh().served_entities[0]
        assert (entity["entity_name"], entity["entity_version"]) == ("doubles", "1")
        assert entity["model_digest"].startswith("sha256:")
        assert any("uploading" in text for text in said)
    finally:
        endpoint.delete()


def test_a_directory_that_only_this_side_has_is_uploaded(
    client: Client, zoo: Zoo, tmp_path: Path
) -> None:
    with_client = mlflow.MlflowClient(zoo.uri)
    zoo.doubles()
    source = with_client.get_model_version("doubles", "1").source
    where = with_client.get_logged_model(source.removeprefix("models:/")).artifact_location
    shutil.copytree(where.removeprefix("file://"), tmp_path / "saved")
    assert serve(client, "directory", "saved", base=tmp_path) == [{"x": 2.0}]
    elsewhere = DoesNotSeePaths(server=client.server)
    assert serve(elsewhere, "elsewhere", str(tmp_path / "saved")) == [{"x": 2.0}]


def test_a_registry_that_nobody_reads_is_told_with_the_remedy(
    client: Client, tmp_path: Path
) -> None:
    nowhere = Registry(tracking_uri=f"sqlite:///{tmp_path / 'typo.db'}")
    with pytest.raises(RegistryUnreachable, match="--tracking-uri"):
        deliver(client, "nowhere", "iris/1", ONE, registry=nowhere)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_version_is_not_a_reason_to_upload(client: Client, zoo: Zoo) -> None:
    zoo.doubles()
    said: list[str] = []
    with pytest.raises(NotFound, match="no version 9"):
        deliver(
            client,
            "x",
            "doubles/9",
            ONE,
            registry=Registry(tracking_uri=zoo.uri),
            progress=said.append,
        )
    assert said == []


def test_options_become_fields_and_what_is_not_given_is_left_to_the_server() -> None:
    assert Options().fields() == {"scale_to_zero_enabled": True}
    assert Options(
        "Medium", workload_type="CPU", idle_seconds=9, environment_vars={"A": "b"}
    ).fields() == {
        "workload_size": "Medium",
        "workload_type": "CPU",
        "scale_to_zero_seconds": 9,
        "environment_vars": {"A": "b"},
        "scale_to_zero_enabled": True,
    }
