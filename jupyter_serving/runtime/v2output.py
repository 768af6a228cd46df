"""From what ``predict`` returned to a V2 answer, as MLServer maps it: columns, arrays and lists to named tensors."""

from __future__ import annotations

import base64
import datetime
import json
import math
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from .scoring import Scored, strict_json
from .tensors import BYTES, DATATYPES, Refused, Values, pack
from .v2request import Request

_LONE = "output-1"
_BINARY = "application/octet-stream"


class Output(NamedTuple):
    """One tensor of an answer; ``values`` are flat. In a list None is a missing value."""

    name: str
    datatype: str
    shape: List[int]
    values: Values
    content_type: str = ""


def answer(result: Any, request: Request, named: Dict[str, str]) -> Scored:
    """The answer with the outputs that the request asks for.

    Args:
        result: of ``predict``.
        request: says which outputs, and which of them in binary.
        named: the first fields of the answer.

    Raises:
        Refused: it asks for an output that there is not, or for missing values in binary.
        TypeError, ValueError: the result cannot be written.
    """
    content_type, outputs = outputs_of(result)
    chosen = _chosen(outputs, request)
    told: List[Dict[str, Any]] = []
    parts: List[bytes] = []
    for output, binary in chosen:
        entry: Dict[str, Any] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": output.shape,
        }
        if binary:
            parts.append(_packed(output))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            if output.content_type:
                entry["parameters"] = {"content_type": output.content_type}
            entry["data"] = _written(output)
        told.append(entry)
    parameters = {"parameters": {"content_type": content_type}} if content_type else {}
    text = json.dumps({**named, **parameters, "outputs": told}, allow_nan=False).encode()
    if not parts:
        return Scored(200, text)
    length = ("inference-header-content-length", str(len(text)))
    return Scored(200, b"".join([text, *parts]), _BINARY, (length,))


def _chosen(outputs: List[Output], request: Request) -> List[Tuple[Output, bool]]:
    every = bool(request.parameters.get("binary_data_output"))
    if not request.outputs:
        return [(output, every) for output in outputs]
    known = {output.name: output for output in outputs}
    for name, _ in request.outputs:
        if name not in known:
            names = ", ".join(repr(each) for each in known)
            raise Refused(f"The model has no output {name[:100]!r}. It has: {names}.")
    return [(known[name], bool(p.get("binary_data", every))) for name, p in request.outputs]


def _packed(output: Output) -> bytes:
    if isinstance(output.values, list) and any(value is None for value in output.values):
        raise Refused(
            f"The output {output.name!r} has missing values, which binary data cannot tell. Ask for it in JSON."
        )
    if output.content_type == "base64":
        return pack(BYTES, [_from_base64(value) for value in output.values])
    return pack(output.datatype, output.values)


def _written(output: Output) -> List[Any]:
    import numpy as np

    if isinstance(output.values, list):
        return output.values
    numbers: List[Any] = output.values.tolist()
    if output.values.dtype.kind != "f" or np.isfinite(output.values).all():
        return numbers
    return [number if math.isfinite(number) else None for number in numbers]


def outputs_of(result: Any) -> Tuple[str, List[Output]]:
    """Content type of the whole answer ("pd", "np", "dict", "str" or "") and its tensors."""
    import numpy as np
    import pandas as pd

    if isinstance(result, pd.DataFrame):
        names = [str(name) for name in result.columns]
        return "pd", [_series(name, result.iloc[:, place]) for place, name in enumerate(names)]
    if isinstance(result, pd.Series):  # MLflow's answer makes it a frame, too
        return "pd", [_series("0" if result.name is None else str(result.name), result)]
    if isinstance(result, np.ndarray):
        return "np", [_array(_LONE, result)]
    if isinstance(result, dict):
        return "dict", [_anything(str(name), value) for name, value in result.items()]
    output = _anything(_LONE, result)
    return "str" if output.content_type == "str" else "", [output]


def _anything(name: str, value: Any) -> Output:
    import numpy as np

    if isinstance(value, np.ndarray):
        return _array(name, value)
    if isinstance(value, (list, tuple)):
        return _list(name, list(value))
    return _elements(name, [value], [1, 1])


def _series(name: str, series: Any) -> Output:
    import numpy as np

    shape = [len(series), 1]
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        return _array(name, series.to_numpy())
    missing = series.isna().to_numpy()
    # Missing values have many forms in pandas, of which JSON knows one.
    values = [None if gone else value for value, gone in zip(series.tolist(), missing)]
    if series.dtype.kind == "f":
        return Output(name, "FP64", shape, np.array(values, dtype="float64"))
    return _elements(name, values, shape)


def _array(name: str, array: Any) -> Output:
    import numpy as np

    shape = _batched(array.shape)
    flat = array.reshape(-1)
    datatype = DATATYPES.get(flat.dtype.name)
    if datatype:
        return Output(name, datatype, shape, flat)
    if flat.dtype.kind == "f":  # wider than the protocol knows
        return Output(name, "FP64", shape, flat.astype("float64"))
    if flat.dtype.kind == "M":
        missing = np.isnat(flat)
        texts = [None if gone else str(t) for t, gone in zip(np.datetime_as_string(flat), missing)]
        return Output(name, BYTES, shape, texts, "datetime")
    return _elements(name, flat.tolist(), shape)


def _batched(shape: Sequence[int]) -> List[int]:
    """A shape of at least two dimensions: a lone one is the rows."""
    return [int(n) for n in shape] if len(shape) > 1 else [*(int(n) for n in shape), 1]


def _list(name: str, values: List[Any]) -> Output:
    """A regular nest of lists is an array; anything else is one element for each item."""
    shape, level = [len(values)], values
    try:
        while level and isinstance(level[0], list):
            shape.append(len(level[0]))
            level = _level(level)
    except Refused:
        shape = [len(values)]
    if len(shape) == 1:
        return _elements(name, values, _batched(shape))
    nested = _elements(name, level, shape)
    return nested if nested.content_type != "pd_json" else _elements(name, values, [len(values), 1])


def _level(level: List[Any]) -> List[Any]:
    """The items of lists of equal length; Refused where they are not."""
    if len({len(item) if isinstance(item, list) else -1 for item in level}) != 1:
        raise Refused("ragged")
    return [element for item in level for element in item]


def _elements(name: str, values: List[Any], shape: List[int]) -> Output:
    """A tensor of Python values: of one datatype where all are of one kind, else each as JSON text."""
    import numpy as np

    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if not kinds or kinds == {str}:
        return Output(name, BYTES, shape, values, "str")
    if kinds == {bool}:
        return Output(name, "BOOL", shape, _packable(values, "bool"))
    if kinds == {int} and all(v is None or -(2**63) <= v < 2**63 for v in values):
        return Output(name, "INT64", shape, _packable(values, "int64"))
    if kinds <= {int, float} and float in kinds:
        return Output(name, "FP64", shape, np.array(values, dtype="float64"))
    if kinds <= {bytes, bytearray}:
        return Output(name, BYTES, shape, [_to_base64(v) for v in values], "base64")
    if all(issubclass(kind, (datetime.date, datetime.time)) for kind in kinds):
        texts = [None if value is None else value.isoformat() for value in values]
        return Output(name, BYTES, shape, texts, "datetime")
    return Output(name, BYTES, shape, [_to_json(value) for value in values], "pd_json")


def _packable(values: List[Any], dtype: str) -> Values:
    import numpy as np

    return values if None in values else np.array(values, dtype=dtype)


def _to_json(value: Any) -> str:
    """JSON of one element, as MLflow's own answer would have it."""
    from mlflow.utils.proto_json_utils import NumpyEncoder

    return strict_json(json.dumps(value, cls=NumpyEncoder))


def _to_base64(value: Any) -> Any:
    return None if value is None else base64.b64encode(value).decode()


def _from_base64(value: str) -> bytes:
    return base64.b64decode(value)
