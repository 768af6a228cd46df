"""JSON Schemas (draft 2020-12) of the requests and answers of MLflow's protocol, from a model's signature. Pure.

What MLflow accepts beyond them (extra columns, other spellings of a time) is left out: they say what to send.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .signature import Field, Param, Signature

Schema = dict[str, Any]

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# A request with one of these keys is not wrapped in a format: MLflow's unified form for language models.
UNWRAPPED = ("messages", "prompt", "input")
_SCALARS: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    # null is NaN, which JSON does not know
    "float": {"type": ["number", "null"], "format": "float"},
    "double": {"type": ["number", "null"], "format": "double"},
    "string": {"type": "string"},
    "datetime": {"type": "string", "description": "ISO 8601, without a time zone"},
    "binary": {"type": "string", "contentEncoding": "base64"},
}
_EXTRAS: dict[str, Schema] = {
    "client_request_id": {
        "type": "string",
        "description": "For the records; the model does not get it.",
    },
    "usage_context": {
        "type": "object",
        "description": "For the records; the model does not get it.",
    },
}


def request(signature: Signature) -> Schema:
    """One branch for each format; exactly one format key is allowed."""
    return {"oneOf": _branches(signature)}


def response(signature: Signature) -> Schema:
    """``{"predictions": ...}``, and the bare result where the request may be unwrapped."""
    wrapped = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": _predictions(signature.outputs)},
    }
    if not _unwrapped(signature):
        return wrapped
    return {
        "anyOf": [wrapped, {"description": "The result itself, to a request without a format key."}]
    }


def _branches(signature: Signature) -> list[Schema]:
    columns = signature.inputs
    if signature.hinted:
        formats = {"inputs": _list(_type(columns[0]))}
    elif signature.tensors:
        formats = _tensor_formats(signature)
    elif signature.named:
        formats = _column_formats(columns)
    else:
        formats = _unnamed_formats(columns)
    extras: dict[str, Any] = dict(_EXTRAS)
    if signature.params:
        extras["params"] = _params(signature.params)
    branches: list[Schema] = [
        {
            "title": key,
            "type": "object",
            "required": [key],
            "properties": {key: content, **extras},
        }
        for key, content in formats.items()
    ]
    words = _unwrapped(signature)
    if words:
        one_of = [{"required": [word]} for word in words]
        branches.append({"title": "unwrapped", **_record(columns), "anyOf": one_of})
    return branches


def _unwrapped(signature: Signature) -> list[str]:
    return [f.name for f in signature.inputs if f.name in UNWRAPPED and not signature.tensors]


# Columns


def _column_formats(columns: Sequence[Field]) -> dict[str, Schema]:
    record = _record(columns)
    arrays = {f.name: _list(_type(f)) for f in columns}
    by_column: Schema = {"type": "object", "properties": arrays, "required": _required(columns)}
    inputs = [by_column, _list(record)]
    if len(columns) == 1:
        inputs.append(_list(_type(columns[0])))
    return {
        "dataframe_split": _split(columns),
        "dataframe_records": _list(record),
        "instances": _list(record),
        "inputs": {"anyOf": inputs},
    }


def _unnamed_formats(columns: Sequence[Field]) -> dict[str, Schema]:
    rows = _list(_row(columns))
    values = _list(_type(columns[0])) if len(columns) == 1 else rows
    split = {"type": "object", "required": ["data"], "properties": {"data": rows}}
    return {"dataframe_split": split, "instances": values, "inputs": values}


def _split(columns: Sequence[Field]) -> Schema:
    names: Schema = {
        "type": "array",
        "items": {"enum": [f.name for f in columns]},
        "minItems": len(_required(columns)),
        "uniqueItems": True,
        "description": f"In this order. Required: {', '.join(_required(columns)) or 'none'}.",
    }
    properties = {"columns": names, "data": _list(_row(columns)), "index": {"type": "array"}}
    return {
        "type": "object",
        "required": ["columns", "data"],
        "properties": properties,
        "additionalProperties": False,
    }


def _row(columns: Sequence[Field]) -> Schema:
    return {"type": "array", "prefixItems": [_type(f) for f in columns]}


def _record(columns: Sequence[Field]) -> Schema:
    properties = {f.name: _type(f) for f in columns}
    return {"type": "object", "properties": properties, "required": _required(columns)}


def _required(columns: Sequence[Field]) -> list[str]:
    return [f.name for f in columns if f.required]


def _type(field: Field) -> Schema:
    schema = _nested(field.spec)
    missing = not field.required and schema.get("type") == "string"
    return schema | {"type": ["string", "null"]} if missing else schema


def _nested(spec: Mapping[str, Any]) -> Schema:
    """Schema of MLflow's JSON of a type: a scalar's word, ``array``, ``object``, ``map`` or ``any``."""
    match spec.get("type"):
        case "array":
            return _list(_nested(spec.get("items") or {}))
        case "object":
            fields = spec.get("properties") or {}
            properties = {str(name): _nested(inner) for name, inner in fields.items()}
            required = [str(name) for name, inner in fields.items() if inner.get("required", True)]
            return {"type": "object", "properties": properties, "required": required}
        case "map":
            return {"type": "object", "additionalProperties": _nested(spec.get("values") or {})}
        case word:
            return dict(_SCALARS.get(str(word), {}))


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


# Tensors


def _tensor_formats(signature: Signature) -> dict[str, Schema]:
    tensors = signature.inputs
    if not signature.named:
        whole = _tensor(tensors[0])
        return {"instances": whole, "inputs": whole}
    names = _required(tensors)
    row = {f.name: _array(f.shape[1:], _element(f.dtype)) for f in tensors}
    instance: Schema = {"type": "object", "properties": row, "required": names}
    arrays = {f.name: _tensor(f) for f in tensors}
    inputs: list[Schema] = [{"type": "object", "properties": arrays, "required": names}]
    if len(tensors) == 1:
        inputs.append(_tensor(tensors[0]))
    return {"instances": _list(instance), "inputs": {"anyOf": inputs}}


def _tensor(field: Field) -> Schema:
    return _array(field.shape, _element(field.dtype))


def _array(shape: Sequence[int], element: Schema) -> Schema:
    schema = element
    for length in reversed(shape):
        schema = _list(schema)
        if length >= 0:
            schema |= {"minItems": length, "maxItems": length}
    return schema


def _element(dtype: str) -> Schema:
    word = dtype.rstrip("0123456789")
    kinds: dict[str, Schema] = {
        "bool": {"type": "boolean"},
        "int": {"type": "integer"},
        "uint": {"type": "integer", "minimum": 0},
        "float": {"type": ["number", "null"]},
        "str": {"type": "string"},
    }
    return kinds.get(word, {})


# Params and results


def _params(params: Sequence[Param]) -> Schema:
    return {"type": "object", "properties": {param.name: _param(param) for param in params}}


def _param(param: Param) -> Schema:
    schema = _nested(param.spec)
    if param.shape is not None:
        schema = _array(param.shape, schema)
    if param.default is None:
        return {"anyOf": [schema, {"type": "null"}], "default": None}
    return schema | {"default": param.default}


def _predictions(outputs: Sequence[Field]) -> Schema:
    if not outputs:
        return {"description": "The model does not declare its outputs."}
    if outputs[0].tensor:
        if not outputs[0].name:
            return _tensor(outputs[0])
        return {"type": "object", "properties": {f.name: _tensor(f) for f in outputs}}
    if not outputs[0].name:
        one = _result(outputs[0])
        # A list, a series (written as records), or a lone value.
        return {"anyOf": [_list(one), _list({"type": "object"}), one]}
    record: Schema = {"type": "object", "properties": {f.name: _result(f) for f in outputs}}
    arrays: Schema = {"type": "object", "properties": {f.name: _list(_result(f)) for f in outputs}}
    # A frame (written as records), or a dictionary of values or of lists.
    return {"anyOf": [_list(record), arrays, record]}


def _result(field: Field) -> Schema:
    """A result may be missing whatever its type is."""
    return {"anyOf": [_nested(field.spec), {"type": "null"}]}
