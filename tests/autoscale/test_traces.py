"""Traces: recorded ones are counted without loss, synthetic ones have the rate that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.autoscale.synthetic import synthetic
from jupyter_serving.autoscale.traces import Trace
from jupyter_serving.errors import InvalidParameter


@given(
    st.lists(st.floats(0, 500, allow_nan=False), min_size=1, max_size=50),
    st.sampled_from([0.1, 1, 5]),
)
def test_every_moment_is_counted_once(times: list[float], step: float) -> None:
    trace = Trace.of_times(times, step, 0.1)
    assert trace.requests == len(times)
    assert trace.arrivals[0, int(times[0] / step)] >= 1


def test_moments_beyond_the_length_are_left_out() -> None:
    trace = Trace.of_times([0.5, 9.0, 10.0, 11.0], 1.0, 0.1, seconds=10.0)
    assert trace.arrivals[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_no_moment_needs_a_length() -> None:
    assert Trace.of_times([], 1.0, 0.1, seconds=3.0).requests == 0
    with pytest.raises(InvalidParameter, match="no arrival"):
        Trace.of_times([], 1.0, 0.1)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("time,requests\n100,2\n103,1\n100.5,4\n", [6, 0, 0, 1]),
        ("7\n7.2\n\n9\n", [2, 0, 1]),
    ],
    ids=["counts under a header", "a line for each request"],
)
def test_of_csv(tmp_path: Path, text: str, counts: list[int]) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    assert Trace.of_csv(path, 1.0, 0.1).arrivals[0].tolist() == counts


@pytest.mark.parametrize(
    ("text", "what"),
    [("1\ntwo\n", "Line 2"), ("1,-3\n", "Line 1"), ("", "no arrival"), ("0\n1e12\n", "steps")],
)
def test_a_csv_that_is_none_is_told(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(InvalidParameter, match=what):
        Trace.of_csv(path, 1.0, 0.1)
    with pytest.raises(InvalidParameter, match="cannot be read"):
        Trace.of_csv(tmp_path / "other.csv", 1.0, 0.1)


def test_of_history_takes_the_execution_time_from_littles_law() -> None:
    columns = {
        "arrivals": [None, 3, None, 0, 5],
        "finished": [None, 2, 1, None, 5],
        "busy_seconds": [None, 1.0, 0.5, None, 2.5],
        "ready": [None, 2, None, 1, 0],
    }
    trace = Trace.of_history({"start": 1000, "step": 10, "columns": columns})
    assert (trace.start, trace.step, trace.seconds, trace.ready) == (1010, 10, 40, 2)
    assert trace.arrivals[0].tolist() == [3, 0, 0, 5]
    assert trace.execution[0] == pytest.approx(0.5)


@pytest.mark.parametrize("columns", [{}, {"arrivals": [None, 0]}])
def test_a_history_without_requests_is_told(columns: dict[str, list[float | None]]) -> None:
    with pytest.raises(InvalidParameter, match="no request"):
        Trace.of_history({"start": 0, "step": 1, "columns": columns})


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.floats(0.01, 1.0))
def test_a_share_is_whole_and_within_one_of_exact(counts: list[int], part: float) -> None:
    trace = Trace(0.0, 1.0, np.array([counts], dtype=np.float32), np.array([0.1])).share(part)
    assert (trace.arrivals == np.round(trace.arrivals)).all()
    assert trace.requests == pytest.approx(sum(counts) * part, abs=1.0)
    assert (trace.arrivals[0] <= np.array(counts) + 1).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.sampled_from([1.0, 3.0, 7.0]))
def test_coarser_steps_hold_the_same_requests(counts: list[int], step: float) -> None:
    trace = Trace(0.0, 1.0, np.array([counts], dtype=np.float32), np.array([0.1])).coarser(step)
    assert trace.step == step
    assert trace.requests == sum(counts)
    assert trace.arrivals[0, 0] == sum(counts[: int(step)])


@pytest.mark.parametrize("kind", ["diurnal", "bursty", "mixed"])
def test_synthetic_traces_have_their_rate(kind: str) -> None:
    trace = synthetic(kind, 2000.0, endpoints=20, step=60.0, seed=1)
    assert trace.arrivals.shape == (20, 1440)
    assert trace.requests / trace.seconds == pytest.approx(2000.0, rel=0.02)
    again = synthetic(kind, 2000.0, endpoints=20, step=60.0, seed=1)
    assert (trace.arrivals == again.arrivals).all()
    other = synthetic(kind, 2000.0, endpoints=20, step=60.0, seed=2)
    assert not (trace.arrivals == other.arrivals).all()


def test_a_burst_has_silence_around_it_and_a_day_has_not() -> None:
    bursty = synthetic("bursty", 50.0, seed=3).arrivals[0]
    diurnal = synthetic("diurnal", 50.0, seed=3).arrivals[0]
    assert (bursty == 0).mean() > 0.5
    assert (diurnal == 0).mean() < 0.01
    hours = diurnal.reshape(24, -1).mean(axis=1)
    assert hours.max() > 4 * hours.min()


@pytest.mark.parametrize(
    "wrong", [{"rate": 0.0}, {"endpoints": 0}, {"seconds": 1.0}, {"kind": "x"}]
)
def test_what_cannot_be_made_is_told(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidParameter):
        synthetic(**{"kind": "diurnal", "rate": 1.0, **wrong})  # type: ignore[arg-type]
