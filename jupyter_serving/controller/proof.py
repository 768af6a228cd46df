"""What an update certificate says: a pure function of the recorded seconds around an update.

The gateway reports at the end of a second, so the row of the second in which an update began belongs to the time before
it; the switch itself is applied up to ``SETTLE`` seconds after it was stored, so those belong to the update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..metrics.history import Row
from ..metrics.window import Histogram, upper_bound

SUCCEEDED, FAILED, CANCELED = "SUCCEEDED", "FAILED", "CANCELED"
BEFORE = AFTER = 60
SETTLE = 2
# A wait that a sentence mentions, in seconds.
WORTH_TELLING = 0.1


@dataclass(frozen=True, slots=True)
class Facts:
    """An update: ``began`` and ``ended`` in epoch seconds, ``reasons`` of failures by count, ``phases`` in seconds.

    ``cut`` is when the next update began, where that was within ``AFTER`` seconds of this one's end. ``complete``: the
    time after it is over too.
    """

    version: int
    replaced: int | None
    outcome: str
    began: float
    ended: float
    complete: bool
    cut: float = float("inf")
    reasons: Mapping[str, int] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    replay: Mapping[str, Any] | None = None


def certificate(facts: Facts, rows: Iterable[Row]) -> dict[str, Any]:
    """The certificate as the API answers it.

    ``rows`` reach from ``BEFORE`` seconds before to ``AFTER`` (and ``SETTLE``) after. ``p95`` are seconds, by
    ``before``, ``during`` and ``after``, without those of no traffic. ``failed`` counts answers with status 500 or
    above and requests that were refused through no fault of their client.
    """
    begin, switched = int(facts.began), int(facts.ended) + SETTLE
    before, during, after = Row(0), Row(0), Row(0)
    for row in rows:
        if begin - BEFORE < row.at <= begin:
            before.add(row)
        elif begin < row.at <= switched:
            during.add(row)
        elif switched < row.at <= min(switched + AFTER, facts.cut):
            after.add(row)
    parts = {"before": before, "during": during, "after": after}
    quantiles = {name: part.latency.quantile(0.95) for name, part in parts.items()}
    told: dict[str, Any] = {
        "config_version": facts.version,
        "replaced": facts.replaced,
        "outcome": facts.outcome,
        "started_at": int(facts.began * 1000),
        "ended_at": int(facts.ended * 1000),
        "seconds": round(facts.ended - facts.began, 3),
        "complete": facts.complete,
        "requests": during.numbers["arrivals"],
        "failed": during.numbers["failed"],
        "failed_after": after.numbers["failed"],
        "reasons": dict(facts.reasons),
        "p95": {name: round(value, 6) for name, value in quantiles.items() if value is not None},
        "longest_gap": _gap(during),
        "longest_gap_before": _gap(before),
        "longest_wait": longest(during.waits),
        "phases": {name: round(seconds, 3) for name, seconds in facts.phases.items()},
        "notes": list(facts.notes),
        "replay": None if facts.replay is None else dict(facts.replay),
    }
    return told | {"text": sentence(told)}


def _gap(row: Row) -> float | None:
    """Longest time without a good answer while a request was there; None where none was recorded."""
    return row.numbers["gap_ms"] / 1000 if row.numbers["gap_ms"] else None


def longest(histogram: Histogram) -> float | None:
    """Upper bound of the longest duration, in seconds; None where nothing was counted."""
    buckets = [bucket for bucket, count in histogram.counts.items() if count]
    return round(upper_bound(max(buckets)), 3) if buckets else None


def sentence(told: Mapping[str, Any]) -> str:
    """A certificate in one sentence."""
    parts = [_traffic(told)]
    p95 = told.get("p95") or {}
    if p95:
        spoken = ", ".join(f"{spoken_seconds(seconds)} {when}" for when, seconds in p95.items())
        parts.append(f"p95 {spoken}")
    last = []
    if told.get("longest_gap") is not None:
        last.append(f"longest gap {told['longest_gap']:.2f} s")
    wait = told.get("longest_wait")
    if wait is not None and wait >= WORTH_TELLING:
        last.append(f"longest wait {wait:.1f} s")
    if last:
        parts.append(", ".join(last))
    return f"{_event(told)}: {'; '.join(parts)}."


def _event(told: Mapping[str, Any]) -> str:
    version, old, seconds = told["config_version"], told.get("replaced"), told["seconds"]
    took = f"{seconds:.1f} s"
    if told["outcome"] == SUCCEEDED:
        done = f"replaced config {old}" if old is not None else "went live"
        return f"Config {version} {done} in {took}"
    what = "was canceled" if told["outcome"] == CANCELED else "failed"
    serves = f", config {old} serves on" if old is not None else ""
    return f"Config {version} {what} after {took}{serves}"


def _traffic(told: Mapping[str, Any]) -> str:
    if not told["requests"] and not told["failed"]:
        return "no request came"
    failed = f"{told['failed']:,} failed"
    why = ", ".join(f"{n:,} {reason}" for reason, n in sorted((told.get("reasons") or {}).items()))
    one = "request" if told["requests"] == 1 else "requests"
    text = f"{told['requests']:,} {one}, {failed}{f' ({why})' if why and told['failed'] else ''}"
    later = told.get("failed_after")
    return f"{text}, {later:,} more in the minute after" if later else text


def spoken_seconds(seconds: float) -> str:
    """Seconds as a latency is told: ``0.0123`` is ``12 ms``."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
