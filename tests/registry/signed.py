"""Models with signatures and input examples of every kind, saved by MLflow."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import ParamSchema, ParamSpec

SCRIPT = """
import mlflow
import numpy as np

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, {arguments}):
        {predict}

mlflow.models.set_model(Model())
"""
PLAIN = "context, model_input, params=None"

TABLE = pd.DataFrame(
    {
        "number": [1.5, 2.5],
        "count": [1, 2],
        "half": np.array([0.5, 0.25], dtype="float32"),
        "short": np.array([1, 2], dtype="int32"),
        "flag": [True, False],
        "text": ["a", "ü"],
        "time": pd.to_datetime(["2020-01-02T03:04:05", "2021-01-01T00:00:00"]),
        "raw": [b"\x00\xff", b"a"],
        "vector": [[1.0, 2.0], [3.0, 4.0]],
        "thing": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
    }
)
IMAGES = np.arange(8, dtype="float32").reshape(2, 2, 2)
# name: (arguments of predict, its code, signature, input example)
MODELS: dict[str, tuple[str, str, Any, Any]] = {
    "table": (
        PLAIN,
        "return model_input[['number', 'text']]",
        infer_signature(TABLE, TABLE[["number", "text"]]),
        TABLE,
    ),
    "params": (
        PLAIN,
        "return {'sum': (model_input['x'] + params['by']).to_numpy(), 'stops': params['stops']}",
        ModelSignature(
            Schema([ColSpec("double", "x")]),
            None,
            ParamSchema(
                [
                    ParamSpec("by", "double", 1.5),
                    ParamSpec("stops", "string", ["."], (-1,)),
                    ParamSpec("seed", "long", None),
                ]
            ),
        ),
        (pd.DataFrame({"x": [1.0]}), {"by": 2.0, "stops": ["a", "b"]}),
    ),
    "optional": (
        PLAIN,
        "return model_input.iloc[:, 0]",
        ModelSignature(
            Schema([ColSpec("string", "text", required=False), ColSpec("double", "x")]),
            Schema([ColSpec("string")]),
        ),
        pd.DataFrame({"x": [1.0, np.nan], "text": ["a", None]}),
    ),
    "tensor": (PLAIN, "return model_input * 2", infer_signature(IMAGES, IMAGES), IMAGES),
    "tensors": (
        PLAIN,
        "return {'mask': model_input['mask'], 'texts': model_input['texts']}",
        ModelSignature(
            Schema(
                [
                    TensorSpec(np.dtype("uint8"), (-1, 2), "mask"),
                    TensorSpec(np.dtype("str"), (-1,), "texts"),
                ]
            ),
            Schema(
                [
                    TensorSpec(np.dtype("uint8"), (-1, 2), "mask"),
                    TensorSpec(np.dtype("str"), (-1,), "texts"),
                ]
            ),
        ),
        {"mask": np.array([[1, 2], [3, 4]], dtype="uint8"), "texts": np.array(["a", "b"])},
    ),
    "hinted": ("model_input: list[str]", "return [t.upper() for t in model_input]", None, ["a"]),
    "list": (PLAIN, "return model_input.iloc[:, 0].tolist()", infer_signature(["a"], ["a"]), ["a"]),
    "chat": (
        PLAIN,
        "return {'said': [str(m) for m in model_input['messages'].iloc[0]]}",
        infer_signature({"messages": [{"role": "user", "content": "hello"}]}, {"said": ["a"]}),
        {"messages": [{"role": "user", "content": "hello"}]},
    ),
}


@cache
def save(folder: Path, name: str) -> Path:
    """Save a model of ``MODELS`` once; return its directory."""
    arguments, predict, signature, example = MODELS[name]
    script = folder / f"{name}.py"
    script.write_text(SCRIPT.format(arguments=arguments, predict=predict))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder / name,
            python_model=str(script),
            signature=signature,
            input_example=example,
            pip_requirements=[],
        )
    return folder / name
