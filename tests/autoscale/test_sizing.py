"""Slots by Little's law and Erlang's formula: published values, the exact chain, and readable sentences."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.autoscale.sizing import erlang_c, loads, needed, right_size, risk


@pytest.mark.parametrize(
    ("slots", "load", "share"),
    [(1, 0.5, 0.5), (2, 1.0, 1 / 3), (3, 2.0, 4 / 9), (5, 4.0, 0.5541), (10, 8.0, 0.4092)],
)
def test_erlang_c_is_the_tables(slots: int, load: float, share: float) -> None:
    """Values of the M/M/c delay tables (Gross and Harris, and by hand for one to three servers)."""
    assert erlang_c(slots, load) == pytest.approx(share, abs=1e-4)


@given(st.integers(1, 60), st.floats(0.01, 0.99))
def test_erlang_c_is_the_chain_summed_up(slots: int, use: float) -> None:
    load = slots * use
    terms = [math.exp(n * math.log(load) - math.lgamma(n + 1)) for n in range(slots + 1)]
    last = terms[-1] / (1 - use)
    assert erlang_c(slots, load) == pytest.approx(last / (sum(terms[:-1]) + last), rel=1e-6)


def test_no_load_never_waits_and_too_much_always_does() -> None:
    assert erlang_c(4, 0.0) == 0.0
    assert erlang_c(4, 4.0) == 1.0
    assert erlang_c(2000, 1990.0) < 1.0


@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(0.01, 50)), min_size=1, max_size=8))
def test_needed_is_the_least_that_reaches_the_goal(measured: list[tuple[float, float]]) -> None:
    slots = needed(measured)
    assert risk(measured, slots) <= 0.01 + 1e-12
    assert slots == 1 or risk(measured, slots - 1) > 0.01


def test_loads_are_those_of_minutes() -> None:
    measured = loads(10.0, [60, 0, None, 0, 0, 0, 600, 600, 600, 600, 600, 600, 0], 0.1)
    assert sum(requests for requests, _ in measured) == 3660
    # 60 requests of 0.1 s in a minute are 0.1 busy slots, 3600 are 6.
    assert [load for _, load in measured] == pytest.approx([0.1, 6.0])
    assert [n for n, _ in measured] == [60, 3600]
    assert loads(1.0, [4.0] * 60, 1.0, group=4.0) == [(240.0, pytest.approx(1.0))]


def test_the_sentence_tells_what_a_smaller_size_saves() -> None:
    measured = loads(60.0, [150.0] * 60, 0.4)
    told = right_size(measured, 3600.0, 0.4, 16, 4, 6e9)
    assert (told.busy, told.needed, told.advised) == (pytest.approx(1.0), 5, 8)
    assert told.saved_bytes == 12e9
    assert told.risk < 0.001
    assert told.text == (
        "16 provisioned, 1 busy in the mean (2.5 requests/s x 400 ms), p99 needs 5; 8 saves 12 GB, "
        "queueing risk below 0.1 %."
    )


def test_the_sentence_tells_what_is_missing_or_that_it_fits() -> None:
    busy = loads(60.0, [600.0] * 60, 0.4)
    short = right_size(busy, 3600.0, 0.4, 4, 4, 1e9)
    assert short.advised > 4
    assert short.risk_now == 1.0
    assert "costs" in short.text
    assert "instead of 100 %" in short.text
    assert "it fits" in right_size(busy, 3600.0, 0.4, short.advised, 4, 1e9).text


def test_a_peak_counts_more_than_its_time() -> None:
    quiet, peak = [6.0] * 1430, [6000.0] * 10
    measured = loads(60.0, quiet + peak, 0.1)
    assert needed(measured) > 10
    assert needed(loads(60.0, quiet, 0.1)) <= 2
