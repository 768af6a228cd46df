"""Tensors of the Open Inference Protocol V2, read from JSON or from the binary extension, strictly.

Datatypes and the layout of the binary extension (little-endian, row-major; four bytes of length before each BYTES
element) are those of the protocol as Triton and KServe document it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple, Union

if TYPE_CHECKING:
    import numpy as np

BYTES = "BYTES"
DTYPES = {
    "BOOL": "bool",
    **{
        f"{kind}{bits}": f"{kind.lower()}{bits}"
        for kind in ("UINT", "INT")
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
}
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
_LENGTH = struct.Struct("<I")
_MOST_DIMENSIONS = 32  # of a numpy array before version 2

Values = Union["np.ndarray[Any, Any]", List[Any]]


class Refused(Exception):
    """The request is at fault; the text says what, where, and what to send."""


class Tensor(NamedTuple):
    """One input: ``values`` are flat, a numpy array of the datatype, or a list for BYTES.

    BYTES elements are ``str`` or None (JSON's null) from JSON, and ``bytes`` from a binary part.
    """

    name: str
    datatype: str
    shape: Tuple[int, ...]
    content_type: str
    values: Values


class Tail:
    """The binary part of a request, taken from piece by piece."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int, where: str) -> bytes:
        """The next ``size`` bytes, for the input ``where``."""
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise Refused(
                f"{where} has binary_data_size {size}, but only {len(piece)} bytes of the binary part are left. "
                "The binary parts follow the JSON in the order of the inputs; Inference-Header-Content-Length is the "
                "length of the JSON."
            )
        self._at += size
        return piece

    def end(self) -> None:
        """Refuse bytes that belong to no input."""
        left = len(self._data) - self._at
        if left:
            raise Refused(
                f"{left} bytes follow the JSON that belong to no input. Give each binary input its "
                "parameters.binary_data_size."
            )


def read(item: Any, place: int, tail: Tail) -> Tensor:
    """One entry of a request's ``inputs``.

    Raises:
        Refused: anything that the protocol does not allow.
    """
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise Refused(f"inputs[{place}] must be an object with a name (a string).")
    name = item["name"]
    where = f"The input {name[:100]!r}"
    datatype = item.get("datatype")
    if not isinstance(datatype, str) or (datatype != BYTES and datatype not in DTYPES):
        known = ", ".join([*DTYPES, BYTES])
        raise Refused(f"{where} has datatype {str(datatype)[:100]!r}. It must be one of {known}.")
    parameters = parameters_of(item, where)
    shape = _shape(item.get("shape"), where)
    values = _values(item, datatype, parameters.get("binary_data_size"), tail, where)
    count = 1
    for length in shape:
        count *= length
    if count != len(values):
        raise Refused(
            f"{where} has shape {list(shape)}, which is {count} elements, but {len(values)} elements of data."
        )
    return Tensor(name, datatype, shape, str(parameters.get("content_type") or ""), values)


def parameters_of(item: Dict[str, Any], where: str) -> Dict[str, Any]:
    """The ``parameters`` of a request, an input or a requested output; empty where there are none."""
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise Refused(f"{where} has parameters that are not an object.")
    return parameters


def _shape(shape: Any, where: str) -> Tuple[int, ...]:
    good = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not good or len(shape) > _MOST_DIMENSIONS:
        raise Refused(
            f"{where} has shape {str(shape)[:200]}. It must be a list of at most {_MOST_DIMENSIONS} whole numbers, "
            "none of them negative."
        )
    return tuple(shape)


def _values(item: Dict[str, Any], datatype: str, size: Any, tail: Tail, where: str) -> Values:
    if size is None:
        if not isinstance(item.get("data"), list):
            raise Refused(
                f"{where} has no data: send data (a list, flat or nested), or a binary part with "
                "parameters.binary_data_size and the header Inference-Header-Content-Length."
            )
        flat = flatten(item["data"], where)
        return _texts(flat, where) if datatype == BYTES else _numbers(flat, datatype, where)
    if type(size) is not int or size < 0:
        raise Refused(
            f"{where} has binary_data_size {str(size)[:100]}. It must be a whole number of bytes."
        )
    if item.get("data") is not None:
        raise Refused(f"{where} has both data and binary_data_size. Send one of them.")
    raw = tail.take(size, where)
    return _elements(raw, where) if datatype == BYTES else _from_bytes(raw, datatype, where)


def flatten(data: List[Any], where: str) -> List[Any]:
    """The elements of a list of lists of ..., in row-major order.

    Raises:
        Refused: lists of one level have different lengths, or stand beside elements.
    """
    while any(isinstance(part, list) for part in data):
        lengths = {len(part) if isinstance(part, list) else -1 for part in data}
        if len(lengths) != 1:
            raise Refused(f"{where} has ragged data: the lists of one level must be equally long.")
        data = [element for part in data for element in part]
    return data


def _texts(flat: List[Any], where: str) -> List[Optional[str]]:
    for element in flat:
        if element is not None and not isinstance(element, str):
            raise Refused(
                f"{where} has datatype BYTES, but its data holds {_shown(element)}. Its elements must be strings."
            )
    return flat


def _numbers(flat: List[Any], datatype: str, where: str) -> np.ndarray[Any, Any]:
    import numpy as np

    kinds = set(map(type, flat))
    allowed = {"B": {bool, int}, "F": {int, float, type(None)}}.get(datatype[0], {int, float})
    if not kinds <= allowed:
        wrong = next(element for element in flat if type(element) not in allowed)
        null = (
            " A missing value is null in FP16, FP32, FP64 and BYTES only." if wrong is None else ""
        )
        raise Refused(f"{where} has datatype {datatype}, but its data holds {_shown(wrong)}.{null}")
    if datatype[0] == "F":
        return _floats(flat, datatype, where)
    if datatype == "BOOL":
        low, high = 0, 1
    else:
        limits = np.iinfo(DTYPES[datatype])
        low, high = int(limits.min), int(limits.max)
    whole = [_whole(element, datatype, where) for element in flat] if float in kinds else flat
    if whole and not (low <= min(whole) and max(whole) <= high):
        wrong = next(element for element in whole if not low <= element <= high)
        raise Refused(f"{where} has datatype {datatype}, which cannot hold {_shown(wrong)}.")
    return np.array(whole, dtype=DTYPES[datatype])


def _whole(element: Any, datatype: str, where: str) -> int:
    if isinstance(element, float) and not element.is_integer():
        raise Refused(f"{where} has datatype {datatype}, which cannot hold {_shown(element)}.")
    return int(element)


def _floats(flat: List[Any], datatype: str, where: str) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        with np.errstate(over="ignore"):
            numbers = np.array(flat, dtype="float64").astype(DTYPES[datatype])
    except OverflowError:
        numbers = np.array([np.inf])
    # JSON has no infinity, so one can only be a number that is too large.
    if np.isinf(numbers).any():
        raise Refused(f"{where} has datatype {datatype}, which cannot hold all of its numbers.")
    return numbers


def _from_bytes(raw: bytes, datatype: str, where: str) -> np.ndarray[Any, Any]:
    import numpy as np

    dtype = np.dtype(DTYPES[datatype])
    if len(raw) % dtype.itemsize:
        raise Refused(
            f"{where} has {len(raw)} bytes of data, not a multiple of the {dtype.itemsize} of {datatype}."
        )
    if datatype == "BOOL":
        return np.frombuffer(raw, dtype="uint8").astype("bool")
    # A copy: models may write into what they are given.
    return np.frombuffer(raw, dtype=dtype.newbyteorder("<")).astype(dtype)


def _elements(raw: bytes, where: str) -> List[bytes]:
    found, at = [], 0
    while at < len(raw):
        start = at + _LENGTH.size
        length = _LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else len(raw)
        at = start + length
        if at > len(raw):
            raise Refused(
                f"{where} has a BYTES element that is longer than the data that is left: each element is its length in "
                "four bytes, little-endian, then its bytes."
            )
        found.append(raw[start:at])
    return found


def pack(datatype: str, values: Values) -> bytes:
    """Values in the layout of the binary extension; BYTES elements are ``str`` or ``bytes``."""
    import numpy as np

    if datatype != BYTES:
        dtype = np.dtype(DTYPES[datatype]).newbyteorder("<")
        return np.asarray(values, dtype=DTYPES[datatype]).astype(dtype).tobytes()
    elements = [e.encode() if isinstance(e, str) else e for e in values]
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)


def _shown(element: Any) -> str:
    return "null" if element is None else repr(element)[:100]
