from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_serving.runtime.samples import single_rows


@pytest.mark.parametrize(
    "example",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, "x"], [2.5, "y"]]}},
        {"dataframe_records": [{"a": 1.5, "b": "x"}, {"a": 2.5, "b": "y"}]},
        {"instances": [[1.5, 2], [2.5, 3]]},
        {"inputs": [{"a": [1, 2]}, {"a": [3, 4]}]},
    ],
    ids=lambda example: next(iter(example)),
)
def test_rows_of_an_example_come_first_and_others_are_like_them(example: dict[str, Any]):
    found = [json.loads(body) for body in single_rows(json.dumps(example).encode(), None, 12)]
    (key,) = example

    def rows(body: Any) -> list[Any]:
        return body[key]["data"] if key == "dataframe_split" else body[key]

    assert [rows(body) for body in found[:2]] == [[row] for row in rows(example)]
    assert len(found) == 12
    assert all(len(rows(body)) == 1 for body in found)
    assert len({json.dumps(body) for body in found}) > 4
    kinds = {json.dumps(_kinds(rows(body)[0])) for body in found}
    assert len(kinds) == 1


def _kinds(value: Any) -> Any:
    if isinstance(value, list):
        return [_kinds(item) for item in value]
    if isinstance(value, dict):
        return {key: _kinds(item) for key, item in value.items()}
    return type(value).__name__


def test_without_an_example_the_signature_says_what_a_row_is():
    import numpy as np
    from mlflow.types import ColSpec, Schema, TensorSpec

    columns = Schema([ColSpec("double", "a"), ColSpec("long", "b"), ColSpec("string", "c")])
    body = json.loads(single_rows(None, columns, 3)[0])
    assert body["dataframe_split"]["columns"] == ["a", "b", "c"]
    assert _kinds(body["dataframe_split"]["data"]) == [["float", "int", "str"]]
    tensor = Schema([TensorSpec(np.dtype("float32"), (-1, 2, 2))])
    assert _kinds(json.loads(single_rows(None, tensor, 1)[0])["instances"]) == [[["float"] * 2] * 2]


@pytest.mark.parametrize("example", [None, b"{", b"[]", b'{"inputs": {"a": 1}}', b'{"inputs": []}'])
def test_nothing_is_made_up(example: bytes | None):
    assert single_rows(example, None, 5) == []
