from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.api import Registry
from jupyter_serving.registry import digest, travel
from jupyter_serving.registry.log import Logged
from jupyter_serving.registry.reference import Kind, parse

HERE = Registry(tracking_uri="sqlite:////a.db", registry_uri="http://r")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("iris/3", {"entity_name": "iris", "entity_version": "3"}),
        ("iris@champion", {"entity_name": "iris", "entity_version": "@champion"}),
        ("iris/latest", {"entity_name": "iris", "entity_version": "latest"}),
        ("runs:/abc/model", {"model_uri": "runs:/abc/model"}),
        ("models:/m-0123456789", {"model_uri": "models:/m-0123456789"}),
    ],
)
def test_a_model_is_named_for_the_controller_with_its_stores(
    text: str, fields: dict[str, Any]
) -> None:
    stores = {"tracking_uri": "sqlite:////a.db", "registry_uri": "http://r"}
    assert travel.entity_of(parse(text), HERE) == fields | {"registry": stores}


def test_a_directory_needs_no_registry_and_may_be_relative(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "MLmodel").write_text("flavors: {}")
    reference = travel.reference_of("saved", tmp_path)
    assert reference.kind is Kind.PATH
    assert travel.entity_of(reference, HERE) == {"model_uri": str(tmp_path / "saved")}


def test_relative_stores_are_made_absolute() -> None:
    stores = travel.absolute(Registry(tracking_uri="sqlite:///mlflow.db"), Path("/here"))
    assert (stores.tracking_uri, stores.registry_uri) == ("sqlite:////here/mlflow.db", "")


def test_a_packed_model_unpacks_to_its_digest(
    iris: list[Logged], stores: Registry, tmp_path: Path
) -> None:
    parcel = travel.pack(parse("iris@champion"), stores, tmp_path, lambda _: None)
    archive = tmp_path / "received.tar"
    archive.write_bytes(b"".join(parcel.chunks()))
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert digest.of(tmp_path / "unpacked") == parcel.digest == iris[0].digest
    assert parcel.entity == {
        "model_digest": parcel.digest,
        "entity_name": "iris",
        "entity_version": "1",
    }
