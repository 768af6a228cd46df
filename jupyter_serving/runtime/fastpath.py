"""Predictions of plain requests without MLflow's parsing and schema enforcement, where the answers are the same.

A path is installed only by ``Scorer.learn`` after a comparison (learning.py); whatever it does not take goes through
MLflow's own code.
"""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict, List, Optional, Sequence

from . import pyfuncs
from .plain import Frames, Matrix, Reader
from .results import Encoder


class Rows:
    """Rows of one or several plain requests: ``data`` as the path's model takes them, ``count`` of them.

    ``labels``: row labels that a single request gave, None for 0, 1, 2 and so on.
    """

    __slots__ = ("count", "data", "labels")

    def __init__(self, count: int, data: Any, labels: Optional[List[int]] = None) -> None:
        self.count = count
        self.data = data
        self.labels = labels


class FastPath:
    """What both kinds have in common.

    ``kind``: "array" (the estimator gets a numpy array) or "frame" (the model gets a DataFrame of the schema's types).
    ``row_wise``: a listed flavour whose predict treats each row by itself.
    """

    kind = ""

    def __init__(
        self, reader: Reader, cells: Any, encoder: Encoder, predict: Callable[[Any], Any]
    ) -> None:
        self.row_wise = False
        self.reader = reader
        self._cells = cells
        self._encoder = encoder
        self._predict = predict

    def parse(self, body: bytes) -> Optional[Rows]:
        """Rows of a plain request, None for any other; never raises."""
        values = self.reader.read(body)
        if values is None:
            return None
        try:
            data = self._cells.build(values)
        except Exception:  # the slow path says what is wrong with it
            return None
        if data is None:
            return None
        cells = values.rows if values.columns is None else values.columns[0]
        return Rows(len(cells or ()), data, values.labels)

    def join(self, parts: Sequence[Rows]) -> Rows:
        """The rows of several requests, in their order, labelled anew."""
        if len(parts) == 1:
            return parts[0]
        return Rows(sum(part.count for part in parts), _joined([part.data for part in parts]))

    def predict(self, rows: Rows) -> Any:
        """What the model returns for the rows; raises what the model raises."""
        return self._predict(self.input(rows))

    def input(self, rows: Rows) -> Any:
        """What the model is given."""
        return rows.data

    def cut(self, result: Any, start: int, stop: int) -> Any:
        """The part of a result that belongs to rows ``start`` to ``stop``; TypeError where it has no rows."""
        return self._encoder.cut(result, start, stop)

    def encode(self, result: Any) -> bytes:
        """The answer's body, ``{"predictions": ...}``; raises what cannot be written as JSON."""
        return self._encoder.encode(result)

    def encode_parts(self, result: Any, counts: Sequence[int]) -> List[bytes]:
        """The bodies of several requests: ``encode`` of each ``cut``, with ``counts`` rows each, in order."""
        return self._encoder.parts(result, counts)


class ArrayPath(FastPath):
    """An estimator of a listed flavour, asked directly."""

    kind = "array"
    _cells: Matrix


class FramePath(FastPath):
    """A model that takes DataFrames, behind MLflow's own wrapper of its flavour."""

    kind = "frame"
    _cells: Frames

    def input(self, rows: Rows) -> Any:
        """What the model is given."""
        return self._cells.frame(rows.data, rows.labels)


def behind(model: Any, named: Dict[str, Any], sample: Any) -> Callable[[Any], Any]:
    """``PyFuncModel.predict`` without enforcement: its context for tracing, then the flavour's predict.

    ``named``: the arguments besides the data with which MLflow calls that; ``sample``: data as it will be given.
    """
    call = model._predict_fn
    own = None if sample is None else pyfuncs.unwrapped(call, sample, named)
    if own is None:
        own = _called(call, named)
    if not hasattr(model, "_predict"):  # before MLflow 2.14
        return own
    twin = copy.copy(model)
    twin._predict = lambda data, params: own(data)
    predict: Callable[[Any], Any] = twin.predict
    return predict


def _called(call: Any, named: Dict[str, Any]) -> Callable[[Any], Any]:
    if named.get("params"):
        return lambda data: call(data, **copy.deepcopy(named))
    return lambda data: call(data, **named)


def _joined(parts: List[Any]) -> Any:
    import numpy

    if isinstance(parts[0], dict):
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}
    if isinstance(parts[0], list):
        return [cell for part in parts for cell in part]
    return numpy.concatenate(parts)
