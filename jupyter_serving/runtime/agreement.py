"""Whether two results of a model are the same answer, up to the last bits of floating-point sums.

BLAS adds in another order when there are more rows, so the last bits change with the group; classes, counts, texts,
shapes and types must not. Two floats agree when they differ by at most ``rtol`` of the larger one, plus a thousandth of
``rtol``: 1e-9 for float64, 1e-6 for float32, 1e-3 for float16.
"""

from __future__ import annotations

import math
from typing import Any, Optional

_RTOL = {8: 1e-9, 4: 1e-6, 2: 1e-3}  # by bytes of the type


def difference(one: Any, other: Any) -> Optional[str]:
    """In words how two results differ, None when they agree."""
    if type(one) is not type(other):
        return f"{type(one).__name__} and {type(other).__name__}"
    if hasattr(one, "dtype") and hasattr(one, "shape"):
        return _arrays(one, other)
    if hasattr(one, "columns") and hasattr(one, "to_numpy"):
        return _frames(one, other)
    if isinstance(one, dict):
        return _dicts(one, other)
    if isinstance(one, (list, tuple)):
        return _lists(one, other)
    if isinstance(one, float):
        close = _close(one, other, _RTOL[8])
        return None if close else f"{one!r} and {other!r}"
    return None if one == other else f"{one!r:.100} and {other!r:.100}"


def _close(one: float, other: float, rtol: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=rtol, abs_tol=rtol * 1e-3)


def _arrays(one: Any, other: Any) -> Optional[str]:
    if one.shape != other.shape:
        return f"shapes {one.shape} and {other.shape}"
    if one.dtype != other.dtype:
        return f"types {one.dtype} and {other.dtype}"
    kind = getattr(one.dtype, "kind", "O")
    if kind == "f" and hasattr(one, "astype"):
        import numpy

        left, right = numpy.asarray(one), numpy.asarray(other)
        rtol = _RTOL.get(one.dtype.itemsize, _RTOL[8])
        close = numpy.isclose(left, right, rtol=rtol, atol=rtol * 1e-3, equal_nan=True)
        if bool(close.all()):
            return None
        return f"{left[~close].flat[0].item()!r} and {right[~close].flat[0].item()!r}"
    if kind in "biuSUmM" and hasattr(one, "tobytes"):
        return None if one.tobytes() == other.tobytes() else "different values"
    return difference(_listed(one), _listed(other))


def _listed(values: Any) -> Any:
    listed = values.tolist()
    return [listed] if not isinstance(listed, list) else listed


def _frames(one: Any, other: Any) -> Optional[str]:
    if list(one.columns) != list(other.columns):
        return f"columns {list(one.columns)} and {list(other.columns)}"
    for index, name in enumerate(one.columns):
        found = _arrays(one.iloc[:, index], other.iloc[:, index])
        if found:
            return f"column {name!r}: {found}"
    return None


def _dicts(one: Any, other: Any) -> Optional[str]:
    if list(one) != list(other):
        return f"keys {list(one)} and {list(other)}"
    for key in one:
        found = difference(one[key], other[key])
        if found:
            return f"{key!r}: {found}"
    return None


def _lists(one: Any, other: Any) -> Optional[str]:
    if len(one) != len(other):
        return f"lengths {len(one)} and {len(other)}"
    for left, right in zip(one, other):
        found = difference(left, right)
        if found:
            return found
    return None
