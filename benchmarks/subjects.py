"""The models that all peers serve, the requests, and the answers that they must give.

Each is saved once, with MLflow, and every peer serves the same directory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_serving.registry.log import quiet

SEED = 20261122
# Distinct requests of each size, sent in turn: an answer that belongs to another request is then seen to be wrong.
VARIANTS = {1: 16, 100: 8}
ROWS = tuple(VARIANTS)


@dataclass(frozen=True)
class Subject:
    """One model: its directory, and for each number of rows the inputs with the model's own predictions."""

    name: str
    title: str
    directory: Path
    columns: list[str]
    samples: dict[int, list[Sample]]


@dataclass(frozen=True)
class Sample:
    """Rows of numbers, and what the model itself says: ``expected`` as ``plain`` makes it."""

    rows: list[list[float]]
    expected: list[Any]


def plain(predictions: Any) -> list[Any]:
    """Predictions of any of the peers' shapes as a list with a number or a list of numbers for each row.

    Data frames and lists of records become rows of values in the order of their columns.
    """
    if hasattr(predictions, "to_numpy"):
        predictions = predictions.to_numpy()
    if hasattr(predictions, "tolist"):
        predictions = predictions.tolist()
    return [list(row.values()) if isinstance(row, dict) else row for row in predictions]


def split_body(columns: Sequence[str], rows: Sequence[Sequence[float]]) -> bytes:
    """A request in MLflow's ``dataframe_split`` format."""
    return json.dumps({"dataframe_split": {"columns": list(columns), "data": rows}}).encode()


def make(names: Sequence[str], folder: Path) -> list[Subject]:
    """Train and save the models called ``names`` (of ``TITLES``) under ``folder``."""
    from sklearn.datasets import load_iris

    features, target = load_iris(return_X_y=True, as_frame=True)
    with quiet():
        return [_make(name, folder / name, features, target) for name in names]


TITLES = {
    "rf": "RandomForestClassifier(10) on iris",
    "lr": "LogisticRegression on iris",
    "dbl": "pyfunc that doubles, declared row-wise",
}


def _make(name: str, directory: Path, features: Any, target: Any) -> Subject:
    if name == "dbl":
        _save_doubles(directory, features)
    else:
        _save_estimator(name, directory, features, target)
    import mlflow

    model = mlflow.pyfunc.load_model(str(directory))
    samples = {rows: _samples(model, features, rows, count) for rows, count in VARIANTS.items()}
    return Subject(name, TITLES[name], directory, list(features.columns), samples)


def _samples(model: Any, features: Any, rows: int, count: int) -> list[Sample]:
    """Rows in a fixed random order, so that neighbours are of different classes."""
    mixed = features.sample(frac=1.0, random_state=SEED)
    step = max((len(mixed) - rows) // count, 1)
    pieces = [mixed.iloc[n * step : n * step + rows] for n in range(count)]
    return [Sample(p.to_numpy().tolist(), plain(model.predict(p))) for p in pieces]


def _save_estimator(name: str, directory: Path, features: Any, target: Any) -> None:
    from mlflow import sklearn as flavour
    from mlflow.models import infer_signature
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    model = (
        RandomForestClassifier(n_estimators=10, random_state=0)
        if name == "rf"
        else LogisticRegression(max_iter=500)
    ).fit(features, target)
    flavour.save_model(
        model,
        str(directory),
        signature=infer_signature(features, model.predict(features)),
        input_example=features.head(2),
        serialization_format="cloudpickle",
    )


def _save_doubles(directory: Path, features: Any) -> None:
    import cloudpickle
    import mlflow
    from mlflow.models import infer_signature

    from . import doubles

    # The servers cannot import this package: the class travels in the pickle.
    cloudpickle.register_pickle_by_value(sys.modules[doubles.__name__])
    mlflow.pyfunc.save_model(
        str(directory),
        python_model=doubles.Doubles(),
        signature=infer_signature(features, features * 2),
        input_example=features.head(2),
        metadata={"jupyter_serving": {"row_wise": True}},
    )
