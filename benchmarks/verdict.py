"""Bars from findings: the issue's table, figure by figure."""

from __future__ import annotations

from collections.abc import Sequence

from . import rounds
from .campaign import Findings
from .peers import CEILING, OURS
from .report import Bar

# Model: RPS against mlflow at c=1, at c=32, against the tuned one at c=32.
TIMES = {"rf": (2.5, 20.0, 8.0), "lr": (5.0, 30.0, 10.0), "dbl": (6.0, 30.0, 10.0)}


def bars(findings: Findings, models: Sequence[str], connections: Sequence[int]) -> list[Bar]:
    """One bar for each figure that was measured."""
    found: list[Bar] = []
    for model in models:
        found += _times(findings, model)
        found += _ahead(findings, model, connections)
    faults = sum(c.faults for c in findings.cells)
    if findings.cost is not None:
        found += findings.cost.bars()
        faults += findings.cost.faults()
    if findings.slots is not None:
        found += findings.slots.bars()
    found.append(Bar("wrong or missing answers", faults, 0, "answers"))
    found.append(Bar("peers that could not be measured", len(findings.missing), 0, "peers"))
    return found


def _times(findings: Findings, model: str) -> list[Bar]:
    at_1, at_32, tuned = TIMES[model]
    wanted = (
        (1, "mlflow", at_1),
        (32, "mlflow", at_32),
        (32, "mlflow-tuned", tuned),
        (32, CEILING, 1.0),
    )
    found = []
    for connections, peer, bound in wanted:
        cells = rounds.of(findings.cells, model, 1, connections)
        told = rounds.ratio(cells, OURS, peer)
        if told is not None:
            name = f"{model}, 1 row, c={connections}: RPS over {peer}"
            found.append(Bar(name, told.value, bound, "x", more_is_better=True))
    return found


def _ahead(findings: Findings, model: str, connections: Sequence[int]) -> list[Bar]:
    if OURS not in findings.titles:
        return []
    count = len(behind(findings, model, 1, connections))
    name = f"{model}, 1 row: figures in which a peer but the ceiling is ahead (RPS, p50, p99, CPU)"
    return [Bar(name, count, 0, "figures")]


def behind(findings: Findings, model: str, rows: int, connections: Sequence[int]) -> list[str]:
    """Each figure in which a peer but the ceiling does better than we."""
    others = [p for p in findings.titles if p not in (OURS, CEILING)]
    return [
        f"c={c}: {what}"
        for c in connections
        for what in rounds.ahead(rounds.of(findings.cells, model, rows, c), OURS, others)
    ]
