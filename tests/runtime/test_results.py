from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_serving.runtime.results import Encoder

COUNTS = [1, 3, 2]
RESULTS: dict[str, Any] = {
    "floats": np.array([1.5, np.nan, 3.25, np.inf, 1e300, -0.0]),
    "small floats": np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.float32),
    "matrix": np.arange(12).reshape(6, 2),
    "classes": np.array(["a", "b", "c", "d", "e", "f"]),
    "objects": np.array(["a", None, 1, 2.5, {"x": 1}, [2]], dtype=object),
    "numbers": pd.DataFrame({"a": [1, 2, 3, 4, 5, 6], "b": [1, 2, 3, 4, 5, 6]}),
    "mixed columns": pd.DataFrame({"a": range(6), "b": list("abcdef"), "c": [0.5] * 6}),
    "times": pd.DataFrame({"t": pd.date_range("2026-01-01", periods=6)}),
    "one odd cell": pd.DataFrame({"a": ["x", "y", {"z": 1}, None, "u", "v"]}),
    "series": pd.Series([1.0, 2.0, 3.0, None, 5.0, 6.0], name="s"),
    "list": [1, "a", None, 2.5, {"b": [1]}, 2**70],
    "numpy in a list": [np.float64(1), np.int64(2), 3, 4, 5, 6],
}


@pytest.mark.parametrize("nan", ["null", "bare"])
@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_parts_are_what_each_request_would_get_alone(result: Any, nan: str):
    encoder = Encoder(nan)
    starts = [0, 1, 4]
    alone = [
        encoder.encode(encoder.cut(result, start, start + count))
        for start, count in zip(starts, COUNTS, strict=True)
    ]
    together = encoder.parts(result, COUNTS)
    assert list(map(_read, together)) == list(map(_read, alone))


def _read(body: bytes) -> str:
    """Parsed, with the types and digits of all values."""
    return repr(json.loads(body))


@pytest.mark.parametrize("result", [{"a": [1] * 6}, "abcdef", np.float64(1)], ids=repr)
def test_what_has_no_rows_is_never_cut(result: Any):
    with pytest.raises(TypeError, match="has no rows"):
        Encoder().parts(result, COUNTS)


@pytest.mark.parametrize("values", [[1, None], [1, 2]])
def test_nullable_whole_numbers_stay_whole(values: list[Any]) -> None:
    frame = pd.DataFrame({"i": pd.array(values, dtype="Int64")})
    assert json.loads(Encoder("null").encode(frame)) == {"predictions": [{"i": v} for v in values]}
    assert b"1.0" not in Encoder("null").encode(frame)
