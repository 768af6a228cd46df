"""What a model returned, as the JSON that MLflow would write."""

from __future__ import annotations

import importlib
import io
import json
from typing import Any, Callable, Dict, List, Optional, Sequence

_SCALARS = frozenset((int, float, str, bool, type(None)))
_NUMBERS = "biuf"


class Encoder:
    """``nan``: "null" writes NaN and infinities as ``null``, "bare" as MLflow's words, which are not JSON.

    Arrays, frames, series and lists of plain values take the short way, everything else MLflow's own. Both are equal
    as parsed JSON, digits of floats included: only Python's own numbers reach the writer, never a float32.
    """

    def __init__(self, nan: str = "null") -> None:
        import mlflow.pyfunc.scoring_server as server
        import numpy
        import pandas

        self._server = server
        self._array, self._frame, self._series = numpy.ndarray, pandas.DataFrame, pandas.Series
        self._nan = nan
        self._dumps = _dumps(nan)
        self._columns: Any = None
        self._known: List[str] = []

    def encode(self, result: Any) -> bytes:
        """The body ``{"predictions": ...}``; raises what MLflow's encoder raises."""
        try:
            plain = self._plain(result)
            if plain is not None:
                return self._dumps({"predictions": plain})
        except (TypeError, ValueError, RecursionError):
            pass  # an int beyond 64 bits, half a surrogate pair: MLflow's encoder decides
        text = io.StringIO()
        self._server.predictions_to_json(result, text)
        return self.words(text.getvalue()).encode()

    def words(self, text: str) -> str:
        """JSON text of MLflow's encoder, with ``null`` for what JSON does not know unless "bare"."""
        return text if self._nan == "bare" else strict_json(text)

    def cut(self, result: Any, start: int, stop: int) -> Any:
        """Rows of a result; TypeError where it has none."""
        if isinstance(result, (self._frame, self._series)):
            return result.iloc[start:stop]
        if isinstance(result, list) or (isinstance(result, self._array) and result.ndim):
            return result[start:stop]
        raise TypeError(f"a {type(result).__name__} has no rows")

    def parts(self, result: Any, counts: Sequence[int]) -> List[bytes]:
        """The bodies of several requests whose rows lie one after the other in ``result``, ``counts`` of them each.

        The same as ``encode`` of each ``cut``, but what costs per call is done once for all.
        """
        try:
            plain = self._plain(result)
            if plain is not None and len(plain) == sum(counts):
                return self._pieces(plain, counts)
        except (TypeError, ValueError, RecursionError):
            pass  # one of them has what MLflow's encoder has to look at
        bodies, start = [], 0
        for count in counts:
            bodies.append(self.encode(self.cut(result, start, start + count)))
            start += count
        return bodies

    def _pieces(self, plain: List[Any], counts: Sequence[int]) -> List[bytes]:
        bodies, start = [], 0
        for count in counts:
            bodies.append(self._dumps({"predictions": plain[start : start + count]}))
            start += count
        return bodies

    def _plain(self, result: Any) -> Optional[List[Any]]:
        """The result as lists and dictionaries of plain values; None: not of a known shape."""
        kind = type(result)
        if kind is self._array:
            if _is_number(result.dtype) and result.ndim:
                return list(result.tolist())
        elif kind is list:
            return result if is_plain(result) else None
        elif kind is self._frame:
            return self._records(result)
        elif kind is self._series and (result.name is None or type(result.name) is str):
            values = _values(result)
            name = "0" if result.name is None else result.name
            return None if values is None else [{name: value} for value in values]
        return None

    def _records(self, frame: Any) -> Optional[List[Dict[str, Any]]]:
        names = self._names(frame.columns)
        if names is None:
            return None
        if _is_of_one_number(frame):
            return [dict(zip(names, row)) for row in frame.to_numpy().tolist()]
        columns = [_values(column) for _, column in frame.items()]
        if any(column is None for column in columns):
            return None
        return [dict(zip(names, row)) for row in zip(*columns)]

    def _names(self, columns: Any) -> Optional[List[str]]:
        """Column names as MLflow writes them; None where they are not all strings, or all integers, and different."""
        if self._columns is not None and columns.is_(
            self._columns
        ):  # mostly those of the answer before
            return self._known
        names = columns.tolist()
        kinds = set(map(type, names))
        if kinds == {int}:
            names = list(map(str, names))
        elif kinds != {str}:
            return None
        if len(set(names)) != len(names):
            return None
        self._columns, self._known = columns, names
        return self._known


def is_plain(value: Any) -> bool:
    """Whether a value is made of exactly the types that every JSON writer writes alike."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is list:
        kinds = set(map(type, value))
        return kinds <= _SCALARS or all(map(is_plain, value))
    if kind is dict:
        return set(map(type, value)) <= {str} and all(map(is_plain, value.values()))
    return False


def strict_json(text: str) -> str:
    """JSON text with ``null`` for NaN and infinities, which Python writes but JSON does not know."""
    if "NaN" not in text and "Infinity" not in text:
        return text
    return json.dumps(json.loads(text, parse_constant=lambda name: None))


def loader() -> Callable[[bytes], Any]:
    """A strict JSON reader (ValueError on anything else): orjson's where it is, else Python's."""
    try:
        loads: Callable[[bytes], Any] = importlib.import_module("orjson").loads
        return loads
    except ImportError:
        return lambda body: json.loads(body, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _dumps(nan: str) -> Callable[[Any], bytes]:
    """A JSON writer for plain values; orjson's writes ``null`` for NaN and infinities by itself."""
    if nan == "bare":
        return lambda value: json.dumps(value).encode()
    try:
        dumps: Callable[[Any], bytes] = importlib.import_module("orjson").dumps
        return dumps
    except ImportError:
        return lambda value: strict_json(json.dumps(value)).encode()


def _is_number(dtype: Any) -> bool:
    """A numpy type whose values become Python's own numbers without loss."""
    plain = type(dtype).__module__.startswith("numpy") and dtype.kind in _NUMBERS
    return bool(plain and dtype.itemsize <= 8)


def _is_of_one_number(frame: Any) -> bool:
    """True where all columns have the same plain type."""
    # Asking a frame for its types makes a series, which costs more than all the rest of a small answer.
    blocks: Sequence[Any] = getattr(getattr(frame, "_mgr", None), "blocks", ())
    if len(blocks) == 1:
        return _is_number(blocks[0].dtype)
    dtypes = frame.dtypes.tolist()
    first = dtypes[0]
    return _is_number(first) and all(dtype is first or dtype == first for dtype in dtypes)


def _values(series: Any) -> Optional[List[Any]]:
    """A column as plain values; None where MLflow's own code has to look at them."""
    if _is_number(series.dtype):
        return list(series.tolist())
    if str(series.dtype) in ("object", "str"):
        values = list(series.tolist())
        return values if set(map(type, values)) <= _SCALARS else None
    return None
