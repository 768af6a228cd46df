"""Saves the models of these tests; a script, since it also runs in an environment with MLflow 2.

``python models.py FOLDER`` leaves one directory per model. Classes of a script are pickled by value, so that no server
has to import this file.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema, TensorSpec

IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
MIXED = [("d", "double"), ("n", "long"), ("k", "integer")]
PLAIN = [
    *(("d", "double"), ("f", "float"), ("n", "long"), ("k", "integer")),
    *(("b", "boolean"), ("s", "string")),
]
OPTIONAL = [("d", "double", True), ("s", "string", False), ("n", "double", False)]


class Echo(PythonModel):
    def predict(self, context: Any, model_input, params: Any = None) -> Any:
        return model_input


class Doubles(PythonModel):
    def predict(self, context: Any, model_input, params: Any = None) -> Any:
        return model_input * 2


class Params(PythonModel):
    def predict(self, context: Any, model_input, params: Any = None) -> Any:
        return [[type(each).__name__, each] for each in (params or {}).values()]


class Describes(PythonModel):
    """Tells what it was given: for models without a signature, and those of the unified LLM format."""

    def predict(self, context: Any, model_input, params: Any = None) -> Any:
        given = (
            model_input.to_dict("list") if isinstance(model_input, pd.DataFrame) else model_input
        )
        if isinstance(given, dict):
            given = {str(name): repr(value) for name, value in given.items()}
        return {"type": type(model_input).__name__, "given": given, "params": params}


class Dtypes(PythonModel):
    """Tells the types of its columns, and their values as text."""

    def predict(self, context: Any, model_input, params: Any = None) -> Any:
        return {
            name: [str(column.dtype), [repr(value) for value in column]]
            for name, column in model_input.items()
        }


class Tensors(PythonModel):
    def predict(self, context: Any, model_input, params: Any = None) -> Any:
        if isinstance(model_input, dict):
            return {name: [str(v.dtype), v.tolist()] for name, v in model_input.items()}
        return [str(model_input.dtype), model_input.tolist()]


class Hinted(PythonModel):
    def predict(self, model_input: list[dict[str, int]]) -> list[int]:
        return [sum(row.values()) for row in model_input]


class Results(PythonModel):
    """Each row's ``want`` names what to return; the first one counts."""

    def predict(self, context: Any, model_input, params: Any = None) -> Any:
        want = model_input["want"].iloc[0]
        results = {
            "series": lambda: pd.Series([1.5, 2.5]),
            "named": lambda: pd.Series([1, 2], name="x"),
            "series32": lambda: pd.Series(np.array([0.1, 0.2], "float32")),
            "frame": lambda: pd.DataFrame({"a": [1, 2], "b": [0.1, None], "c": ["x", None]}),
            "frame32": lambda: pd.DataFrame(np.array([[0.1, 0.2]], "float32")),
            "twice": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
            "numbered": lambda: pd.DataFrame({2: [True, False], 7: [1, 2]}),
            "times": lambda: pd.DataFrame({"t": pd.to_datetime(["2020-01-02 03:04:05.678"])}),
            "category": lambda: pd.DataFrame({"c": pd.Categorical(["x", "y"])}),
            "nullable": lambda: pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}),
            "objects": lambda: pd.DataFrame({"o": [[1, {"x": np.float64(0.1)}], None]}),
            "empty": lambda: pd.DataFrame({"a": []}),
            "int8": lambda: np.array([[1, -1]], "int8"),
            "uint64": lambda: np.array([2**64 - 1], "uint64"),
            "float16": lambda: np.array([0.1], "float16"),
            "bools": lambda: np.array([True, False]),
            "texts": lambda: np.array(["ä", "b"]),
            "bytes": lambda: np.array([b"a", b"bc"]),
            "scalar": lambda: np.float32(0.1),
            "zero": lambda: np.array(3.5),
            "mixed": lambda: [1, 1.0, True, None, "x", {"y": [2]}, (3, 4)],
            "numpy": lambda: [np.float64(0.1), np.int32(3), np.bool_(True), np.array([1.5])],
            "big": lambda: [2**70, -(2**63), 1e308, 5e-324, -0.0],
            "keys": lambda: {1: "a", "b": {None: 2, True: 3, 1.5: 4}},
            "half": lambda: ["\ud800"],
            "nothing": lambda: None,
            "nan": lambda: np.array([np.nan, np.inf, -np.inf, 1.0]),
            "set": lambda: {1, 2},
            "deep": lambda: [[[[1]]]],
            "raise": lambda: [][1],
            "mlflow": lambda: mlflow.get_registry_uri(1, 2, 3),
        }
        return results[want]()


def schema(columns: list[Any]) -> ModelSignature:
    specs = [ColSpec(kind, name, *rest) for name, kind, *rest in columns]
    return ModelSignature(inputs=Schema(specs))


def frame(columns: list[tuple[str, str]]) -> pd.DataFrame:
    types = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32"}
    values = {"boolean": [True, False], "string": ["a", "b"]}
    return pd.DataFrame(
        {
            name: pd.Series(values.get(kind, [1, 2])).astype(
                types.get(kind, "object" if kind == "string" else "bool")
            )
            for name, kind in columns
        }
    )


class Saver:
    """Saves models into a folder, each with two rows as its example unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pyfunc(self, name: str, model: Any, signature: Any = None, example: Any = None) -> None:
        mlflow.pyfunc.save_model(
            str(self.folder / name),
            python_model=model,
            signature=signature,
            input_example=example,
            pip_requirements=["mlflow"],
        )

    def estimator(self, module: Any, name: str, model: Any, features: Any, target: Any) -> None:
        model.fit(features, target)
        kept = {"serialization_format": "cloudpickle"} if module is sklearn_flavour() else {}
        module.save_model(
            model,
            str(self.folder / name),
            signature=infer_signature(features, model.predict(features)),
            input_example=features[:2],
            pip_requirements=["mlflow"],
            **kept,
        )


def sklearn_flavour() -> Any:
    import mlflow.sklearn

    return mlflow.sklearn


def estimators(save: Saver) -> None:
    import mlflow.sklearn
    from sklearn.compose import make_column_transformer
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    features, target = load_iris(return_X_y=True, as_frame=True)
    forest = RandomForestClassifier(5, random_state=0)
    save.estimator(mlflow.sklearn, "forest", forest, features, target)
    line = make_pipeline(StandardScaler(), LinearRegression())
    save.estimator(mlflow.sklearn, "line", line, features[IRIS[:3]], features[IRIS[3]])
    table = pd.DataFrame({"d": np.linspace(0.1, 9.7, 20), "n": range(20), "k": range(20)})
    table = table.astype({"k": "int32"})
    save.estimator(mlflow.sklearn, "mixed", LinearRegression(), table, table.d * 1.7 + table.n)
    table = pd.DataFrame({"city": ["a", "b", "c", "d"] * 5, "d": np.linspace(0.1, 9.7, 20)})
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    city = make_pipeline(encoder, LinearRegression())
    save.estimator(mlflow.sklearn, "city", city, table, table.d * 1.7)
    array = features.to_numpy()
    save.estimator(mlflow.sklearn, "array", LinearRegression(), array, target)


def boosters(save: Saver) -> None:
    try:
        import lightgbm
        import mlflow.lightgbm
        import mlflow.xgboost
        import xgboost
    except ImportError:  # the environment with MLflow 2 is a light one
        return
    from sklearn.datasets import load_iris

    features, target = load_iris(return_X_y=True, as_frame=True)
    for name, model in (
        ("boost", xgboost.XGBClassifier(n_estimators=3)),
        ("boost_line", xgboost.XGBRegressor(n_estimators=3)),
    ):
        save.estimator(mlflow.xgboost, name, model, features, target)
    light = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1)
    save.estimator(mlflow.lightgbm, "light", light, features, target)
    booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(features, target), 3)
    mlflow.xgboost.save_model(
        booster,
        str(save.folder / "booster"),
        signature=infer_signature(features, target * 1.0),
        input_example=features[:2],
        pip_requirements=["mlflow"],
    )


def pyfuncs(save: Saver) -> None:
    example = frame(PLAIN)
    save.pyfunc("echo", Echo(), schema(PLAIN), example)
    save.pyfunc("doubles", Doubles(), infer_signature(example[["d"]]), example[["d"]])
    save.pyfunc("dtypes", Dtypes(), schema(PLAIN), example)
    params = {"t": 0.5, "n": 3, "s": "q", "b": True, "l": [1, 2]}
    signature = infer_signature(example[["d"]], None, params)
    save.pyfunc("params", Params(), signature, example[["d"]])
    save.pyfunc("hinted", Hinted(), None, [{"a": 1}, {"b": 2}])
    save.pyfunc("describes", Describes())
    save.pyfunc("results", Results(), schema([("want", "string")]))
    save.pyfunc("optional", Dtypes(), schema(OPTIONAL), pd.DataFrame({"d": [1.5], "s": ["x"]}))
    save.pyfunc("times", Dtypes(), schema([("t", "datetime")]))
    save.pyfunc("binary", Dtypes(), schema([("b", "binary")]))
    unnamed = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
    save.pyfunc("tensor", Tensors(), ModelSignature(inputs=unnamed))
    named = Schema(
        [TensorSpec(np.dtype("int64"), (-1,), "i"), TensorSpec(np.dtype("float64"), (-1, 2), "x")]
    )
    save.pyfunc("tensors", Tensors(), ModelSignature(inputs=named))


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    save = Saver(folder)
    estimators(save)
    boosters(save)
    pyfuncs(save)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
