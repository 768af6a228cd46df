from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_serving.runtime.agreement import difference


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.0, np.nan]),
        np.array([[1, 2]]),
        np.array(["a"]),
        np.array([{"a": 1.0}], dtype=object),
        pd.Series([1.0, None]),
        pd.Series(["a", None], dtype="object"),
        pd.DataFrame({"a": [1.0], "b": ["x"]}),
        [{"a": [1, 2.0, None, "x"]}],
        (1, True),
        float("nan"),
        {"k": np.float32(1)},
    ],
    ids=repr,
)
def test_equal_results_agree(value: Any):
    assert difference(value, value) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([1.0]), np.array([1.0 + 1e-12])),
        (np.array([1.0], np.float32), np.array([1.0000001], np.float32)),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [1.0 + 1e-12]}, index=[7])),
        ([1.0], [1.0 + 1e-12]),
        (np.array([0.0]), np.array([1e-13])),
    ],
    ids=repr,
)
def test_last_bits_may_differ(one: Any, other: Any):
    assert difference(one, other) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([1.0]), np.array([1.0 + 1e-7])),
        (np.array([1.0], np.float32), np.array([1.0001], np.float32)),
        (np.array([1.0], np.float32), np.array([1.0])),
        (np.array([1]), np.array([2])),
        (np.array([1]), np.array([1.0])),
        (np.array([1]), np.array([[1]])),
        (np.array(["a"]), np.array(["b"])),
        (np.array([1.0]), np.array([np.nan])),
        (np.array([{"a": 1.0}], dtype=object), np.array([{"a": 2.0}], dtype=object)),
        (pd.Series(["a"]), pd.Series(["b"])),
        (pd.Series([1.0]), pd.Series([2.0])),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [1]})),
        (pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": ["y"]})),
        ([1], [1.0]),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 2}),
        (True, 1),
        (1.0, float("nan")),
        (None, 0),
    ],
    ids=repr,
)
def test_other_values_types_and_shapes_do_not(one: Any, other: Any):
    assert difference(one, other)
