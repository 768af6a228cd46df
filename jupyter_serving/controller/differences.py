"""What differs between two answers to one request, row by row, and whether a rule lets that pass; pure.

An answer is JSON: MLflow's ``predictions`` (a list of rows, or columns of equal length), V2's ``outputs``, or anything
else, which is one row. Numbers are equal within a tolerance, relative above 1 and absolute below; everything else must
be the same.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidParameter

# What is kept of a verdict: rows that changed, and characters of each of their cells.
ROWS_KEPT, CELL_CHARACTERS = 100, 300
# Kinds of difference: a number moved, a label or other value is another one, other length, other keys or types, an
# error instead of an answer.
NUMBER, VALUE, SHAPE, SCHEMA, ERROR = "number", "value", "shape", "schema", "error"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a replay passes.

    Attributes:
        max_changed: largest share of rows that may have changed, 0 to 1.
        tolerance: by which numbers may differ, relative (absolute below 1).
        max_slower: largest ratio of the median seconds, new to captured; None does not compare.
        min_requests: fewest requests that must have been compared.
        too_few: ``refuse`` or ``pass`` where fewer were captured.
        limit: most requests that are sent, the newest.
        at_once: how many at a time; one never takes more than one slot's worth of the machine from the live config.
    """

    max_changed: float = 0.0
    tolerance: float = 1e-6
    max_slower: float | None = None
    min_requests: int = 1
    too_few: str = "refuse"
    limit: int = 200
    at_once: int = 1

    @classmethod
    def of(cls, gate: Mapping[str, Any]) -> Rule:
        """The rule of ``update.gate``: ``{"replay": {...}}``.

        Raises:
            InvalidParameter: an unknown name, or a value out of its bounds; the message names it.
        """
        if set(gate) != {"replay"} or not isinstance(gate["replay"], Mapping):
            raise InvalidParameter(
                f"update.gate must be {{'replay': {{...}}}}, not {json.dumps(dict(gate))[:200]}."
            )
        given = dict(gate["replay"])
        unknown = set(given) - set(cls.__slots__)
        if unknown:
            raise InvalidParameter(
                f"update.gate.replay does not know {', '.join(sorted(map(repr, unknown)))}.",
                hint=f"It takes {', '.join(cls.__slots__)}.",
            )
        rule = cls(**given)
        for name, low, high in _BOUNDS:
            value = getattr(rule, name)
            if name == "max_slower" and value is None:
                continue
            whole = name in _WHOLE
            good = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not good or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise InvalidParameter(
                    f"update.gate.replay.{name} must be {kind} from {low:g} to {high:g}, not {value!r}."
                )
        if rule.too_few not in ("refuse", "pass"):
            raise InvalidParameter(
                f"update.gate.replay.too_few must be 'refuse' or 'pass', not {rule.too_few!r}."
            )
        return rule


_BOUNDS = (
    ("max_changed", 0, 1),
    ("tolerance", 0, 1),
    ("max_slower", 0, 1000),
    ("min_requests", 0, 10_000),
    ("limit", 1, 10_000),
    ("at_once", 1, 64),
)
_WHOLE = {"min_requests", "limit", "at_once"}


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: HTTP status, the parsed body (or its text where it is no JSON) and its seconds."""

    status: int
    body: Any
    seconds: float

    @property
    def good(self) -> bool:
        """True for a prediction, false for an error of any kind."""
        return self.status < 400


@dataclass(frozen=True, slots=True)
class Changed:
    """One row that differs; ``row`` counts from 0, None where it is the whole answer."""

    row: int | None
    kind: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Compared:
    """One request sent again: how many rows it has, and those that changed; ``inputs`` are its rows, if known."""

    request_id: str
    rows: int
    changed: Sequence[Changed]
    before: Said
    after: Said
    inputs: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate may have the traffic, why in a sentence, and the evidence as plain values."""

    passed: bool
    text: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """As it is stored and answered."""
        return {"passed": self.passed, "text": self.text, **self.details}


def rows_of(body: Any) -> list[Any]:
    """Rows of an answer; an answer without rows is one row."""
    if isinstance(body, Mapping):
        if isinstance(body.get("outputs"), list):
            body = {
                str(out.get("name", n)): out.get("data") if isinstance(out, Mapping) else out
                for n, out in enumerate(body["outputs"])
            }
        elif "predictions" in body:
            body = body["predictions"]
    if isinstance(body, list):
        return body
    if isinstance(body, Mapping) and body:
        columns = list(body.values())
        if all(isinstance(c, list) for c in columns) and len({len(c) for c in columns}) == 1:
            return [dict(zip(body, values, strict=True)) for values in zip(*columns, strict=True)]
    return [body]


def compare(before: Said, after: Said, tolerance: float) -> tuple[int, list[Changed]]:
    """How many rows the captured answer has, and those that changed.

    Where the request failed before, there is nothing to compare: an error that stays or goes is no change.
    """
    if not before.good:
        return 0, []
    old = rows_of(before.body)
    if not after.good:
        return len(old), [Changed(n, ERROR, row, after.body) for n, row in enumerate(old)]
    new = rows_of(after.body)
    if len(old) != len(new):
        told = Changed(None, SHAPE, f"{len(old)} rows", f"{len(new)} rows")
        return len(old), [told] * max(1, len(old))
    kinds = (
        (n, difference(a, b, tolerance)) for n, (a, b) in enumerate(zip(old, new, strict=True))
    )
    return len(old), [Changed(n, kind, old[n], new[n]) for n, kind in kinds if kind]


def difference(old: Any, new: Any, tolerance: float) -> str:
    """Kind of the difference between two values, the gravest of all that are inside; "" where there is none."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if list(old) != list(new) and set(old) != set(new):
            return SCHEMA
        return _gravest(difference(value, new[name], tolerance) for name, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return SHAPE
        return _gravest(difference(a, b, tolerance) for a, b in zip(old, new, strict=True))
    if _number(old) and _number(new):
        return "" if _close(float(old), float(new), tolerance) else NUMBER
    if type(old) is not type(new) and old is not None and new is not None:
        return SCHEMA
    return "" if old == new else VALUE


def _gravest(kinds: Iterator[str]) -> str:
    order = ("", NUMBER, VALUE, SHAPE, SCHEMA)
    return max(kinds, key=order.index, default="")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _close(old: float, new: float, tolerance: float) -> bool:
    if math.isnan(old) or math.isnan(new):
        return math.isnan(old) and math.isnan(new)
    return old == new or abs(old - new) <= tolerance * max(1.0, abs(old))


def inputs_of(body: Any) -> list[Any]:
    """Rows of a request; [] where they cannot be told."""
    if not isinstance(body, Mapping):
        return []
    split = body.get("dataframe_split")
    if isinstance(split, Mapping) and isinstance(split.get("data"), list):
        columns = split.get("columns")
        if isinstance(columns, list):
            return [
                dict(zip(map(str, columns), row, strict=False)) if isinstance(row, list) else row
                for row in split["data"]
            ]
        return list(split["data"])
    for name in ("dataframe_records", "instances", "inputs"):
        if isinstance(body.get(name), list):
            return list(body[name])
    return []


def judge(rule: Rule, found: Sequence[Compared], skipped: Mapping[str, int]) -> Verdict:
    """Apply a rule to what a replay found; ``skipped`` are captured requests that could not be compared, by reason."""
    compared = [one for one in found if one.before.good]
    rows = sum(one.rows for one in compared)
    changed = sum(len(one.changed) for one in compared)
    share = changed / rows if rows else 0.0
    slower = _slower(compared)
    told = {
        "requests": len(compared),
        "rows_compared": rows,
        "changed": changed,
        "kinds": dict(Counter(change.kind for one in compared for change in one.changed)),
        "mended": sum(not one.before.good and one.after.good for one in found),
        "skipped": dict(skipped),
        "slower": None if slower is None else round(slower, 3),
        "seconds_before": _median([one.before.seconds for one in compared]),
        "seconds_after": _median([one.after.seconds for one in compared]),
        "rule": {name: getattr(rule, name) for name in Rule.__slots__},
        "rows": list(_kept(compared)),
    }
    if len(compared) < rule.min_requests:
        why = f"only {len(compared)} captured requests could be compared, {rule.min_requests} are asked for"
        return Verdict(rule.too_few == "pass", f"Replay: {why}{_left(skipped)}.", told)
    wrong = []
    if share > rule.max_changed:
        wrong.append(f"{rule.max_changed:.2%} is allowed")
    if rule.max_slower is not None and slower is not None and slower > rule.max_slower:
        wrong.append(f"{rule.max_slower:g} times as slow is allowed")
    text = f"{changed:,} of {rows:,} rows changed ({share:.2%}) in {len(compared):,} requests"
    if slower is not None:
        text += f", median {slower:.2f} times that of before"
    verdict = f": {' and '.join(wrong)}" if wrong else ""
    return Verdict(not wrong, f"Replay: {text}{_left(skipped)}{verdict}.", told)


def _left(skipped: Mapping[str, int]) -> str:
    left = ", ".join(f"{n} {reason}" for reason, n in sorted(skipped.items()) if n)
    return f" (left out: {left})" if left else ""


def _median(seconds: Sequence[float]) -> float | None:
    return round(statistics.median(seconds), 6) if seconds else None


def _slower(compared: Sequence[Compared]) -> float | None:
    """Ratio of the medians, new to captured: one slow request of either side (a cold start) does not decide it."""
    pairs = [(one.before.seconds, one.after.seconds) for one in compared if one.after.good]
    if not pairs:
        return None
    before, after = (statistics.median(side) for side in zip(*pairs, strict=True))
    return after / before if before > 0 else None


def _kept(compared: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """The first rows that changed, as texts of bounded length."""
    left = ROWS_KEPT
    for one in compared:
        for change in one.changed[:left]:
            known = change.row is not None and change.row < len(one.inputs)
            yield {
                "request_id": one.request_id,
                "row": change.row,
                "kind": change.kind,
                "before": cell(change.before),
                "after": cell(change.after),
                "input": cell(one.inputs[change.row]) if known and change.row is not None else "",
            }
        left -= len(one.changed[:left])
        if left <= 0:
            return


def cell(value: Any) -> str:
    """A value as a text of bounded length."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= CELL_CHARACTERS else f"{text[: CELL_CHARACTERS - 1]}…"
