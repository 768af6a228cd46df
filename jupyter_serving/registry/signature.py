"""A model's signature as typed fields, and as metadata of the Open Inference Protocol V2. Pure; MLflow is not imported.

The JSON is that of ``mlflow.models.ModelSignature.to_dict``; the mapping to V2 is MLServer's (``docs/v2.md``), and what
the runtime's V2 accepts and answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .describe import Description

# MLflow's type of a column: V2's datatype, content type
_COLUMNS = {
    "boolean": ("BOOL", "np"),
    "integer": ("INT32", "np"),
    "long": ("INT64", "np"),
    "float": ("FP32", "np"),
    "double": ("FP64", "np"),
    "string": ("BYTES", "str"),
    "datetime": ("BYTES", "datetime"),
    "binary": ("BYTES", "base64"),
}
_NESTED = ("BYTES", "pd_json")
_WORDS = {"bool": "BOOL", "float": "FP", "int": "INT", "uint": "UINT"}


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output.

    ``name`` is "" where the signature names none; ``type`` is MLflow's word (``double``, ``array``, ``tensor``);
    ``spec`` is the whole declaration; ``dtype`` (numpy's name) and ``shape`` (-1: any length) are a tensor's.
    """

    name: str
    type: str
    required: bool
    spec: Mapping[str, Any]
    dtype: str = ""
    shape: tuple[int, ...] = ()

    @property
    def tensor(self) -> bool:
        """True for a tensor, False for a column."""
        return self.type == "tensor"

    @property
    def datatype(self) -> str:
        """V2's datatype."""
        return _datatype(self.dtype) if self.tensor else _COLUMNS.get(self.type, _NESTED)[0]

    @property
    def content_type(self) -> str:
        """What V2's BYTES are to be read as, ``np`` for numbers."""
        return "np" if self.tensor else _COLUMNS.get(self.type, _NESTED)[1]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of ``predict``: ``shape`` is None for a scalar; ``spec`` is the whole declaration."""

    name: str
    type: str
    default: Any
    shape: tuple[int, ...] | None
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives; ``outputs`` is empty where it does not say. ``hinted``: see ``Description``."""

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    params: tuple[Param, ...]
    hinted: bool = False

    @property
    def tensors(self) -> bool:
        """True for a tensor signature, False for columns."""
        return bool(self.inputs) and self.inputs[0].tensor

    @property
    def named(self) -> bool:
        """True where the inputs have names."""
        return bool(self.inputs) and bool(self.inputs[0].name)


def signature(description: Description) -> Signature | None:
    """The signature of a model, None where it declares no inputs."""
    if description.inputs is None:
        return None
    return Signature(
        inputs=tuple(map(_field, description.inputs)),
        outputs=tuple(map(_field, description.outputs or [])),
        params=tuple(map(_param, description.params or [])),
        hinted=description.hinted,
    )


def _field(spec: Mapping[str, Any]) -> Field:
    tensor = spec.get("tensor-spec") or {}
    # Before MLflow 2.6 a column said "optional" instead of "required".
    required = bool(spec.get("required", not spec.get("optional", False)))
    return Field(
        # MLflow accepts numbers as names of columns.
        name="" if spec.get("name") is None else str(spec["name"]),
        type=str(spec.get("type") or "any"),
        required=required,
        spec=spec,
        dtype=str(tensor.get("dtype") or ""),
        shape=tuple(int(n) for n in tensor.get("shape") or ()),
    )


def _param(spec: Mapping[str, Any]) -> Param:
    shape = spec.get("shape")
    return Param(
        name=str(spec.get("name")),
        type=str(spec.get("type") or spec.get("dtype") or "any"),
        default=spec.get("default"),
        shape=None if shape is None else tuple(int(n) for n in shape),
        spec=spec,
    )


def v2(description: Description) -> dict[str, Any] | None:
    """Metadata of the Open Inference Protocol V2: ``platform``, ``inputs`` and ``outputs``; None without a signature.

    A tensor is ``{"name", "datatype", "shape", "parameters"}`` with -1 for a variable length. A column has the shape
    [-1, 1]; the runtime also accepts [n].
    """
    known = signature(description)
    if known is None:
        return None
    return {
        "platform": f"mlflow_{description.flavour}",
        "inputs": _tensors(known.inputs, "input-", 0),
        # The first lone output is called output-1, as MLServer's answers have it.
        "outputs": _tensors(known.outputs, "output-", 1),
    }


def _tensors(fields: Sequence[Field], prefix: str, first: int) -> list[dict[str, Any]]:
    return [
        {
            "name": field.name or f"{prefix}{place}",
            "datatype": field.datatype,
            "shape": _batched(field.shape) if field.tensor else [-1, 1],
            "parameters": {"content_type": field.content_type},
        }
        for place, field in enumerate(fields, first)
    ]


def _batched(shape: Sequence[int]) -> list[int]:
    return list(shape) if len(shape) > 1 else [*shape, 1]


def _datatype(dtype: str) -> str:
    word = dtype.rstrip("0123456789")
    return _WORDS.get(word, "BYTES") + dtype[len(word) :] if word in _WORDS else "BYTES"
