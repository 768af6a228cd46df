from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.history import EMPTY, History, chart, sparkline, thinned

VALUES = st.lists(st.none() | st.floats(0, 1e6), max_size=300)
COLUMNS = ("arrivals", "failed", "latency_p95", "queued", "ready")


def told(**columns: list[Any]) -> History:
    size = len(next(iter(columns.values())))
    full = {name: [None] * size for name in COLUMNS} | columns
    return History("iris", {"start": 1_800_000_000, "step": 10, "columns": full})


BUSY = told(
    arrivals=[None, 10, 20, 400, None],
    failed=[None, 0, 0, 3, None],
    latency_p95=[None, 0.010, 0.012, 1.5, None],
    queued=[None, 0, 0, 17, None],
    ready=[None, 1, 1, 2, None],
)


def test_the_text_tells_the_figures_of_the_whole_time() -> None:
    lines = repr(BUSY).splitlines()
    assert lines[0].startswith("iris: ")
    assert lines[0].endswith("steps of 10 s")
    assert re.search(r"requests/s +▁▁█ +430 in all, at most 40/s", lines[1])
    assert lines[2].endswith("at most 1.5 s")
    assert lines[3].endswith("3 in all")
    assert lines[4].endswith("at most 17")
    assert lines[5].endswith("at most 2, last 2")


def test_an_idle_endpoint_says_so() -> None:
    idle = told(arrivals=[None] * 4)
    assert EMPTY in repr(idle)
    assert EMPTY in idle._repr_mimebundle_()["text/html"]


def test_notes_are_told_and_escaped() -> None:
    noted = History("<b>", {"start": 0, "step": 1, "columns": BUSY.columns, "notes": ["<i> lost"]})
    shown = noted._repr_mimebundle_()
    assert "Note: <i> lost" in shown["text/plain"]
    assert "<i>" not in shown["text/html"]
    assert "<b>" not in shown["text/html"]


def test_the_html_is_well_formed_and_has_a_chart_for_each_line() -> None:
    html = BUSY._repr_mimebundle_()["text/html"]
    root = ET.fromstring(html)
    assert len(root.findall(".//svg")) == len(list(BUSY.lines()))


def test_a_frame_has_the_columns_by_time() -> None:
    frame = BUSY.frame()
    assert list(frame.columns) == list(BUSY.columns)
    assert frame.index[1].timestamp() == BUSY.times[1] == 1_800_000_010
    assert frame["arrivals"].sum() == 430
    assert frame["arrivals"].isna().sum() == 2


@given(VALUES, st.integers(1, 80))
def test_thinning_keeps_the_highest_value(values: list[float | None], width: int) -> None:
    shown = thinned(values, width)
    assert len(shown) == min(width, len(values))
    there = [v for v in values if v is not None]
    assert max((v for v in shown if v is not None), default=None) == max(there, default=None)


@given(VALUES, st.integers(1, 80))
def test_a_sparkline_has_a_character_for_each_value(values: list[float | None], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert [c == " " for c in line] == [v is None for v in thinned(values, width)]


@given(VALUES)
def test_a_chart_stays_in_its_box_and_shows_each_value_above_zero(
    values: list[float | None],
) -> None:
    path = ET.fromstring(chart(values, "a & b")).find("path")
    assert path is not None
    bars = re.findall(r"M([\d.]+),(\d+) h([\d.]+) v-([\d.]+)", path.attrib["d"])
    for left, bottom, wide, high in bars:
        assert float(left) + float(wide) <= 480 + 1
        assert float(high) <= float(bottom) <= 34
    assert bool(bars) == any(values)


@pytest.mark.parametrize("values", [[0, 0], [5]])
def test_nothing_is_divided_by_zero(values: list[float]) -> None:
    assert len(sparkline(values)) == len(values)
    assert "<svg" in chart(values, "x")
