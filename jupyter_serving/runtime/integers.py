"""Numbers with a fraction where the signature says integer, which MLflow would cut off without a word."""

from __future__ import annotations

import io
import math
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# With one of these the whole body goes to the model as it is.
WHOLE_BODY = ("messages", "prompt", "input")


class Fraction(NamedTuple):
    """The first such number: its column (None: the model's only input, without a name), row, value, declared type."""

    column: Optional[Any]
    row: int
    value: float
    kind: str

    def sentence(self) -> str:
        """What is wrong and what to do."""
        place = "The input" if self.column is None else f"Column '{self.column}'"
        return (
            f"Invalid input. {place} is of type {self.kind} in the model's signature, but row {self.row} has "
            f"{self.value!r}: a number with a fraction is refused, not cut off. Send whole numbers, or log the "
            "model with a signature that has double there."
        )


class Integers:
    """The integer columns of an input schema; ``schema`` is MLflow's, or None."""

    def __init__(self, schema: Any) -> None:
        # (name or None, position, type's name)
        self._specs: List[Tuple[Optional[str], int, str]] = []
        self._count = 0
        for position, spec in enumerate(schema.inputs if schema is not None else ()):
            self._count += 1
            kind = _integer_kind(spec)
            if kind:
                self._specs.append((spec.name, position, kind))

    def __bool__(self) -> bool:
        return bool(self._specs)

    def in_json(self, fields: Any) -> Optional[Fraction]:
        """The first fraction in a parsed request; None also for requests that MLflow refuses anyway."""
        if not isinstance(fields, dict):
            return None
        formats = [name for name in FORMATS if name in fields]
        if len(formats) != 1 or any(name in fields for name in WHOLE_BODY):
            return None
        columns = self._columns(formats[0], fields[formats[0]])
        for (name, _, kind), values in columns:
            for row, value in enumerate(values):
                found = _fraction(value)
                if found is not None:
                    return Fraction(name, row, found, kind)
        return None

    def in_csv(self, text: str) -> Optional[Fraction]:
        """The first fraction in a CSV text; None also where pandas cannot read it."""
        import pandas

        names = {name for name, _, _ in self._specs}
        try:
            frame = pandas.read_csv(io.StringIO(text), usecols=lambda c: c in names, dtype=str)
            for name, _, kind in self._specs:
                for row, value in enumerate(frame.get(name, ())):
                    found = _fraction(float(value))
                    if found is not None:
                        return Fraction(name, row, found, kind)
        except Exception:  # MLflow's own message stands
            pass
        return None

    def _columns(self, format: str, data: Any) -> Iterator[Tuple[Any, Sequence[Any]]]:
        """(spec, values) of each integer column that is there."""
        if format == "dataframe_split":
            yield from self._of_split(data)
        elif isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
            for spec in self._specs:
                key = self._key(spec, data[0])
                yield spec, [row.get(key) for row in data]
        elif isinstance(data, dict):
            for spec in self._specs:
                yield spec, _as_list(data.get(self._key(spec, data)))
        elif self._count == 1 and format in ("instances", "inputs"):
            yield self._specs[0], _as_list(data)

    def _of_split(self, data: Any) -> Iterator[Tuple[Any, Sequence[Any]]]:
        if not isinstance(data, dict) or not isinstance(data.get("data"), list):
            return
        rows, columns = data["data"], data.get("columns")
        for spec in self._specs:
            name, position, _ = spec
            if name is not None:
                if not isinstance(columns, list) or name not in columns:
                    continue
                position = columns.index(name)
            yield (
                spec,
                [row[position] if _has(row, position) else None for row in rows],
            )

    @staticmethod
    def _key(spec: Any, mapping: Dict[str, Any]) -> Any:
        """A column's key; by position where the signature has no names."""
        name, position, _ = spec
        if name is not None:
            return name
        keys = list(mapping)
        return keys[position] if position < len(keys) else None


def _has(row: Any, position: int) -> bool:
    return isinstance(row, list) and position < len(row)


def _as_list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else [value]


def _fraction(value: Any) -> Optional[float]:
    """The first number with a fraction in a value or in lists of lists of them."""
    if type(value) is float:
        return value if math.isfinite(value) and not value.is_integer() else None
    if isinstance(value, list):
        for each in value:
            found = _fraction(each)
            if found is not None:
                return found
    return None


def _integer_kind(spec: Any) -> Optional[str]:
    """The name of an integer type of a ``ColSpec`` or ``TensorSpec``, None for other types."""
    kind = spec.type
    name = getattr(kind, "name", None)
    if name in ("integer", "long"):
        return str(name)
    if getattr(kind, "kind", None) in ("i", "u"):  # a tensor's numpy dtype
        return str(name)
    return None
