"""Starts of replicas as waterfalls: a list of plain records that shows, in a notebook, where the seconds went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from . import cards

SHOWN = 4
BAR_CHARACTERS = 40
REASONS = {
    "deploy": "deployed",
    "wake": "cold start",
    "scale_up": "scaled up",
    "replace": "replaced",
    "reload": "reloaded",
}
LABELS = {
    "held": "request held",
    "decision": "decision",
    "spawn": "process",
    "interpreter": "interpreter",
    "imports": "imports",
    "model_load": "model load",
    "warm_up": "warm-up",
    "publish": "route",
    "first_byte": "first answer",
}
ZYGOTES = {
    "resident": "forked from a zygote that was there",
    "started": "a zygote was started for it",
    "none": "without a zygote",
}
# What no phase accounts for is shown, not hidden; below a millisecond it is the rounding of the others.
OTHER, OTHER_SECONDS = "other", 0.001
EMPTY = "No replica has been started yet."


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a waterfall; times in seconds.

    ``part``: of the phase above it (one package of its imports), ``drawn`` as so long a bar.
    """

    label: str
    begun: float
    seconds: float
    part: bool = False
    drawn: float | None = None

    @property
    def length(self) -> float:
        """Seconds that its bar stands for."""
        return self.seconds if self.drawn is None else self.drawn


class Starts(list[dict[str, Any]]):
    """Starts of replicas, newest last; each has ``reason``, ``total_seconds`` and ``phases`` (seconds).

    The last ``shown`` of them are shown.
    """

    def __init__(self, starts: Iterable[dict[str, Any]] = (), shown: int = SHOWN) -> None:
        super().__init__(starts)
        self.shown = shown

    def __repr__(self) -> str:
        return "\n\n".join(_text(start) for start in self._last()) or EMPTY

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        shown = "".join(_html(start) for start in self._last())
        return {"text/plain": repr(self), "text/html": shown or f"<div>{EMPTY}</div>"}

    def _last(self) -> list[dict[str, Any]]:
        return self[max(0, len(self) - self.shown) :]


def steps(start: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Label, begin and length in seconds of each phase of a start, one after the other."""
    return ((row.label, row.begun, row.seconds) for row in rows(start) if not row.part)


def rows(start: dict[str, Any]) -> Iterator[Row]:
    """All lines of a waterfall: phases, and below the imports the slowest packages."""
    begun = 0.0
    for name, seconds in _phases(start).items():
        yield Row(LABELS.get(name, name.replace("_", " ")), begun, seconds)
        if name == "imports":
            yield from _packages(start, begun, seconds)
        begun += seconds


def _phases(start: dict[str, Any]) -> dict[str, float]:
    """Phases with what none of them accounts for, which lies between the replica's readiness and its route."""
    phases: dict[str, float] = dict(start.get("phases") or {})
    rest = float(start.get("total_seconds") or 0.0) - sum(phases.values())
    if rest <= OTHER_SECONDS:
        return phases
    after = {name: phases.pop(name) for name in ("publish", "first_byte") if name in phases}
    return phases | {OTHER: rest} | after


def _packages(start: dict[str, Any], begun: float, phase: float) -> Iterator[Row]:
    """The slowest packages, one after the other within their phase: it is shorter where some came before the start."""
    slow = [(str(p), float(s)) for p, s in start.get("imports") or [] if s >= OTHER_SECONDS]
    whole = sum(seconds for _, seconds in slow)
    scale = min(1.0, phase / whole) if whole else 1.0
    for package, seconds in slow:
        yield Row(package, begun, seconds, part=True, drawn=seconds * scale)
        begun += seconds * scale


def _title(start: dict[str, Any]) -> str:
    reason = REASONS.get(str(start.get("reason")), str(start.get("reason")))
    seconds = f"{_total(start):.2f} s"
    entity = start.get("served_entity", "")
    if failed := str(start.get("failed") or ""):
        phase = LABELS.get(failed, failed)
        return f"{entity}: {reason}, failed after {seconds} in {phase}: {start.get('error', '')}"
    return f"{entity}: {reason} in {seconds}"


def _told(start: dict[str, Any]) -> list[str]:
    """What is said below the bars: where the process came from, what it holds, what would save most."""
    zygote = ZYGOTES.get(str(start.get("zygote")), "")
    held = int(start.get("memory_bytes") or 0)
    facts = [zygote, f"a replica holds {held / 1e6:.0f} MB" if held else ""]
    first = ", ".join(fact for fact in facts if fact)
    return [text for text in (first, str(start.get("remedy") or "")) if text]


def _total(start: dict[str, Any]) -> float:
    return float(start.get("total_seconds") or sum((start.get("phases") or {}).values()))


def _share(seconds: float, total: float) -> float:
    return min(1.0, seconds / total) if total > 0 else 0.0


def _text(start: dict[str, Any]) -> str:
    shown, total = list(rows(start)), _total(start)
    labels = [f"  {row.label}" if row.part else row.label for row in shown]
    wide = max((len(label) for label in labels), default=0)
    lines = [
        f"  {label.ljust(wide)}  {row.seconds * 1000:7.1f} ms  "
        f"{' ' * round(_share(row.begun, total) * BAR_CHARACTERS)}"
        f"{('░' if row.part else '█') * round(_share(row.length, total) * BAR_CHARACTERS)}".rstrip()
        for label, row in zip(labels, shown, strict=True)
    ]
    return "\n".join([_title(start), *lines, *(f"  {text}" for text in _told(start))])


def _html(start: dict[str, Any]) -> str:
    total = _total(start)
    # A grid, not a table: JupyterLab lays tables out with columns of fixed width.
    cells = "".join(_line(row, total) for row in rows(start))
    told = "".join(
        f'<div style="{cards.DIM}; font-size: 90%">{escape(text)}</div>' for text in _told(start)
    )
    grid = "display: grid; grid-template-columns: max-content max-content 1fr; gap: 2px 12px"
    return (
        f'<div style="max-width: 720px; margin-bottom: 8px"><strong>{escape(_title(start))}</strong>'
        f'<div style="{grid}; align-items: center; margin-top: 4px">{cells}</div>{told}</div>'
    )


def _line(row: Row, total: float) -> str:
    style = f"{cards.DIM}; padding-left: 12px; font-size: 90%" if row.part else ""
    return (
        f'<span style="{style}">{escape(row.label)}</span>'
        f'<span style="text-align: right">{row.seconds * 1000:.1f} ms</span>'
        f"{_bar(_share(row.begun, total), _share(row.length, total), row.part)}"
    )


def _bar(begun: float, share: float, part: bool) -> str:
    height = 5 if part else 10
    return (
        f'<div style="margin-left: {begun:.2%}; width: {share:.2%}; min-width: 1px; height: {height}px; '
        f'background: {cards.COLOURS["busy"]}"></div>'
    )
