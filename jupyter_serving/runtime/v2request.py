"""Requests of the Open Inference Protocol V2, from bytes to tensors."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .scoring import EXTRAS
from .tensors import Refused, Tail, Tensor, parameters_of, read

# Parameters of a request that are not for the model.
_RESERVED = {"content_type", "headers", "binary_data_output", *EXTRAS}


class Request(NamedTuple):
    """An inference request; ``outputs`` are the names asked for with their parameters, empty for all."""

    id: Optional[str]
    parameters: Dict[str, Any]
    inputs: List[Tensor]
    outputs: List[Tuple[str, Dict[str, Any]]]

    @property
    def content_type(self) -> str:
        """How all inputs together are to be read: "pd", "np", "dict" or ""."""
        return str(self.parameters.get("content_type") or "")

    @property
    def params(self) -> Optional[Dict[str, Any]]:
        """What the model gets as ``params``."""
        given = {name: p for name, p in self.parameters.items() if name not in _RESERVED}
        return given or None


def parse(body: bytes, header_length: Optional[str]) -> Request:
    """Read a request.

    Raises:
        Refused: it is not one.
    """
    length = len(body) if header_length is None else _length(header_length, len(body))
    fields = _fields(body[:length])
    identity, items = fields.get("id"), fields.get("inputs")
    if identity is not None and not isinstance(identity, str):
        raise Refused(f"id must be a string, not {str(identity)[:100]}.")
    if not isinstance(items, list) or not items:
        raise Refused("inputs must be a list with at least one tensor.")
    parameters = parameters_of(fields, "The request")
    tail = Tail(body[length:])
    inputs = [read(item, place, tail) for place, item in enumerate(items)]
    tail.end()
    if len({tensor.name for tensor in inputs}) != len(inputs):
        names = sorted(tensor.name for tensor in inputs)
        twice = next(name for name, other in zip(names, names[1:]) if name == other)
        raise Refused(f"Two inputs are called {twice[:100]!r}.")
    return Request(identity, parameters, inputs, _outputs(fields.get("outputs")))


def _length(text: str, whole: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) > whole:
        raise Refused(
            f"The header Inference-Header-Content-Length is {text[:50]!r}: it must be the length of the JSON in bytes, "
            f"at most the {whole} bytes of the body."
        )
    return int(text)


def _fields(text: bytes) -> Dict[str, Any]:
    try:
        fields = json.loads(text.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"The request is not JSON: {str(error)[:300]}.") from error
    if not isinstance(fields, dict):
        raise Refused("The request must be a JSON object with inputs.")
    return fields


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value; send null for a missing number")


def _outputs(items: Any) -> List[Tuple[str, Dict[str, Any]]]:
    if items is None:
        return []
    if not isinstance(items, list):
        raise Refused("outputs must be a list of objects with a name.")
    wanted = []
    for place, item in enumerate(items):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise Refused(f"outputs[{place}] must be an object with a name (a string).")
        wanted.append((item["name"], parameters_of(item, f"The output {item['name'][:100]!r}")))
    return wanted
