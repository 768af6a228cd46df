"""Models whose libraries treat threads and forks differently, each with rows and the answers to them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_iris

THREADED = """
import mlflow
import numpy as np
from concurrent.futures import ThreadPoolExecutor

class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.pool = ThreadPoolExecutor(3)

    def predict(self, context, model_input, params=None):
        rows = np.asarray(model_input, dtype=float)
        return [float(total) for total in self.pool.map(np.sum, rows)]

mlflow.models.set_model(Model())
"""
FEATURES, KINDS = load_iris(return_X_y=True, as_frame=True)


def _saved(flavour: Any, model: Any, folder: Path, **options: Any) -> list[Any]:
    from mlflow.models import infer_signature

    answers = np.asarray(model.predict(FEATURES))
    flavour.save_model(
        model,
        folder,
        signature=infer_signature(FEATURES, answers),
        input_example=FEATURES.head(2),
        **options,
    )
    return answers.tolist()


def _forest(folder: Path) -> list[Any]:
    import mlflow.sklearn
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(10, random_state=0).fit(FEATURES, KINDS)
    return _saved(mlflow.sklearn, model, folder, serialization_format="cloudpickle")


def _histogram(folder: Path) -> list[Any]:
    import mlflow.sklearn
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(FEATURES, KINDS)
    return _saved(mlflow.sklearn, model, folder, serialization_format="cloudpickle")


def _xgboost(folder: Path) -> list[Any]:
    import mlflow.xgboost
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=20, n_jobs=2, random_state=0).fit(FEATURES, KINDS)
    return _saved(mlflow.xgboost, model, folder)


def _lightgbm(folder: Path) -> list[Any]:
    import mlflow.lightgbm
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(n_estimators=20, random_state=0, verbose=-1).fit(FEATURES, KINDS)
    return _saved(mlflow.lightgbm, model, folder)


def _torch(folder: Path) -> list[Any]:
    import mlflow.pytorch
    import torch

    torch.manual_seed(0)
    # wide enough that the matrix products are worth several threads
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 3)
    ).eval()
    rows = FEATURES.to_numpy(dtype=np.float32)
    with torch.no_grad():
        answers = model(torch.from_numpy(rows)).numpy()
    mlflow.pytorch.save_model(
        model,
        folder,
        signature=mlflow.models.infer_signature(rows, answers),
        input_example=rows[:2],
        serialization_format="pickle",
    )
    return [row.tolist() for row in answers]


def _threaded(folder: Path) -> list[Any]:
    import mlflow.pyfunc

    script = folder.with_suffix(".py")
    script.write_text(THREADED)
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(script),
        input_example=FEATURES.head(2),
        pip_requirements=["mlflow", "pandas"],
    )
    return FEATURES.to_numpy().sum(axis=1).tolist()


MODELS: dict[str, Callable[[Path], list[Any]]] = {
    "forest": _forest,
    "histogram": _histogram,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "torch": _torch,
    "threaded": _threaded,
}


def save(name: str, folder: Path) -> list[Any]:
    """Save the model in ``folder``; returns its answers to all rows of ``FEATURES``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MODELS[name](folder)


def request(name: str, first: int, last: int) -> dict[str, Any]:
    """A request for these rows."""
    rows = FEATURES.iloc[first:last]
    if name == "torch":
        return {"inputs": rows.to_numpy().tolist()}
    return {"dataframe_split": {"columns": list(FEATURES.columns), "data": rows.values.tolist()}}
