from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.api import Registry
from jupyter_serving.errors import NotFound, RegistryUnreachable, StoreFault
from jupyter_serving.registry import digest, resolve
from jupyter_serving.registry.log import Logged
from jupyter_serving.registry.reference import parse


@pytest.mark.parametrize(
    ("text", "version"), [("iris/1", "1"), ("iris@champion", "1"), ("iris/latest", "2")]
)
def test_a_registered_version_is_found(
    iris: list[Logged], stores: Registry, text: str, version: str
) -> None:
    found = resolve.resolve(parse(text), stores)
    assert (found.name, found.version) == ("iris", version)
    assert (Path(found.source.removeprefix("file://")) / "MLmodel").is_file()


def test_a_logged_model_is_found_by_its_id(iris: list[Logged], stores: Registry) -> None:
    found = resolve.resolve(parse(f"models:/{iris[0].model_id}"), stores)
    assert (found.version, found.model_id) == (None, iris[0].model_id)


def test_a_runs_model_is_found_by_name(
    forest: Any, stores: Registry, mlflow_client: Any, experiment: str
) -> None:
    from mlflow.entities import LoggedModelOutput

    run = mlflow_client.create_run(experiment).info.run_id
    made = mlflow_client.create_logged_model(experiment, name="mine", source_run_id=run)
    mlflow_client.log_outputs(run, [LoggedModelOutput(made.model_id, step=0)])
    found = resolve.resolve(parse(f"runs:/{run}/mine"), stores)
    assert (found.source, found.model_id) == (made.artifact_location, made.model_id)


def test_a_runs_artifact_of_mlflow_2_is_found_by_path(
    stores: Registry, mlflow_client: Any, experiment: str
) -> None:
    run = mlflow_client.create_run(experiment)
    found = resolve.resolve(parse(f"runs:/{run.info.run_id}/deep/model"), stores)
    assert found.source == f"{run.info.artifact_uri}/deep/model"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("iris/9", ["no version 9", "Existing versions: 1, 2"]),
        ("iris@nobody", ["no alias 'nobody'", "Existing aliases: champion"]),
        ("irs/1", ["no registered model 'irs'", "iris"]),
        ("it's/1", ["no registered model"]),
        ("models:/m-0123456789abcdef", ["no logged model"]),
        ("runs:/0123/model", ["no run 0123"]),
        ("/nowhere/model", ["no model directory at /nowhere/model"]),
    ],
)
def test_what_does_not_exist_is_told_with_what_does(
    iris: list[Logged], stores: Registry, text: str, told: list[str]
) -> None:
    with pytest.raises(NotFound) as error:
        resolve.resolve(parse(text), stores)
    for words in told:
        assert words in str(error.value)


def test_fetch_brings_the_files_by_digest_and_only_once(
    iris: list[Logged], stores: Registry, tmp_path: Path
) -> None:
    resolved = resolve.resolve(parse("iris/1"), stores)
    said: list[str] = []
    mark, place = resolve.fetch(resolved, stores, tmp_path / "models", said.append)
    assert mark == iris[0].digest == digest.of(place)
    inode = place.stat().st_ino
    assert resolve.fetch(resolved, stores, tmp_path / "models") == (mark, place)
    assert place.stat().st_ino == inode
    assert [p.name for p in (tmp_path / "models").iterdir()] == [place.name]
    assert said


def test_fetch_replaces_a_damaged_copy(
    iris: list[Logged], stores: Registry, tmp_path: Path
) -> None:
    resolved = resolve.resolve(parse("iris/1"), stores)
    mark, place = resolve.fetch(resolved, stores, tmp_path)
    (place / "MLmodel").write_text("damaged")
    assert resolve.fetch(resolved, stores, tmp_path) == (mark, place)
    assert digest.verify(place, mark)


def test_files_that_are_gone_are_told(iris: list[Logged], stores: Registry, tmp_path: Path) -> None:
    gone = resolve.Resolved("iris", "1", str(tmp_path / "gone"))
    with pytest.raises(NotFound, match="moved or deleted"):
        resolve.fetch(gone, stores, tmp_path / "models")
    with pytest.raises(RegistryUnreachable, match="its own machine"):
        resolve.fetch(gone, Registry(tracking_uri="http://127.0.0.1:1"), tmp_path / "models")


def test_a_directory_without_a_model_is_refused_and_leaves_nothing(
    stores: Registry, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no MLmodel file"):
        resolve.fetch(
            resolve.Resolved("x", None, str(tmp_path / "empty")), stores, tmp_path / "models"
        )
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told(
    iris: list[Logged],
    stores: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        # As copytree reports it: the number is lost in a list of texts.
        raise shutil.Error([("a", "b", f"[Errno {number}] {os.strerror(number)}: 'b'")])

    monkeypatch.setattr(shutil, "copytree", full_disk)
    resolved = resolve.resolve(parse("iris/1"), stores)
    with pytest.raises(StoreFault, match="is full"):
        resolve.fetch(resolved, stores, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
