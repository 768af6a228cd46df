"""The order of the cells, and what may be said from them: pure functions of measured cells.

The machine's speed wanders, so peers are compared only within a round, where their cells are seconds apart; the ratio
that is told is the median of the rounds' ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Cores that others may use during a cell before it counts as disturbed.
FOREIGN_LIMIT = 0.10
# What is compared: the attribute of a cell, and whether more of it is better.
COLUMNS = {"rate": True, "p50": False, "p99": False, "cpu": False}


@dataclass(frozen=True, slots=True)
class Cell:
    """One peer under one load for a second or two.

    ``rate`` in answers per second, ``p50`` and ``p99`` in ms, ``cpu`` in ms of the whole tree per request, ``memory``
    as proportional bytes of the tree, ``foreign`` in cores, ``faults``: answers that were wrong or did not come.
    """

    model: str
    rows: int
    connections: int
    round: int
    peer: str
    rate: float
    p50: float
    p99: float
    cpu: float
    memory: int
    foreign: float
    faults: int
    own_us: float

    @property
    def disturbed(self) -> bool:
        """Others used the machine during it."""
        return self.foreign > FOREIGN_LIMIT

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median over rounds, the extremes, and whether disturbed cells had to be used."""

    value: float
    low: float
    high: float
    disturbed: bool


def turns(peers: Sequence[str], rounds: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each round with its order of the peers: A B C, then C B A, and so on."""
    for number in range(rounds):
        yield number, tuple(peers if number % 2 == 0 else reversed(peers))


def of(cells: Iterable[Cell], model: str, rows: int, connections: int) -> list[Cell]:
    """Cells of one load."""
    wanted = (model, rows, connections)
    return [c for c in cells if (c.model, c.rows, c.connections) == wanted]


def ratio(cells: Sequence[Cell], first: str, second: str, column: str = "rate") -> Ratio | None:
    """``first`` over ``second`` within each round, for the cells of one load; None where they never met.

    Rounds with a disturbed cell are left out if at least half of the rounds are clean.
    """
    pairs = []
    for number in sorted({c.round for c in cells}):
        met = {c.peer: c for c in cells if c.round == number}
        if first in met and second in met:
            one, other = met[first], met[second]
            value = getattr(one, column) / max(getattr(other, column), 1e-9)
            pairs.append((value, one.disturbed or other.disturbed))
    if not pairs:
        return None
    clean = [value for value, disturbed in pairs if not disturbed]
    enough = len(clean) * 2 >= len(pairs)
    values = clean if enough else [value for value, _ in pairs]
    return Ratio(statistics.median(values), min(values), max(values), not enough)


def median(cells: Sequence[Cell], peer: str, column: str) -> float:
    """Median of a column over one peer's cells, over the clean ones if at least half are; nan without cells."""
    own = [c for c in cells if c.peer == peer]
    clean = [c for c in own if not c.disturbed]
    used = clean if len(clean) * 2 >= len(own) else own
    return statistics.median(getattr(c, column) for c in used) if used else float("nan")


def ahead(cells: Sequence[Cell], ours: str, peers: Iterable[str]) -> list[str]:
    """Where a peer is better than we are: ``"peer column"`` for the cells of one load."""
    found = []
    for peer in peers:
        for column, more_is_better in COLUMNS.items():
            told = ratio(cells, ours, peer, column)
            if told is not None and (told.value < 1 if more_is_better else told.value > 1):
                found.append(f"{peer} {column} {told.value:.2f}x")
    return found
