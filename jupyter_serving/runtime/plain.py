"""Plain requests: bytes to numpy columns of the signature's types, without pandas' guessing.

Plain is JSON with one format key (the platform's extras aside), exactly the signature's columns, and values that need
no conversion but that of a number's width. Everything else is None here and goes through MLflow's own code.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from .results import loader

EXTRAS = frozenset(("client_request_id", "usage_context"))
SPLIT, RECORDS, INSTANCES, INPUTS = "dataframe_split", "dataframe_records", "instances", "inputs"
# ``inputs`` as a list of records instead of a dictionary of columns: MLflow types its values otherwise.
INPUT_RECORDS = "inputs, records"
# Bounds of whole numbers that have become doubles: -(2**63) - 1 is -(2**63) there, so that one is left to MLflow.
_WHOLE = {"integer": 2.0**31, "long": 2.0**63 - 1024}
_EXACT = 2.0**53
_NUMPY = {
    "double": "float64",
    "float": "float32",
    "long": "int64",
    "integer": "int32",
    "boolean": "bool",
}


class Column(NamedTuple):
    """A column of a signature; ``kind`` is MLflow's name of its type."""

    name: str
    kind: str


class Values(NamedTuple):
    """What a request holds: ``rows`` (each a sequence in the signature's order) or ``columns``, one of them None.

    ``labels``: the row labels of a ``dataframe_split``, None where there are none.
    """

    rows: Optional[Sequence[Any]]
    columns: Optional[List[Any]]
    labels: Optional[List[int]] = None


class Reader:
    """Reads the requests of one signature; ``formats`` are the keys that may be taken."""

    def __init__(self, columns: Sequence[Column], formats: FrozenSet[str]) -> None:
        self.formats = formats
        self._names = [column.name for column in columns]
        self._width = len(columns)
        pick = itemgetter(*self._names)
        self._pick: Callable[[Dict[str, Any]], Any] = (
            pick if self._width > 1 else (lambda row: (pick(row),))
        )
        self._loads = loader()
        self._shapes: Dict[str, Callable[[Any], Optional[Values]]] = {
            SPLIT: self._split,
            RECORDS: self._records,
            INSTANCES: self._records,
            INPUTS: self._inputs,
        }

    def read(self, body: bytes) -> Optional[Values]:
        """The values of a plain request, unchecked; None for any other. Never raises."""
        try:
            fields = self._loads(body)
            if type(fields) is not dict:
                return None
            if len(fields) > 1:
                fields = {key: value for key, value in fields.items() if key not in EXTRAS}
            ((key, data),) = fields.items()
            if key not in self.formats and key != INPUTS:
                return None
            return self._shapes[key](data)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def _split(self, data: Any) -> Optional[Values]:
        rows, index = data["data"], data.get("index")
        if data["columns"] != self._names or len(data) > (2 if index is None else 3):
            return None
        if index is not None and not _labels(index, len(rows)):
            return None
        return Values(rows, None, index) if type(rows) is list and rows else None

    def _records(self, data: Any) -> Optional[Values]:
        if type(data) is not list or not data or set(map(len, data)) != {self._width}:
            return None
        return Values([self._pick(row) for row in data], None)

    def _inputs(self, data: Any) -> Optional[Values]:
        if type(data) is list:
            return self._records(data) if INPUT_RECORDS in self.formats else None
        if INPUTS not in self.formats or len(data) != self._width:
            return None
        columns = [data[name] for name in self._names]
        if set(map(type, columns)) != {list}:
            return None
        count = len(columns[0])
        if not count or any(len(column) != count for column in columns):
            return None
        return Values(None, columns)


def _labels(index: Any, count: int) -> bool:
    return type(index) is list and len(index) == count and set(map(type, index)) <= {int}


class Matrix:
    """Numeric columns as one array, as sklearn would make it of MLflow's DataFrame: its dtype and memory order."""

    def __init__(self, columns: Sequence[Column]) -> None:
        import numpy

        self._numpy = numpy
        self._width = len(columns)
        kinds = {column.kind for column in columns}
        self.dtype = numpy.dtype(_NUMPY[next(iter(kinds))] if len(kinds) == 1 else _NUMPY["double"])
        self._uniform = len(kinds) == 1
        # Whole numbers among doubles: their places by bound.
        self._whole: List[Tuple[float, List[int]]] = []
        if not self._uniform:
            for kind, bound in _WHOLE.items():
                places = [i for i, column in enumerate(columns) if column.kind == kind]
                if places:
                    self._whole.append((bound, places))

    @staticmethod
    def takes(columns: Sequence[Column]) -> bool:
        """Whether these columns are one array without loss: all of one numeric type, or doubles and whole numbers."""
        kinds = {column.kind for column in columns}
        if len(kinds) == 1:
            return kinds <= {"double", "float", "integer", "long"}
        return kinds <= {"double", "integer", "long"} and "double" in kinds

    def build(self, values: Values) -> Optional[Any]:
        """An array of (rows, columns); None where a value needs more than a change of its width."""
        numpy = self._numpy
        try:
            if values.rows is not None:
                raw = numpy.asfortranarray(numpy.array(values.rows))
            else:
                raw = numpy.array(values.columns).T
        except (ValueError, TypeError, OverflowError):
            return None
        if raw.ndim != 2 or raw.shape[1] != self._width:
            return None
        kind = raw.dtype.kind
        if kind == "f":
            return self._of_floats(raw)
        return self._of_integers(raw) if kind == "i" else None

    def _of_floats(self, raw: Any) -> Optional[Any]:
        numpy = self._numpy
        if not numpy.isfinite(raw).all():
            return None
        if self.dtype == numpy.float64:
            for bound, places in self._whole:
                whole = raw[:, places]
                if (whole != numpy.rint(whole)).any() or _beyond(whole, bound):
                    return None
            return raw
        # float32: a number is rounded once, as long as it was exact before
        if self.dtype == numpy.float32 and (numpy.abs(raw) < _EXACT).all():
            return raw.astype(numpy.float32)
        return None

    def _of_integers(self, raw: Any) -> Optional[Any]:
        numpy = self._numpy
        if self.dtype == numpy.float32 and (numpy.abs(raw) >= _EXACT).any():
            return None
        if self.dtype == numpy.int32 or self._whole:
            for bound, places in self._whole or [(_WHOLE["integer"], list(range(self._width)))]:
                if bound == _WHOLE["integer"] and _beyond(raw[:, places], bound):
                    return None
        return raw.astype(self.dtype, copy=False)


def _beyond(values: Any, bound: float) -> bool:
    return bool((values >= bound).any() or (values < -bound).any())


class Frames:
    """Columns of any plain type as a DataFrame, equal to what MLflow's parsing and enforcement make."""

    def __init__(self, columns: Sequence[Column]) -> None:
        import numpy
        import pandas

        self._numpy, self._pandas = numpy, pandas
        self._columns = list(columns)
        self._index = pandas.Index([column.name for column in columns])
        self._matrix = Matrix(columns) if _one_array(columns) else None
        self._parts = [self._part(column) for column in columns]

    @staticmethod
    def takes(columns: Sequence[Column]) -> bool:
        """Whether all columns are numbers, booleans or texts."""
        return all(column.kind in _NUMPY or column.kind == "string" for column in columns)

    def build(self, values: Values) -> Optional[Any]:
        """The cells, an array or a dictionary of columns; None where a value needs more than a change of its width."""
        if self._matrix is not None:
            return self._matrix.build(values)
        columns = values.columns
        if columns is None:
            rows = values.rows or ()
            if set(map(len, rows)) != {len(self._columns)}:
                return None
            columns = list(zip(*rows))
        cells = {}
        for column, part, given in zip(self._columns, self._parts, columns):
            made = part(given)
            if made is None:
                return None
            cells[column.name] = made
        return cells

    def frame(self, cells: Any, index: Optional[List[int]]) -> Any:
        """The DataFrame of cells, with row labels where the request had some."""
        pandas = self._pandas
        labels = None if index is None else pandas.Index(index)
        if self._matrix is None:
            return pandas.DataFrame(cells, index=labels)
        # A view: a model that renames the columns' index must not rename it for the next request.
        return pandas.DataFrame(cells, index=labels, columns=self._index.view(), copy=False)

    def _part(self, column: Column) -> Callable[[Any], Optional[Any]]:
        if column.kind == "string":
            return lambda cells: list(cells) if set(map(type, cells)) == {str} else None
        if column.kind == "boolean":
            numpy = self._numpy
            return lambda cells: numpy.array(cells) if set(map(type, cells)) == {bool} else None
        matrix = Matrix([column])

        def numbers(cells: Any) -> Optional[Any]:
            made = matrix.build(Values(None, [cells]))
            return None if made is None else made[:, 0]

        return numbers


def _one_array(columns: Sequence[Column]) -> bool:
    return len({column.kind for column in columns}) == 1 and Matrix.takes(columns)


def columns_of(schema: Any) -> Optional[List[Column]]:
    """The columns of an MLflow input schema; None where it is not one of named, required columns of simple types."""
    if schema is None or not schema.inputs:
        return None
    columns = []
    for spec in schema.inputs:
        kind = getattr(spec.type, "name", None)
        required = getattr(spec, "required", True)
        if type(spec).__name__ != "ColSpec" or type(spec.name) is not str or not required:
            return None
        if type(spec.type).__name__ != "DataType" or (kind not in _NUMPY and kind != "string"):
            return None
        columns.append(Column(spec.name, str(kind)))
    names = [column.name for column in columns]
    return columns if len(set(names)) == len(names) else None
