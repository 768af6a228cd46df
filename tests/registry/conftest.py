"""A real MLflow registry in SQLite, made once: model ``iris`` with two versions and an alias."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.api import Registry
from jupyter_serving.registry.log import Logged, log, quiet


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="session")
def stores(home: Path) -> Registry:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return Registry(tracking_uri=uri, registry_uri=uri)


@pytest.fixture(scope="session")
def mlflow_client(stores: Registry) -> Any:
    from mlflow import MlflowClient

    with quiet():
        return MlflowClient(tracking_uri=stores.tracking_uri, registry_uri=stores.registry_uri)


@pytest.fixture(scope="session")
def experiment(mlflow_client: Any, home: Path) -> str:
    return str(
        mlflow_client.create_experiment("tests", artifact_location=(home / "artifacts").as_uri())
    )


@pytest.fixture(scope="session")
def forest() -> Any:
    """A fitted random forest and its data."""
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    rows, target = load_iris(return_X_y=True, as_frame=True)
    return RandomForestClassifier(n_estimators=3, random_state=0).fit(rows, target), rows


@pytest.fixture(scope="session")
def iris(forest: Any, stores: Registry, experiment: str, mlflow_client: Any) -> list[Logged]:
    """Versions 1 and 2 of ``iris``; ``champion`` is version 1."""
    model, rows = forest
    # Pinned requirements spare MLflow's search for them in a process of its own.
    options: dict[str, Any] = {"pip_requirements": ["scikit-learn"]}
    made = [
        log(model, name="iris", X=rows, registry=stores, experiment_id=experiment, **options)
        for _ in range(2)
    ]
    mlflow_client.set_registered_model_alias("iris", "champion", "1")
    return made
