from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import rounds, tables
from benchmarks.rounds import Cell

CELL = Cell("rf", 1, 8, 0, "a", 100.0, 5.0, 9.0, 1.0, 1 << 20, 0.0, 0, 12.0)


def cell(peer: str, number: int, rate: float, **fields: Any) -> Cell:
    return replace(CELL, peer=peer, round=number, rate=rate, **fields)


def test_every_other_round_goes_backwards() -> None:
    assert list(rounds.turns(["a", "b"], 3)) == [(0, ("a", "b")), (1, ("b", "a")), (2, ("a", "b"))]


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    rates = [(10, 100), (10, 20), (1000, 3000)]  # the machine became 100 times faster
    cells = [
        c for n, (low, high) in enumerate(rates) for c in (cell("a", n, high), cell("b", n, low))
    ]
    told = rounds.ratio(cells, "a", "b")
    assert told == rounds.Ratio(3.0, 2.0, 10.0, False)


def test_disturbed_rounds_are_left_out_while_half_are_clean() -> None:
    cells = [cell("a", 0, 30), cell("b", 0, 10), cell("a", 1, 10), cell("b", 1, 10, foreign=0.5)]
    assert rounds.ratio(cells, "a", "b") == rounds.Ratio(3.0, 3.0, 3.0, False)


def test_a_ratio_of_disturbed_rounds_says_so() -> None:
    cells = [cell("a", 0, 30, foreign=0.11), cell("b", 0, 10)]
    assert rounds.ratio(cells, "a", "b") == rounds.Ratio(3.0, 3.0, 3.0, True)


def test_peers_that_never_met_have_no_ratio() -> None:
    assert rounds.ratio([cell("a", 0, 30), cell("b", 1, 10)], "a", "b") is None


def test_the_median_prefers_clean_cells() -> None:
    cells = [cell("a", 0, 30), cell("a", 1, 10, foreign=1.0), cell("a", 2, 40)]
    assert rounds.median(cells, "a", "rate") == 35
    assert math.isnan(rounds.median(cells, "b", "rate"))


def test_cells_of_one_load() -> None:
    cells = [cell("a", 0, 1), cell("a", 0, 2, rows=100), cell("a", 0, 3, connections=1)]
    assert [c.rate for c in rounds.of(cells, "rf", 1, 8)] == [1]


def test_a_peer_is_ahead_where_more_is_better_or_less_is() -> None:
    cells = [cell("ours", 0, 100, p99=5.0, cpu=2.0), cell("b", 0, 50, p99=4.0, cpu=2.0)]
    assert rounds.ahead(cells, "ours", ["b"]) == ["b p99 1.25x"]
    assert rounds.ahead(cells, "b", ["ours"]) == ["ours rate 0.50x"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.5, "1.50"), (173.2, "173"), (12345.6, "12,346")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert tables.number(value) == text


def test_no_figure_is_a_dash() -> None:
    assert tables.number(float("nan")) == "-"
    assert tables.mib(float("nan")) == "-"


def test_a_table_of_loads() -> None:
    cells = [cell("a", 0, 300), cell("b", 0, 100, foreign=0.2)]
    text = tables.load(cells, {"a": "A", "b": "B", "c": "C"}, [8], "b")
    assert text.splitlines()[2:] == [
        "| A | 300 | 3.00 (3.00-3.00)* | 5.00 | 9.00 | 1.00 |",
        "| B | 100 | 1.00 (1.00-1.00)* | 5.00 | 9.00 | 1.00 |",
        "| C | - | - | - | - | - |",
    ]
