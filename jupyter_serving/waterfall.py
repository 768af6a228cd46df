"""Starts of replicas as waterfalls: a list of plain records that shows, in a notebook, where the seconds went."""

from __future__ import annotations

from collections.abc import Iterator
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
}
LABELS = {
    "held": "request held",
    "decision": "decision",
    "spawn": "process",
    "imports": "imports",
    "model_load": "model load",
    "warm_up": "warm-up",
    "publish": "route",
    "first_byte": "first answer",
}
# What no phase accounts for is shown, not hidden; below a millisecond it is the rounding of the others.
OTHER, OTHER_SECONDS = "other", 0.001
EMPTY = "No replica has been started yet."


class Starts(list[dict[str, Any]]):
    """Starts of replicas, newest last; each has ``reason``, ``total_seconds`` and ``phases`` (seconds)."""

    def __repr__(self) -> str:
        return "\n\n".join(_text(start) for start in self[-SHOWN:]) or EMPTY

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        shown = "".join(_html(start) for start in self[-SHOWN:])
        return {"text/plain": repr(self), "text/html": shown or f"<div>{EMPTY}</div>"}


def steps(start: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Label, begin and length in seconds of each phase of a start, one after the other."""
    phases: dict[str, float] = dict(start.get("phases") or {})
    total = float(start.get("total_seconds") or 0.0)
    rest = total - sum(phases.values())
    if rest > OTHER_SECONDS:
        # Before the answer is given, after the replica is up: what lies between is the hand-over.
        last = phases.popitem() if "first_byte" in phases else None
        phases[OTHER] = rest
        phases |= {} if last is None else dict([last])
    begun = 0.0
    for name, seconds in phases.items():
        yield LABELS.get(name, name.replace("_", " ")), begun, seconds
        begun += seconds


def _title(start: dict[str, Any]) -> str:
    reason = REASONS.get(str(start.get("reason")), str(start.get("reason")))
    return f"{start.get('served_entity', '')}: {reason} in {_total(start):.2f} s"


def _total(start: dict[str, Any]) -> float:
    return float(start.get("total_seconds") or sum((start.get("phases") or {}).values()))


def _share(seconds: float, total: float) -> float:
    return min(1.0, seconds / total) if total > 0 else 0.0


def _text(start: dict[str, Any]) -> str:
    rows, total = list(steps(start)), _total(start)
    wide = max((len(label) for label, _, _ in rows), default=0)
    lines = [
        f"  {label.ljust(wide)}  {seconds * 1000:7.1f} ms  "
        f"{' ' * round(_share(begun, total) * BAR_CHARACTERS)}"
        f"{'█' * round(_share(seconds, total) * BAR_CHARACTERS)}".rstrip()
        for label, begun, seconds in rows
    ]
    return "\n".join([_title(start), *lines])


def _html(start: dict[str, Any]) -> str:
    total = _total(start)
    # A grid, not a table: JupyterLab lays tables out with columns of fixed width.
    rows = "".join(
        f'<span>{escape(label)}</span><span style="text-align: right">{seconds * 1000:.1f} ms</span>'
        f"{_bar(_share(begun, total), _share(seconds, total))}"
        for label, begun, seconds in steps(start)
    )
    grid = "display: grid; grid-template-columns: max-content max-content 1fr; gap: 2px 12px"
    return (
        f'<div style="max-width: 720px; margin-bottom: 8px"><strong>{escape(_title(start))}</strong>'
        f'<div style="{grid}; align-items: center; margin-top: 4px">{rows}</div></div>'
    )


def _bar(begun: float, share: float) -> str:
    return (
        f'<div style="margin-left: {begun:.2%}; width: {share:.2%}; min-width: 1px; height: 10px; '
        f'background: {cards.COLOURS["busy"]}"></div>'
    )
