from __future__ import annotations

import datetime
import decimal
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.errors import InvalidParameter
from jupyter_serving.payload import Predictions, encode, reason, server_timing


def sent(data: Any, **options: Any) -> Any:
    return json.loads(encode(data, **options))


def test_a_data_frame_keeps_columns_order_and_missing_values() -> None:
    frame = pd.DataFrame(
        {"b": [1.5, math.nan], "a": ["x", None], "when": pd.to_datetime(["2024-01-02", None])}
    )
    assert sent(frame) == {
        "dataframe_split": {
            "columns": ["b", "a", "when"],
            "data": [[1.5, "x", "2024-01-02T00:00:00"], [None, None, None]],
        }
    }


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_floats_arrive_exactly(values: list[float]) -> None:
    assert [
        row[0] for row in sent(pd.DataFrame({"x": values}))["dataframe_split"]["data"]
    ] == values


def test_a_frame_with_twice_the_same_column_or_none_is_sent() -> None:
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert sent(twice)["dataframe_split"] == {"columns": ["a", "a"], "data": [[1, 2]]}
    assert sent(pd.DataFrame(index=[0, 1]))["dataframe_split"] == {"columns": [], "data": [[], []]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (decimal.Decimal("1.5"), 1.5),
        (b"\0\1", "AAE="),
        (pd.Timedelta(seconds=90), 90.0),
    ],
)
def test_values_without_a_json_form_get_one(value: Any, expected: Any) -> None:
    assert sent({"inputs": [value]}) == {"inputs": [expected]}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"dataframe_records": [{"a": 1}]}, {"dataframe_records": [{"a": 1}]}),
        ({"a": 1, "b": "x"}, {"dataframe_records": [{"a": 1, "b": "x"}]}),
        ({"a": [1, 2]}, {"inputs": {"a": [1, 2]}}),
        ([{"a": 1}], {"dataframe_records": [{"a": 1}]}),
        ([[1, 2]], {"inputs": [[1, 2]]}),
        (np.zeros((1, 2)), {"inputs": [[0.0, 0.0]]}),
        (pd.Series([1, 2], name="x"), {"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}),
        (
            pd.Series({"a": 1, "b": 2}),
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}},
        ),
    ],
    ids=["protocol", "record", "columns", "records", "list", "array", "column", "row"],
)
def test_each_kind_of_data_has_its_form(data: Any, expected: Any) -> None:
    assert sent(data) == expected


def test_parameters_go_beside_the_data() -> None:
    assert sent([1], params={"k": 2}) == {"inputs": [1], "params": {"k": 2}}


@pytest.mark.parametrize(
    "data", [pd.DataFrame({"x": [math.inf]}), [math.nan], {"inputs": object()}]
)
def test_what_json_cannot_carry_is_told(data: Any) -> None:
    with pytest.raises(InvalidParameter):
        encode(data)


def test_server_timing_is_read_and_foreign_entries_are_left() -> None:
    header = 'queue;dur=1.5, cold;dur=0, cache;desc="x", predict;dur=2;desc=y, odd;dur=z'
    assert server_timing(header) == {"queue": 1.5, "cold": 0.0, "predict": 2.0}
    assert server_timing("") == {}


ROWS = "   sepal  petal\n0    5.1    1.4\n1  it's '. \nError: 2"
SCHEMA = "['sepal': double (required), 'petal': double (required)]"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            f"Failed to predict data '{ROWS}'. \nError: Failed to enforce schema of data '{ROWS}' "
            f"with schema '{SCHEMA}'. Error: Model is missing inputs ['petal'].",
            "Model is missing inputs ['petal']. The model's inputs are "
            "'sepal': double (required), 'petal': double (required).",
        ),
        (f"Failed to predict data '{ROWS}'. \nError: negative values", "negative values."),
        ("The endpoint is stopped.", "The endpoint is stopped."),
    ],
)
def test_the_reason_of_a_refusal_comes_without_the_data(message: str, expected: str) -> None:
    assert reason(message) == expected


def test_predictions_align_with_what_was_sent() -> None:
    index = pd.Index(["p", "q"])
    answer = Predictions("iris", [1, 2], {"total": 3.0}, "id", "iris-3", index)
    assert answer.frame().equals(pd.DataFrame({"prediction": [1, 2]}, index=index))
    assert (list(answer), len(answer), answer[0], answer.version) == ([1, 2], 2, 1, "3")
    assert np.asarray(answer).tolist() == [1, 2]
    assert repr(answer).startswith("2 predictions from iris (iris-3): total 3.0 ms\n[1, 2]")


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        ([{"a": 1}, {"a": 2}], pd.DataFrame({"a": [1, 2]})),
        ([[1, 2], [3, 4]], pd.DataFrame([[1, 2], [3, 4]])),
        ({"a": [1, 2]}, pd.DataFrame({"a": [1, 2]})),
        (7, pd.DataFrame({"prediction": [7]})),
    ],
)
def test_any_shape_of_predictions_becomes_a_frame(predictions: Any, expected: pd.DataFrame) -> None:
    assert Predictions("e", predictions).frame().equals(expected)


def test_many_predictions_are_shown_short() -> None:
    assert len(repr(Predictions("e", list(range(100_000))))) < 300


def test_predictions_show_themselves_with_their_index_escaped() -> None:
    index = pd.Index(["<p>", "q"])
    html = Predictions("iris", [{"a": "<b>"}, {"a": 2}], index=index)._repr_mimebundle_()[
        "text/html"
    ]
    assert "&lt;p&gt;" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    many = Predictions("iris", list(range(1000)))._repr_mimebundle_()["text/html"]
    assert "… and 990 more" in many
    assert "prediction" in Predictions("iris", [])._repr_mimebundle_()["text/html"]
