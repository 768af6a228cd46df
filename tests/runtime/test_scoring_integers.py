from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from jupyter_serving.runtime.integers import Fraction, Integers

MIXED = Integers(
    Schema([ColSpec("double", "d"), ColSpec("long", "n"), ColSpec("integer", "k", required=False)])
)
ONE = Integers(Schema([ColSpec("long", "n")]))
UNNAMED = Integers(Schema([ColSpec(DataType.double), ColSpec(DataType.long)]))
TENSOR = Integers(Schema([TensorSpec(np.dtype("int32"), (-1, 2))]))
TENSORS = Integers(
    Schema([TensorSpec(np.dtype("uint8"), (-1,), "i"), TensorSpec(np.dtype("float32"), (-1,), "x")])
)
ROW = {"d": 0.5, "n": 1, "k": 2}


@pytest.mark.parametrize(
    ("integers", "body", "expected"),
    [
        (MIXED, {"dataframe_records": [ROW, {**ROW, "n": 1.5}]}, ("n", 1, 1.5, "long")),
        (MIXED, {"instances": [ROW, {**ROW, "k": -0.5}]}, ("k", 1, -0.5, "integer")),
        (MIXED, {"inputs": [{**ROW, "k": 1e-300}]}, ("k", 0, 1e-300, "integer")),
        (MIXED, {"inputs": {"n": [1, 2, 2.5]}}, ("n", 2, 2.5, "long")),
        (MIXED, {"inputs": {"n": 2.5}}, ("n", 0, 2.5, "long")),
        (
            MIXED,
            {"dataframe_split": {"columns": ["k", "d", "n"], "data": [[1, 0.5, 1], [1, 0.5, 0.1]]}},
            ("n", 1, 0.1, "long"),
        ),
        (ONE, {"inputs": [1, 2.5]}, ("n", 1, 2.5, "long")),
        (ONE, {"instances": [1.5]}, ("n", 0, 1.5, "long")),
        (UNNAMED, {"dataframe_split": {"data": [[0.5, 1.5]]}}, (None, 0, 1.5, "long")),
        (UNNAMED, {"dataframe_records": [{"a": 0.5, "b": 1.5}]}, (None, 0, 1.5, "long")),
        (TENSOR, {"inputs": [[1, 2], [3, 4.5]]}, (None, 1, 4.5, "int32")),
        (TENSORS, {"instances": [{"i": 0.5, "x": 0.5}]}, ("i", 0, 0.5, "uint8")),
        (TENSORS, {"dataframe_records": [{"i": [1, [2.5]], "x": 0.5}]}, ("i", 0, 2.5, "uint8")),
    ],
)
def test_the_first_fraction_is_found(integers: Integers, body: Any, expected: Any):
    assert integers.in_json(body) == Fraction(*expected)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [ROW, {**ROW, "n": 2.0, "k": -3.0}]},
        {
            "dataframe_records": [
                {"n": float("inf")},
                {"n": float("nan")},
                {"n": "1.5"},
                {"n": None},
            ]
        },
        {"dataframe_split": {"columns": ["d"], "data": [[1.5]]}},
        {"dataframe_split": {"columns": "dnk", "data": [[1.5]]}},
        {"dataframe_split": {"columns": ["n"], "data": [[], 1.5, {"n": 1.5}]}},
        {"dataframe_split": {"columns": ["n"], "data": 1.5}},
        {"dataframe_split": [1.5]},
        {"dataframe_records": [1.5]},
        {"dataframe_records": []},
        {"inputs": [[1.5]]},
        {"inputs": 1.5},
        # MLflow refuses two formats, and reads none where the whole body is for the model
        {"inputs": {"n": [1.5]}, "instances": [ROW]},
        {"inputs": {"n": [1.5]}, "prompt": "x"},
        {"params": {"n": 1.5}},
        {},
        [1.5],
        1.5,
        None,
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_everything_else_is_left_to_mlflow(body: Any):
    assert MIXED.in_json(body) is None


def test_a_schema_without_integers_has_nothing_to_find():
    assert not Integers(None)
    assert not Integers(Schema([ColSpec("double", "d"), ColSpec("string", "s")]))
    assert MIXED and TENSOR


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("d,n,k\n0.5,1,2\n0.5,1,2.25\n", ("k", 1, 2.25, "integer")),
        ("k,n\n1,1e-3\n", ("n", 0, 0.001, "long")),
        ("n,d\n1.0,0.5\n", None),
        ("n\nx\n1.5\n", None),
        ("d\n1.5\n", None),
        ("", None),
        ('n,d\n1,"x', None),
    ],
)
def test_fractions_in_csv(text: str, expected: Any):
    assert MIXED.in_csv(text) == (expected and Fraction(*expected))


def test_the_sentence_says_what_where_and_what_to_do():
    text = Fraction("age", 3, 1.5, "long").sentence()
    assert text.startswith(
        "Invalid input. Column 'age' is of type long in the model's signature, but row 3 has 1.5:"
    )
    assert "Send whole numbers" in text
    assert Fraction(None, 0, 1.5, "int64").sentence().startswith("Invalid input. The input is of")
