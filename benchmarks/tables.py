"""Markdown for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from . import rounds
from .rounds import Cell

MIB = 1024 * 1024


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A markdown table; the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def number(value: float, digits: int = 3) -> str:
    """A figure with so many significant digits; a dash where there is none."""
    if math.isnan(value):
        return "-"
    if value == 0:
        return "0"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{places}f}"


def load(
    cells: Sequence[Cell], titles: Mapping[str, str], connections: Sequence[int], base: str
) -> str:
    """One model and number of rows: for each concurrency RPS, its ratio to ``base``, p50 and p99, CPU per request."""
    head = ["peer"]
    for c in connections:
        head += [f"c={c} RPS", f"x {base}", "p50 ms", "p99 ms", "CPU ms"]
    lines = []
    for peer, title in titles.items():
        line = [title]
        for c in connections:
            line += _columns([x for x in cells if x.connections == c], peer, base)
        lines.append(line)
    return table(head, lines)


def _columns(cells: Sequence[Cell], peer: str, base: str) -> list[str]:
    told = rounds.ratio(cells, peer, base)
    mark = "*" if told is not None and told.disturbed else ""
    ratio = f"{number(told.value)} ({number(told.low)}-{number(told.high)}){mark}" if told else "-"
    own = [rounds.median(cells, peer, column) for column in ("rate", "p50", "p99", "cpu")]
    return [number(own[0]), ratio, *map(number, own[1:])]


def mib(value: float) -> str:
    """Bytes as MiB."""
    return "-" if math.isnan(value) else f"{value / MIB:,.0f}"
