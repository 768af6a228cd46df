from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Map, ParamSchema, ParamSpec

from jupyter_serving.registry.describe import Description, describe
from jupyter_serving.registry.log import Logged
from jupyter_serving.registry.reference import parse
from jupyter_serving.registry.resolve import resolve
from jupyter_serving.registry.signature import Signature, signature, v2

FLAVOURS = {"python_function": {"loader_module": "m"}}


def described(directory: Path, declared: ModelSignature | None, **more: Any) -> Description:
    """A model directory whose MLmodel file is written by MLflow."""
    Model(signature=declared, flavors=FLAVOURS).save(str(directory / "MLmodel"))
    whole = yaml.safe_load((directory / "MLmodel").read_text()) | more
    (directory / "MLmodel").write_text(yaml.safe_dump(whole))
    return describe(directory)


def read(directory: Path, declared: ModelSignature) -> Signature:
    found = signature(described(directory, declared))
    assert found is not None
    return found


def metadata(directory: Path, declared: ModelSignature) -> dict[str, Any]:
    found = v2(described(directory, declared))
    assert found is not None
    return found


def tensor(name: str, datatype: str, shape: list[int], content_type: str) -> dict[str, Any]:
    parameters = {"content_type": content_type}
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}


def test_a_logged_model_has_its_columns_and_its_platform(iris: list[Logged]) -> None:
    source = resolve(parse("iris/1"), iris[0].registry).source
    description = describe(Path(source.removeprefix("file://")))
    found = signature(description)
    assert found is not None
    assert not found.tensors
    assert [field.type for field in found.inputs] == ["double"] * 4
    told = v2(description)
    assert told is not None
    assert told["platform"] == "mlflow_sklearn"
    assert told["inputs"][0] == tensor("sepal length (cm)", "FP64", [-1, 1], "np")
    assert told["outputs"] == [tensor("output-1", "INT64", [-1, 1], "np")]


def test_every_type_of_column(tmp_path: Path) -> None:
    words = ["boolean", "integer", "long", "float", "double", "string", "datetime", "binary"]
    schema = Schema([ColSpec(word, word, required=word != "long") for word in words])
    more = Schema([ColSpec(Array("double"), "v"), ColSpec(AnyType(), "any", required=False)])
    declared = ModelSignature(Schema([*schema.inputs, *more.inputs]), schema)
    found = read(tmp_path, declared)
    assert found.named
    assert [field.name for field in found.inputs if not field.required] == ["long", "any"]
    told = metadata(tmp_path, declared)
    assert [t["datatype"] for t in told["outputs"]] == [
        *("BOOL", "INT32", "INT64", "FP32", "FP64"),
        *("BYTES", "BYTES", "BYTES"),
    ]
    kinds = [t["parameters"]["content_type"] for t in told["inputs"]]
    assert kinds == [*["np"] * 5, "str", "datetime", "base64", "pd_json", "pd_json"]
    assert told["platform"] == "mlflow_python_function"


def test_tensors_have_their_shapes(tmp_path: Path) -> None:
    named = Schema(
        [
            TensorSpec(np.dtype("float16"), (-1, 28, 28), "image"),
            TensorSpec(np.dtype("uint8"), (3, -1), "mask"),
            TensorSpec(np.dtype("str"), (-1,), "text"),
            TensorSpec(np.dtype("datetime64[ns]"), (-1, 2), "times"),
        ]
    )
    alone = Schema([TensorSpec(np.dtype("bool"), (-1,))])
    declared = ModelSignature(named, alone)
    assert read(tmp_path, declared).tensors
    assert metadata(tmp_path, declared)["inputs"] == [
        tensor("image", "FP16", [-1, 28, 28], "np"),
        tensor("mask", "UINT8", [3, -1], "np"),
        tensor("text", "BYTES", [-1, 1], "np"),
        tensor("times", "BYTES", [-1, 2], "np"),
    ]
    assert metadata(tmp_path, declared)["outputs"] == [tensor("output-1", "BOOL", [-1, 1], "np")]
    lone = ModelSignature(alone)
    assert not read(tmp_path, lone).named
    assert metadata(tmp_path, lone)["inputs"][0]["name"] == "input-0"
    assert metadata(tmp_path, lone)["outputs"] == []


def test_params_have_defaults_and_shapes(tmp_path: Path) -> None:
    params = ParamSchema(
        [
            ParamSpec("by", "double", 1.5),
            ParamSpec("stops", "string", ["a"], (-1,)),
        ]
    )
    declared = ModelSignature(Schema([ColSpec("string")]), None, params)
    by, stops = read(tmp_path, declared).params
    assert (by.name, by.type, by.default, by.shape) == ("by", "double", 1.5, None)
    assert (stops.name, stops.type, stops.default, stops.shape) == ("stops", "string", ["a"], (-1,))


def test_what_mlflow_infers_is_read(tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": [1.5], "o": [{"x": 1}], "t": pd.to_datetime(["2020-01-02"])})
    found = read(tmp_path, infer_signature(rows, pd.Series([1.0]), {"p": 1}))
    assert [(field.name, field.type) for field in found.inputs] == [
        ("a", "double"),
        ("o", "object"),
        ("t", "datetime"),
    ]
    assert found.inputs[1].spec["properties"]["x"]["type"] == "long"
    assert [(field.name, field.type) for field in found.outputs] == [("", "double")]
    assert [param.name for param in found.params] == ["p"]


def test_without_a_signature_there_is_nothing_to_tell(tmp_path: Path) -> None:
    description = described(tmp_path, None)
    assert signature(description) is None
    assert v2(description) is None


def test_a_signature_of_type_hints_is_known(tmp_path: Path) -> None:
    declared = ModelSignature(Schema([ColSpec(Map("string"))]))
    description = described(tmp_path, declared, is_signature_from_type_hint=True)
    found = signature(description)
    assert found is not None
    assert found.hinted
    assert not read(tmp_path, declared).hinted


@pytest.mark.parametrize(("word", "value"), [("optional", True), ("required", False)])
def test_the_older_word_for_optional_is_understood(tmp_path: Path, word: str, value: bool) -> None:
    columns = json.dumps([{"name": "a", "type": "long", word: value}, {"name": 1, "type": "long"}])
    declared = {"inputs": columns}
    description = described(tmp_path, None, signature=declared)
    found = signature(description)
    assert found is not None
    assert [(field.name, field.required) for field in found.inputs] == [("a", False), ("1", True)]
