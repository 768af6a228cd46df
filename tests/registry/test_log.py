from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.api import Registry
from jupyter_serving.errors import InvalidParameter, RegistryUnreachable
from jupyter_serving.registry import log as logging_room
from jupyter_serving.registry import register as register_room
from jupyter_serving.registry.log import Logged, configured, log

FAST: dict[str, Any] = {"pip_requirements": ["scikit-learn"]}


def load(logged: Logged, client: Any) -> Any:
    import mlflow

    where = client.get_logged_model(logged.model_id).artifact_location
    return mlflow.pyfunc.load_model(where)


def test_a_forest_comes_back_with_signature_and_example(
    iris: list[Logged], forest: Any, mlflow_client: Any
) -> None:
    model, rows = forest
    loaded = load(iris[0], mlflow_client)
    assert loaded.predict(rows).tolist() == model.predict(rows).tolist()
    assert loaded.metadata.signature.inputs.input_names() == list(rows.columns)
    assert len(loaded.input_example) == 5
    assert (iris[0].uri, iris[1].uri) == ("models:/iris/1", "models:/iris/2")
    assert iris[0].notes == []


def test_without_data_the_inputs_are_assumed_and_that_is_said(
    forest: Any, stores: Registry, experiment: str, mlflow_client: Any
) -> None:
    made = log(forest[0], name="assumed", registry=stores, experiment_id=experiment, **FAST)
    assert len(made.notes) == 1
    assert "4 inputs are assumed to be floating-point" in made.notes[0]
    types = {str(t) for t in load(made, mlflow_client).metadata.signature.inputs.input_types()}
    assert types == {"DataType.double"}


def test_a_model_that_is_declared_row_wise_says_so_in_its_metadata(
    forest: Any, stores: Registry, experiment: str, mlflow_client: Any
) -> None:
    told: dict[str, Any] = FAST | {"metadata": {"team": "flowers"}}
    where = {"registry": stores, "experiment_id": experiment}
    made = log(forest[0], name="rows", X=forest[1], row_wise=True, **where, **told)
    metadata = load(made, mlflow_client).metadata.metadata
    assert metadata == {"team": "flowers", "jupyter_serving": {"row_wise": True}}


def test_a_function_and_a_python_model_can_be_logged(
    forest: Any, stores: Registry, experiment: str, mlflow_client: Any
) -> None:
    import mlflow

    def total(rows):  # type: ignore[no-untyped-def]
        return rows.sum(axis=1)

    class Ones(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return [1] * len(model_input)

    rows = forest[1]
    place: dict[str, Any] = {
        "registry": stores,
        "experiment_id": experiment,
        "pip_requirements": ["mlflow"],
    }
    summed = load(log(total, name="total", X=rows, **place), mlflow_client).predict(rows)
    assert list(summed) == pytest.approx(rows.sum(axis=1).tolist())
    assert load(log(Ones(), name="ones", X=rows, **place), mlflow_client).predict(rows) == [
        1
    ] * len(rows)


def test_an_open_run_gets_the_model(
    forest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mine.db'}")
    mlflow.set_experiment("Default")  # another test may have set one of another store
    try:
        with mlflow.start_run() as run:
            made = log(forest[0], name="mine", X=forest[1], **FAST)
        assert made.run_id == run.info.run_id
        version = mlflow.MlflowClient().get_model_version("mine", "1")
        assert version.source == f"models:/{made.model_id}"
        # Only the user's own run is there, and it is over.
        assert [r.info.status for r in mlflow.MlflowClient().search_runs(["0"])] == ["FINISHED"]
    finally:
        mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda forest: type(forest), "is a class"),
        (lambda forest: type(forest)(), "is not fitted"),
        (lambda forest: 3, "is not a model"),
        (lambda forest: len, "inputs of this builtin_function_or_method are not known"),
    ],
)
def test_what_is_no_model_is_told(forest: Any, stores: Registry, broken: Any, why: str) -> None:
    with pytest.raises(InvalidParameter, match=why):
        log(broken(forest[0]), name="broken", registry=stores)


@pytest.mark.parametrize("name", ["", "a/b", "a:b"])
def test_a_name_that_the_registry_refuses_is_told_first(
    forest: Any, stores: Registry, name: str
) -> None:
    with pytest.raises(InvalidParameter, match="not a name for a registered model"):
        log(forest[0], name=name, registry=stores)


def test_wrong_columns_are_told(forest: Any, stores: Registry) -> None:
    with pytest.raises(InvalidParameter, match="predict fails on the data given"):
        log(forest[0], name="broken", X=forest[1].iloc[:, :2], registry=stores)
    with pytest.raises(InvalidParameter, match="no rows"):
        log(forest[0], name="broken", X=forest[1].iloc[:0], registry=stores)


def test_inputs_that_cannot_be_guessed_are_told(stores: Registry) -> None:
    import pandas as pd
    from sklearn.base import BaseEstimator

    class Picky(BaseEstimator):  # type: ignore[misc]
        def fit(self, rows: Any) -> Any:
            self.feature_names_in_ = rows.columns
            return self

        def predict(self, rows: Any) -> Any:
            return rows["text"].str.len()

    model = Picky().fit(pd.DataFrame({"text": ["a"]}))
    with pytest.raises(InvalidParameter, match=r"cannot be guessed.*--data"):
        log(model, name="picky", registry=stores)


def test_a_failed_registration_leaves_nothing(
    forest: Any,
    stores: Registry,
    experiment: str,
    mlflow_client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    def registry_lost(*_: Any, **__: Any) -> None:
        raise ConnectionError("the registry went away")

    before = len(mlflow_client.search_logged_models([experiment]))
    monkeypatch.setattr(MlflowClient, "create_model_version", registry_lost)
    with pytest.raises(RegistryUnreachable, match="went away"):
        log(
            forest[0], name="orphan", X=forest[1], registry=stores, experiment_id=experiment, **FAST
        )
    assert not mlflow_client.search_registered_models("name='orphan'")
    assert len(mlflow_client.search_logged_models([experiment])) == before


def test_a_failed_version_does_not_delete_the_model_that_was_there(
    iris: list[Logged],
    forest: Any,
    stores: Registry,
    experiment: str,
    mlflow_client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    def upload_lost(*_: Any, **__: Any) -> None:
        raise OSError("upload broke")

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", upload_lost)
    with pytest.raises(RegistryUnreachable):
        log(forest[0], name="iris", X=forest[1], registry=stores, experiment_id=experiment, **FAST)
    assert len(mlflow_client.search_model_versions("name='iris'")) == 2


def test_mlflow_2_registers_a_runs_artifact(
    forest: Any,
    iris: list[Logged],
    home: Path,
    stores: Registry,
    mlflow_client: Any,
    experiment: str,
) -> None:
    class Mlflow2Client:
        """The client of MLflow 2: no logged models."""

        def __getattr__(self, name: str) -> Any:
            if "logged_model" in name:
                raise AttributeError(name)
            return getattr(mlflow_client, name)

    written = register_room._Written(Mlflow2Client())
    source = Path(
        mlflow_client.get_logged_model(iris[0].model_id).artifact_location.removeprefix("file://")
    )
    register_room._ensure_model(written, "older")
    made = register_room._as_run_artifact(written, source, "older", experiment)
    run = mlflow_client.get_run(made.run_id)
    assert run.info.status == "FINISHED"
    assert (Path(run.info.artifact_uri.removeprefix("file://")) / "model" / "MLmodel").is_file()


def test_the_configured_stores_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri("sqlite:///mine.db")
        assert configured().tracking_uri == f"sqlite:///{tmp_path}/mine.db"
        assert configured().registry_uri == f"sqlite:///{tmp_path}/mine.db"
    finally:
        mlflow.set_tracking_uri(before)


def test_logging_keeps_quiet_and_restores_the_levels() -> None:
    import logging

    logger = logging.getLogger("mlflow")
    before = logger.level
    with logging_room.quiet():
        assert logger.level == logging.ERROR
    assert logger.level == before


def test_logging_keeps_quiet_where_it_is_the_first_to_import_mlflow() -> None:
    code = (
        "import logging\n"
        "from jupyter_serving.registry.log import quiet\n"
        "with quiet():\n"
        "    import mlflow\n"
        "    print(logging.getLogger('mlflow.sklearn').isEnabledFor(logging.WARNING))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
