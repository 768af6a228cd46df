"""The request that was logged with a model as its input example, and the same rows in other forms."""

from __future__ import annotations

import json
from typing import Any

from .describe import Description
from .signature import Field, Signature

# A larger one makes an answer that nobody reads.
LARGEST = 64 * 1024

Json = dict[str, Any]


def read(description: Description) -> Json | None:
    """The example as a request of MLflow's protocol; None where there is none, or where it is too large to show."""
    path = description.serving_example
    try:
        if path is None or path.stat().st_size > LARGEST:
            return None
        # MLflow writes a missing number as a bare NaN, which is not JSON.
        example = json.loads(path.read_bytes(), parse_constant=lambda word: None)
    except (OSError, ValueError):
        return None
    return example if isinstance(example, dict) else None


def in_order(signature: Signature, example: Json) -> Json:
    """The example with the columns of a ``dataframe_split`` in the signature's order, others left out."""
    split = example.get("dataframe_split")
    if signature.tensors or not signature.named or not isinstance(split, dict):
        return example
    given, rows = split.get("columns"), split.get("data")
    if not isinstance(given, list) or not isinstance(rows, list):
        return example
    columns = [f.name for f in signature.inputs if f.name in given]
    places = [given.index(name) for name in columns]
    data = [[row[place] for place in places] for row in rows]
    return example | {"dataframe_split": {"columns": columns, "data": data}}


def as_v2(signature: Signature, example: Json) -> Json | None:
    """The example as a request of the Open Inference Protocol V2; None where its form has no plain counterpart."""
    inputs: list[Json] | None = None
    ordered = in_order(signature, example)
    if signature.tensors and not signature.named and isinstance(ordered.get("inputs"), list):
        inputs = [_tensor("input-0", signature.inputs[0].datatype, ordered["inputs"])]
    elif not signature.tensors and signature.named and "dataframe_split" in ordered:
        inputs = _columns(signature, ordered["dataframe_split"])
    if not inputs:
        return None
    params = ordered.get("params")
    return {"parameters": params, "inputs": inputs} if params else {"inputs": inputs}


def _columns(signature: Signature, split: Json) -> list[Json]:
    fields = {f.name: f for f in signature.inputs}
    return [
        _column(fields[name], [row[place] for row in split["data"]])
        for place, name in enumerate(split["columns"])
    ]


def _column(field: Field, data: list[Any]) -> Json:
    if field.content_type == "pd_json":
        data = [json.dumps(value) for value in data]
    tensor = _tensor(field.name, field.datatype, data)
    if field.datatype == "BYTES":
        tensor["parameters"] = {"content_type": field.content_type}
    return tensor


def _tensor(name: str, datatype: str, data: list[Any]) -> Json:
    shape, level = [len(data)], data
    while level and isinstance(level[0], list):
        level = level[0]
        shape.append(len(level))
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}
