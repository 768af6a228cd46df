"""The first prediction of a model, before anyone waits for one: with its own input example, or with a row made up."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, NamedTuple, Optional

NOTHING, EXAMPLE, GENERATED = "nothing", "example", "generated"
# Their predict is a computation and nothing else; a user's own code is never asked with rows that were made up.
_PURE = frozenset({"mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost"})
_VALUES = {
    "boolean": False,
    "integer": 1,
    "long": 1,
    "float": 1.0,
    "double": 1.0,
    "string": "a",
}


class Sample(NamedTuple):
    """A request to try the model with; ``origin`` says where it is from. None where there is none to be had."""

    origin: str
    request: Optional[bytes]


def sample(model_dir: str, metadata: Any) -> Sample:
    """The model's own example, else a row of the signature for flavours that only compute, else nothing."""
    example = example_request(model_dir, metadata)
    if example is not None:
        return Sample(EXAMPLE, example)
    made_up = generated_request(metadata)
    return Sample(GENERATED if made_up else NOTHING, made_up)


def generated_request(metadata: Any) -> Optional[bytes]:
    """One row of plain values for a signature of named columns; None for other signatures and for a user's own code."""
    flavour = (getattr(metadata, "flavors", None) or {}).get("python_function", {})
    if flavour.get("loader_module") not in _PURE:
        return None
    schema = metadata.get_input_schema()
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    kinds = {item["name"]: str(item.get("type")) for item in schema.to_dict()}
    if not kinds or not set(kinds.values()) <= set(_VALUES):
        return None
    row = {name: _VALUES[kind] for name, kind in kinds.items()}
    return json.dumps({"dataframe_records": [row]}).encode()


def example_request(model_dir: str, metadata: Any) -> Optional[bytes]:
    """A JSON request made from the example that was logged with the model; None when there is none to be had.

    MLflow from 2.14 stores the request itself (``serving_input_example.json``); before, only the example, as
    ``MLmodel``'s ``saved_input_example_info`` tells.
    """
    info: Dict[str, Any] = getattr(metadata, "saved_input_example_info", None) or {}
    serving = _read(model_dir, info.get("serving_input_path") or "serving_input_example.json")
    if serving is not None:
        return serving
    example = _read(model_dir, info.get("artifact_path") or "input_example.json")
    if example is None:
        return None
    try:
        return _as_request(json.loads(example), str(info.get("type", "")))
    except ValueError:
        return None


def _read(folder: str, name: str) -> Optional[bytes]:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()
    except OSError:
        return None


def _as_request(example: Any, kind: str) -> Optional[bytes]:
    if kind == "dataframe" and isinstance(example, dict) and "data" in example:
        return json.dumps({"dataframe_split": example}).encode()
    if isinstance(example, dict) and ("inputs" in example or "instances" in example):
        return json.dumps(example).encode()
    return None
