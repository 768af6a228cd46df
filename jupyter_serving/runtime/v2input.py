"""From the tensors of a V2 request to what the model's ``predict`` takes, as the model's signature says.

What a tensor means is MLServer's mapping; what it becomes is MLflow's: its own cast of request data runs over the
columns, as it does over MLflow's JSON, and ``predict`` enforces the signature. Its casts to integers lose numbers
without a word; those are refused here.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Callable, Dict, List, Sequence, Tuple

from .tensors import BYTES, Refused, Tensor, Values
from .v2request import Request

_JSON = "pd_json"
_INTEGERS = {"integer": "int32", "long": "int64"}


def model_input(metadata: Any, request: Request) -> Any:
    """The ``data`` of ``predict``: a DataFrame, an array, a dictionary of arrays, or a list for a type-hinted model.

    Raises:
        Refused: the tensors do not fit the signature.
        MlflowException: MLflow cannot cast them to it.
    """
    schema = metadata.get_input_schema()
    hinted = getattr(metadata, "_is_signature_from_type_hint", None)
    if hinted is not None and hinted():
        return _elements(_only(request.inputs), schema)
    if schema is None:
        return _unsigned(request)
    if schema.is_tensor_spec():
        return _tensors(request.inputs, schema)
    return _frame(request, schema)


def _only(inputs: List[Tensor]) -> Tensor:
    if len(inputs) != 1:
        names = ", ".join(repr(tensor.name) for tensor in inputs)
        raise Refused(f"The model takes one input, but the request has {len(inputs)}: {names}.")
    return inputs[0]


# Column signatures


def _frame(request: Request, schema: Any) -> Any:
    import pandas as pd
    from mlflow.utils import proto_json_utils

    named = schema.has_input_names()
    if named and _is_matrix(request.inputs, schema):
        columns = _split(request.inputs[0], schema.input_names())
    elif request.content_type == "np":
        return _array(_only(request.inputs))
    else:
        columns = request.inputs
    specs = (
        dict(zip(schema.input_names(), schema.inputs))
        if named
        else dict(zip([tensor.name for tensor in columns], schema.inputs))
    )
    kinds = {name: _kind(spec.type) for name, spec in specs.items()}
    data = {tensor.name: _column(tensor, kinds.get(tensor.name, "")) for tensor in columns}
    _check_lengths(data)
    for name, values in data.items():
        _check_integers(name, values, _INTEGERS.get(kinds.get(name, ""), ""))
    return proto_json_utils.cast_df_types_according_to_schema(pd.DataFrame(data), schema)


def _kind(type_: Any) -> str:
    """MLflow's word for a column's type: "double", "string"; "array", "object", "map", "anytype" for nested ones."""
    return str(getattr(type_, "name", None) or type(type_).__name__).lower()


def _is_matrix(inputs: List[Tensor], schema: Any) -> bool:
    """True for one numeric input [rows, columns] that is no column itself: what scikit-learn's servers are sent."""
    tensor, names = inputs[0], schema.input_names()
    return (
        len(inputs) == 1
        and tensor.name not in names
        and tensor.datatype != BYTES
        and len(tensor.shape) == 2
        and tensor.shape[1] == len(names)
    )


def _split(tensor: Tensor, names: Sequence[str]) -> List[Tensor]:
    import numpy as np

    matrix = _array(tensor)
    return [
        tensor._replace(
            name=name, shape=(len(matrix),), values=np.ascontiguousarray(matrix[:, place])
        )
        for place, name in enumerate(names)
    ]


def _column(tensor: Tensor, kind: str) -> Values:
    """The values of one column, in the form in which MLflow's JSON would bring them."""
    shape = tensor.shape
    if not shape or (len(shape) > 1 and shape[1:] != (1,) and kind != "array"):
        raise Refused(
            f"The input {tensor.name!r} is a column: its shape must be [n] or [n, 1], not {list(shape)}."
        )
    if tensor.datatype == BYTES:
        return _texts(tensor, kind)
    if kind == "array" and len(shape) > 1:
        return list(_array(tensor).tolist())
    return tensor.values


def _texts(tensor: Tensor, kind: str) -> List[Any]:
    if kind in ("array", "object", "map") or tensor.content_type == _JSON:
        return _each(tensor, _from_json)
    if kind == "binary" and tensor.content_type != "base64":
        # Raw bytes can only come from a binary part. MLflow's cast wants what its JSON brings.
        return _each(tensor, lambda e: e if isinstance(e, str) else base64.b64encode(e).decode())
    return _each(tensor, _text)


def _each(tensor: Tensor, read: Callable[[Any], Any]) -> List[Any]:
    try:
        return [None if element is None else read(element) for element in tensor.values]
    except (ValueError, RecursionError) as error:
        raise Refused(
            f"An element of the input {tensor.name!r} cannot be read: {error}."
        ) from error


def _text(element: Any) -> str:
    return element if isinstance(element, str) else str(element, "utf-8")


def _from_json(element: Any) -> Any:
    return json.loads(_text(element))


def _check_lengths(data: Dict[str, Values]) -> None:
    lengths = {name: len(values) for name, values in data.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r}: {n}" for name, n in lengths.items())
        raise Refused(f"The inputs have different numbers of rows: {told}.")


def _check_integers(name: str, values: Values, target: str) -> None:
    """Refuse numbers that a cast to integers would change: a fraction is cut off, a large number wraps around."""
    import numpy as np

    if not target or not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        return
    limits = np.iinfo(target)
    low, high = int(limits.min), int(limits.max)
    if values.dtype.kind == "f":
        # The bound above is the first number that does not fit: it is a float, the last that fits may not be one.
        bad = (values != np.trunc(values)) | (values < float(low)) | (values >= float(high + 1))
    else:
        bad = np.array([low > number or number > high for number in _extremes(values)])
        values = np.array(_extremes(values))
    if bad.any():
        wrong = values[bad][0]
        raise Refused(
            f"The input {name!r} is {target} by the model's signature, which cannot hold {wrong}."
        )


def _extremes(values: Any) -> List[int]:
    return [int(values.min()), int(values.max())] if values.size else []


# Tensor signatures


def _tensors(inputs: List[Tensor], schema: Any) -> Any:
    if not schema.has_input_names():
        return _fitted(_only(inputs), schema.inputs[0])
    specs = dict(zip(schema.input_names(), schema.inputs))
    return {t.name: _fitted(t, specs[t.name]) if t.name in specs else _array(t) for t in inputs}


def _fitted(tensor: Tensor, spec: Any) -> Any:
    import numpy as np

    array, dtype = _array(tensor), np.dtype(spec.type)
    shape = tuple(spec.shape)
    if array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype == dtype:
        return array
    if dtype.kind in "iu":
        _check_integers(tensor.name, array.ravel(), dtype.name)
    try:
        return array.astype(dtype)
    except (ValueError, TypeError) as error:
        raise Refused(
            f"The input {tensor.name!r} is {dtype} by the model's signature, which cannot hold its {tensor.datatype} "
            f"data: {error}."
        ) from error


def _array(tensor: Tensor) -> Any:
    import numpy as np

    if tensor.datatype != BYTES:
        return np.asarray(tensor.values).reshape(tensor.shape)
    if tensor.content_type == "base64":
        values = _each(tensor, lambda e: base64.b64decode(e, validate=True))
    else:
        values = _each(tensor, _text)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(tensor.shape)


# No signature, or type hints


def _unsigned(request: Request) -> Any:
    import pandas as pd

    inputs = request.inputs
    if request.content_type == "np":
        return _array(_only(inputs))
    if request.content_type == "dict":
        return {tensor.name: _array(tensor) for tensor in inputs}
    if len(inputs) == 1 and request.content_type != "pd" and not _is_column(inputs[0].shape):
        return _array(inputs[0])
    data = {tensor.name: _declared(tensor) for tensor in inputs}
    _check_lengths(data)
    return pd.DataFrame(data)


def _is_column(shape: Tuple[int, ...]) -> bool:
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _declared(tensor: Tensor) -> Any:
    """A column without a signature: its content type says what BYTES are."""
    import pandas as pd

    values = _column(tensor, "")
    if tensor.datatype == BYTES and tensor.content_type == "base64":
        return _each(tensor, lambda e: base64.b64decode(e, validate=True))
    if tensor.datatype == BYTES and tensor.content_type == "datetime":
        return _each(tensor._replace(values=values), pd.Timestamp)
    return values


def _elements(tensor: Tensor, schema: Any) -> List[Any]:
    """What a type-hinted model's ``inputs`` would be in MLflow's JSON: a list of elements."""
    kind = _kind(schema.inputs[0].type) if schema is not None else ""
    if tensor.datatype == BYTES:
        return _texts(tensor, kind)
    shape = tensor.shape[:1] if _is_column(tensor.shape) else tensor.shape
    return list(_array(tensor._replace(shape=shape)).tolist())
