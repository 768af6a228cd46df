"""Predictions of plain requests without MLflow's parsing and schema enforcement, where the answers are the same.

A path is installed by ``Scorer.learn`` only; whatever it does not take goes through MLflow's own code.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence


class Rows:
    """Rows of one or several plain requests: ``data`` as the path's model takes them, ``count`` of them."""

    __slots__ = ("count", "data")

    def __init__(self, count: int, data: Any) -> None:
        self.count = count
        self.data = data


class FastPath:
    """``kind``: "array" (the estimator gets a numpy array) or "frame" (the model gets a DataFrame of the schema's
    types).

    ``row_wise``: a listed flavour whose predict treats each row by itself.
    """

    kind: str = "array"
    row_wise: bool = False

    def parse(self, body: bytes) -> Optional[Rows]:
        """Rows of a plain request, None for any other; never raises."""
        raise NotImplementedError

    def join(self, parts: Sequence[Rows]) -> Rows:
        """The rows of several requests, in their order."""
        raise NotImplementedError

    def predict(self, rows: Rows) -> Any:
        """What the model returns for the rows; raises what the model raises."""
        raise NotImplementedError

    def cut(self, result: Any, start: int, stop: int) -> Any:
        """The part of a result that belongs to rows ``start`` to ``stop``; TypeError where it has no rows."""
        raise NotImplementedError

    def encode(self, result: Any) -> bytes:
        """The answer's body, ``{"predictions": ...}``; raises what cannot be written as JSON."""
        raise NotImplementedError
