"""What goes to an endpoint and what comes back: requests of the MLflow scoring protocol, and predictions.

pandas and numpy are used only through the objects that the caller brings, so importing this costs nothing.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from . import cards
from .errors import InvalidParameter

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
SHOWN_ROWS = 10
SHOWN_CHARACTERS = 200


def encode(data: Any, params: dict[str, Any] | None = None) -> bytes:
    """The JSON body of a request for ``data``.

    A data frame becomes ``dataframe_split`` (NaN, NaT and NA as null, times in ISO form, exact floats), an array
    ``inputs``, a list of dictionaries ``dataframe_records``, a dictionary of plain values one such record. A
    dictionary that has one of the protocol's keys is sent as it is.

    Raises:
        InvalidParameter: a value has no JSON form (infinity, an object of a class of its own).
    """
    body = _form(data)
    if params:
        body = body | {"params": params}
    try:
        return json.dumps(body, default=_plain, allow_nan=False).encode()
    except ValueError as error:
        raise InvalidParameter(
            "The data holds infinite or not-a-number values, which JSON cannot carry.",
            hint="Replace them, or pass a data frame: missing values in it are sent as null.",
        ) from error
    except TypeError as error:
        raise InvalidParameter(
            f"The data cannot be sent: {error}.",
            hint="Use numbers, texts, times, lists and dictionaries.",
        ) from error


def plain_json(body: Any) -> bytes:
    """The JSON of a request to the control plane."""
    return json.dumps(body, default=_plain).encode()


def _form(data: Any) -> dict[str, Any]:
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return {"dataframe_split": _split(data)}
    if hasattr(data, "to_frame") and hasattr(data, "iloc"):
        # A series with texts as index is a row (df.iloc[0]), any other one a column.
        row = all(isinstance(label, str) for label in data.index)
        return {"dataframe_split": _split(data.to_frame().T if row else data.to_frame())}
    if isinstance(data, dict):
        if any(name in data for name in FORMS):
            return data
        plain = all(
            not hasattr(value, "__len__") or isinstance(value, str) for value in data.values()
        )
        return {"dataframe_records": [data]} if plain else {"inputs": data}
    if isinstance(data, (list, tuple)) and data and all(isinstance(row, dict) for row in data):
        return {"dataframe_records": list(data)}
    return {"inputs": data}


def _split(frame: Any) -> dict[str, Any]:
    columns = [_column(frame.iloc[:, place]) for place in range(len(frame.columns))]
    rows = (
        [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in frame.index]
    )
    return {"columns": [_label(name) for name in frame.columns], "data": rows}


def _column(series: Any) -> list[Any]:
    missing = series.isna()
    values: list[Any] = series.tolist()
    if missing.any():
        return [
            None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)
        ]
    return values


def _label(name: Any) -> Any:
    return name if isinstance(name, (str, int)) else str(name)


def _plain(value: Any) -> Any:
    """JSON form of what ``json`` does not know."""
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    # numpy's scalars and arrays
    for name in ("tolist", "item"):
        if callable(getattr(value, name, None)):
            return getattr(value, name)()
    raise TypeError(f"a {type(value).__name__} has no JSON form")


# MLflow repeats the whole input, up to twice, in front of what is wrong with it.
_ECHOES = (
    re.compile(
        r"\AFailed to predict data '.*'\. \nError: Failed to enforce schema of data '.*' "
        r"with schema '\[?(?P<inputs>.*?)\]?'\. Error: (?P<why>.+)\Z",
        re.DOTALL,
    ),
    re.compile(r"\AFailed to predict data '.*'\. \nError: (?P<why>.+)\Z", re.DOTALL),
)


def reason(message: str) -> str:
    """What is wrong with a request, from an answer that may hold the input it is about; else the message itself."""
    found = next((m for echo in _ECHOES if (m := echo.match(message))), None)
    if found is None:
        return message
    why, inputs = found["why"].strip(), found.groupdict().get("inputs")
    end = "" if why.endswith((".", "!", "?")) else "."
    return f"{why}{end}" + (f" The model's inputs are {inputs}." if inputs else "")


def server_timing(header: str) -> dict[str, float]:
    """Parse a ``Server-Timing`` header: name to milliseconds."""
    found = {}
    for part in header.split(","):
        name, *facts = (piece.strip() for piece in part.split(";"))
        for fact in facts:
            key, _, value = fact.partition("=")
            if key.strip() == "dur":
                try:
                    found[name] = float(value)
                except ValueError:
                    pass  # a foreign proxy's entry
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answer of an endpoint.

    ``predictions`` is the parsed JSON; ``timing`` in milliseconds (``queue``, ``cold``, ``predict`` as told,
    ``total`` as measured here); ``index`` is the row index of the data frame that was sent, if it was one.
    """

    endpoint: str
    predictions: Any
    timing: dict[str, float] = field(default_factory=dict)
    request_id: str = ""
    served_entity: str = ""
    index: Any = None

    @property
    def version(self) -> str:
        """Model version that answered, where the served entity's name ends in it (``iris-3``)."""
        tail = self.served_entity.rpartition("-")[2]
        return tail if tail.isdigit() else ""

    def frame(self) -> Any:
        """The predictions as a pandas data frame, with the index of the data that was sent."""
        import pandas as pd

        answers = self.predictions
        if not isinstance(answers, (list, dict)):
            answers = [answers]
        flat = isinstance(answers, list) and not any(isinstance(a, (list, dict)) for a in answers)
        frame = pd.DataFrame({"prediction": answers}) if flat else pd.DataFrame(answers)
        if self.index is not None and len(self.index) == len(frame):
            frame.index = self.index
        return frame

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.predictions)

    def __getitem__(self, place: Any) -> Any:
        return self.predictions[place]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy as np

        return np.asarray(self.predictions, dtype=dtype)

    def summary(self) -> str:
        """One line: how many, from where, in what time."""
        count = len(self.predictions) if hasattr(self.predictions, "__len__") else 1
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in self.timing.items())
        by = f" ({self.served_entity})" if self.served_entity else ""
        return f"{count} prediction{'s' if count != 1 else ''} from {self.endpoint}{by}: {times}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _html(self) -> str:
        answers = self.predictions if isinstance(self.predictions, list) else [self.predictions]
        labels = (
            range(len(answers))
            if self.index is None or len(self.index) != len(answers)
            else self.index
        )
        shown = list(zip(labels, answers, strict=False))[:SHOWN_ROWS]
        names = list(answers[0]) if answers and all(isinstance(a, dict) for a in answers) else []
        rows = [
            [str(label), *(_short(answer.get(n)) for n in names)]
            if names
            else [str(label), _short(answer)]
            for label, answer in shown
        ]
        more = (
            f"<div>… and {len(answers) - len(shown)} more</div>"
            if len(answers) > len(shown)
            else ""
        )
        table = cards.table_html(["", *map(str, names or ["prediction"])], rows)
        return f'<div style="{cards.DIM}">{escape(self.summary())}</div>{table}{more}'

    def __repr__(self) -> str:
        text = repr(
            self.predictions[:SHOWN_ROWS]
            if isinstance(self.predictions, list)
            else self.predictions
        )
        more = isinstance(self.predictions, list) and len(self.predictions) > SHOWN_ROWS
        return f"{self.summary()}\n{text[:2000]}{' …' if more or len(text) > 2000 else ''}"
