"""Single-row requests like those that a model gets: its example's rows, rows like them, or made ones."""

from __future__ import annotations

import json
import random
from typing import Any, Callable, Dict, List, Optional, Tuple

_STRINGS = ("a", "b", "c")


def single_rows(example: Optional[bytes], schema: Any, count: int) -> List[bytes]:
    """Up to ``count`` JSON bodies with one row each; none where neither example nor signature say what a row is.

    Args:
        example: a request that MLflow stored with the model.
        schema: the signature's inputs (``mlflow.types.Schema``), None when the model has no signature.
        count: how many, the example's own rows first.
    """
    draw = random.Random(20)
    rows = _example_rows(example)
    if rows:
        wrap, found = rows
        found = found[: count // 2]
        known = len(found)
        while len(found) < count:
            found.append(_like(draw, found[len(found) % known]))
        return [wrap(row) for row in found]
    made = _of_schema(schema)
    if made is None:
        return []
    wrap, make = made
    return [wrap(make(draw)) for _ in range(count)]


Wrap = Callable[[Any], bytes]


def _example_rows(example: Optional[bytes]) -> Optional[Tuple[Wrap, List[Any]]]:
    try:
        fields = json.loads(example or b"null")
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    split = fields.get("dataframe_split")
    if isinstance(split, dict) and split.get("data"):
        columns = split.get("columns")
        named = {} if columns is None else {"columns": columns}
        return lambda row: _body("dataframe_split", {**named, "data": [row]}), list(split["data"])
    for key in ("dataframe_records", "instances", "inputs"):
        rows = fields.get(key)
        if isinstance(rows, list) and rows:
            return _wrapper(key), list(rows)
    return None


def _wrapper(key: str) -> Wrap:
    return lambda row: _body(key, [row])


def _body(key: str, value: Any) -> bytes:
    return json.dumps({key: value}).encode()


def _like(draw: random.Random, value: Any) -> Any:
    """A value of the same shape and type, not far away."""
    if isinstance(value, bool):
        return draw.random() < 0.5
    if isinstance(value, int):
        return value + draw.randint(-3, 3) if value > 3 else value + draw.randint(0, 3)
    if isinstance(value, float):
        return round(value * draw.uniform(0.5, 1.5) + draw.uniform(-0.1, 0.1), 4)
    if isinstance(value, list):
        return [_like(draw, item) for item in value]
    if isinstance(value, dict):
        return {key: _like(draw, item) for key, item in value.items()}
    return value


_MAKERS: Dict[str, Callable[[random.Random], Any]] = {
    "double": lambda draw: round(draw.uniform(-10, 10), 3),
    "float": lambda draw: draw.randint(-40, 40) / 4,
    "long": lambda draw: draw.randint(0, 20),
    "integer": lambda draw: draw.randint(0, 20),
    "boolean": lambda draw: draw.random() < 0.5,
    "string": lambda draw: draw.choice(_STRINGS),
    "datetime": lambda draw: (
        f"20{draw.randint(10, 30)}-0{draw.randint(1, 9)}-1{draw.randint(0, 9)}"
    ),
}


def _of_schema(schema: Any) -> Optional[Tuple[Wrap, Callable[[random.Random], Any]]]:
    if schema is None or not schema.inputs:
        return None
    if schema.is_tensor_spec():
        return _of_tensor(schema)
    makers = [_MAKERS.get(getattr(column.type, "name", "")) for column in schema.inputs]
    if not all(makers):
        return None
    names = schema.input_names() if schema.has_input_names() else None
    named = {} if names is None else {"columns": names}
    return (
        lambda row: _body("dataframe_split", {**named, "data": [row]}),
        lambda draw: [maker(draw) for maker in makers if maker is not None],
    )


def _of_tensor(schema: Any) -> Optional[Tuple[Wrap, Callable[[random.Random], Any]]]:
    if len(schema.inputs) != 1 or schema.has_input_names():
        return None
    tensor = schema.inputs[0]
    shape = tuple(tensor.shape)[1:]
    kind = "double" if tensor.type.kind == "f" else "long" if tensor.type.kind in "iu" else ""
    if not kind or any(size < 1 for size in shape):
        return None
    maker = _MAKERS[kind]

    def make(draw: random.Random, left: Tuple[int, ...] = shape) -> Any:
        return [make(draw, left[1:]) for _ in range(left[0])] if left else maker(draw)

    return _wrapper("instances"), make
