"""Figures of an endpoint over time: columns that show themselves as sparklines, and become a data frame on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import cards

if TYPE_CHECKING:
    import pandas as pd

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 60  # characters of a sparkline
SVG_WIDTH, SVG_HEIGHT = 480, 34
EMPTY = "Nothing was recorded in this time: the endpoint was idle."
Values = Sequence[float | None]


class History:
    """What an endpoint did from ``start`` (epoch seconds) on, a value for each ``step`` seconds.

    ``columns`` are lists by name, as long as each other; None where nothing was recorded (idle, or not there). Counts
    are per step, durations in seconds; ``notes`` say what is missing.
    """

    def __init__(self, name: str, answer: dict[str, Any]) -> None:
        self.name = name
        self.start, self.step = int(answer["start"]), int(answer["step"])
        self.columns: dict[str, list[float | None]] = dict(answer["columns"])
        self.notes: list[str] = list(answer.get("notes", ()))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, column: str) -> list[float | None]:
        return self.columns[column]

    @property
    def times(self) -> list[int]:
        """When each step begins, in epoch seconds."""
        return [self.start + place * self.step for place in range(len(self))]

    def frame(self) -> pd.DataFrame:
        """A data frame, by time (UTC); what was not recorded is missing."""
        import pandas as pd

        index = pd.to_datetime(self.times, unit="s", utc=True).rename("time")
        return pd.DataFrame(self.columns, index=index, dtype=float)

    def lines(self) -> Iterator[tuple[str, list[float | None], str]]:
        """What is shown: label, values, and the figures of the whole time in words."""
        per_second: list[float | None] = [
            None if v is None else v / self.step for v in self.columns["arrivals"]
        ]
        total = sum(v or 0 for v in self.columns["arrivals"])
        yield "requests/s", per_second, f"{total:,.0f} in all, at most {_most(per_second):,.3g}/s"
        slow = self.columns["latency_p95"]
        yield "p95 latency", slow, f"at most {seconds_text(_most(slow))}"
        failed = self.columns["failed"]
        yield "failed", failed, f"{sum(v or 0 for v in failed):,.0f} in all"
        waiting = self.columns["queued"]
        yield "waiting", waiting, f"at most {_most(waiting):.0f}"
        ready = self.columns["ready"]
        yield "replicas", ready, f"at most {_most(ready):.0f}, last {_last(ready):.0f}"

    @property
    def empty(self) -> bool:
        """True where nothing was recorded."""
        return all(v is None for v in self.columns["arrivals"])

    def title(self) -> str:
        """Endpoint and time in one line."""
        begin, end = (
            datetime.fromtimestamp(t, UTC).astimezone()
            for t in (self.start, self.start + len(self) * self.step)
        )
        same = "%H:%M:%S" if begin.date() == end.date() else "%Y-%m-%d %H:%M"
        return f"{self.name}: {begin:%Y-%m-%d %H:%M:%S} to {end.strftime(same)}, steps of {cards.duration(self.step)}"

    def __repr__(self) -> str:
        if self.empty:
            return "\n".join([self.title(), f"  {EMPTY}", *self.notes])
        rows = [
            f"  {label:<12} {sparkline(values)}  {told}" for label, values, told in self.lines()
        ]
        return "\n".join([self.title(), *rows, *(f"  Note: {note}" for note in self.notes)])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _html(self) -> str:
        cells = "".join(
            f'<span style="{cards.DIM}">{escape(label)}</span>{chart(values, label)}<span>{escape(told)}</span>'
            for label, values, told in self.lines()
        )
        grid = "display: grid; grid-template-columns: max-content minmax(120px, 480px) 1fr; gap: 4px 12px"
        body = f'<div style="{grid}; align-items: center; margin-top: 4px">{cells}</div>'
        notes = "".join(f'<div style="{cards.DIM}">Note: {escape(n)}</div>' for n in self.notes)
        shown = f"<div>{EMPTY}</div>" if self.empty else body
        return f'<div style="max-width: 900px"><strong>{escape(self.title())}</strong>{shown}{notes}</div>'


def seconds_text(seconds: float) -> str:
    """Seconds as a person reads a latency: ``0.0123`` is ``12.3 ms``."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def thinned(values: Values, width: int) -> list[float | None]:
    """At most ``width`` values, each the highest of its stretch; None where a stretch has none."""
    if len(values) <= width:
        return list(values)
    cuts = [len(values) * place // width for place in range(width + 1)]
    return [_or_none(max, values[a:b]) for a, b in pairwise(cuts)]


def sparkline(values: Values, width: int = WIDTH) -> str:
    """A line of blocks from 0 to the highest value; spaces where there is none."""
    shown = thinned(values, width)
    top = _most(shown)
    return "".join(
        " " if v is None else BLOCKS[round(v / top * (len(BLOCKS) - 1)) if top else 0]
        for v in shown
    )


def chart(values: Values, label: str) -> str:
    """Inline SVG bars from 0 to the highest value; nothing where there is none, so that one value alone is seen too."""
    shown = thinned(values, SVG_WIDTH // 2)
    top, wide = _most(shown) or 1.0, SVG_WIDTH / max(1, len(shown))
    bars = [
        f"M{place * wide:.1f},{SVG_HEIGHT} h{wide:.2f} v-{max(1.0, value / top * SVG_HEIGHT):.1f} h-{wide:.2f}z"
        for place, value in enumerate(shown)
        if value
    ]
    return (
        f'<svg role="img" aria-label="{escape(label, quote=True)}" viewBox="0 0 {SVG_WIDTH} {SVG_HEIGHT}" '
        f'preserveAspectRatio="none" style="width: 100%; height: {SVG_HEIGHT}px; '
        f'border-bottom: 1px solid {cards.BORDER}">'
        f'<path d="{" ".join(bars)}" fill="{cards.COLOURS["busy"]}"/></svg>'
    )


def _or_none(choose: Callable[[list[float]], float], values: Values) -> float | None:
    there = [v for v in values if v is not None]
    return choose(there) if there else None


def _most(values: Values) -> float:
    return _or_none(max, values) or 0.0


def _last(values: Values) -> float:
    return _or_none(lambda there: there[-1], values) or 0.0
