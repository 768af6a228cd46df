"""What the controller tells of the models that lie in its directory."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry.signed import save

from jupyter_serving.api import Registry, ServedEntityInput
from jupyter_serving.controller.models import Models
from jupyter_serving.controller.records import EntityRecord
from jupyter_serving.controller.registrar import Registrar
from jupyter_serving.errors import BadRequest
from jupyter_serving.registry import digest

REGISTRY = Registry(tracking_uri="sqlite:////r")
BARE = "flavors:\n  python_function:\n    loader_module: m\n"


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Models]:
    own = Models(tmp_path, allow_unsigned=True, default=REGISTRY, registrar=Registrar(60.0))
    yield own
    own.close()


def bring(models: Models, source: Path) -> EntityRecord:
    """Put a model into the directory; return an entity that serves it."""
    found = digest.of(source)
    shutil.copytree(source, models.path(found))
    return EntityRecord(
        name="served",
        spec=ServedEntityInput(entity_name="m", entity_version="3"),
        source={"name": "m", "version": "3", "source": str(source)},
        registry=REGISTRY,
        created=5,
        creator="me",
        digest=found,
    )


@pytest.fixture
def table(models: Models, tmp_path_factory: pytest.TempPathFactory) -> EntityRecord:
    return bring(models, save(tmp_path_factory.mktemp("signed"), "table"))


def write(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "MLmodel").write_text(text)
    return folder


def test_a_model_is_described_for_both_protocols(models: Models, table: EntityRecord) -> None:
    metadata = models.metadata(table.digest)
    assert metadata is not None
    assert metadata["inputs"][0]["name"] == "number"
    served = asyncio.run(models.served(table))
    assert (served.name, served.model, served.version) == ("served", "m", "3")
    assert served.metadata == metadata
    assert served.example is not None


def test_metadata_is_read_once(models: Models, table: EntityRecord) -> None:
    first = models.metadata(table.digest)
    (models.path(table.digest) / "MLmodel").unlink()
    assert models.metadata(table.digest) is first


def test_a_model_that_is_not_here_yet_is_looked_at_again(
    models: Models, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = save(tmp_path_factory.mktemp("signed"), "tensor")
    assert models.metadata("") is None
    assert models.metadata(digest.of(source)) is None
    assert models.metadata(bring(models, source).digest) is not None


def test_without_a_signature_routing_goes_on_and_a_document_is_refused(
    models: Models, tmp_path: Path
) -> None:
    entity = bring(models, write(tmp_path / "bare", BARE))
    assert models.metadata(entity.digest) is None
    with pytest.raises(BadRequest, match=r"'served' has no signature.*infer_signature"):
        asyncio.run(models.served(entity))


def test_a_damaged_model_does_not_stop_routing(models: Models, tmp_path: Path) -> None:
    entity = bring(models, write(tmp_path / "broken", "flavors: ["))
    assert models.metadata(entity.digest) is None
