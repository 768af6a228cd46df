import math

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.metrics.window import (
    LARGEST,
    LAST_BUCKET,
    RELATIVE_ERROR,
    SMALLEST,
    Histogram,
    RateWindow,
    bucket_of,
    upper_bound,
    value_of,
)

durations = st.floats(min_value=SMALLEST, max_value=LARGEST)


def histogram_of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(durations)
def test_a_bucket_stands_for_its_values_within_five_percent(value: float) -> None:
    assert RELATIVE_ERROR < 0.05
    assert (
        abs(value_of(bucket_of(value)) - value) <= value * RELATIVE_ERROR * 1.0001 + SMALLEST / 20
    )


@given(durations)
def test_a_value_never_exceeds_the_upper_bound_of_its_bucket(value: float) -> None:
    assert value <= upper_bound(bucket_of(value)) * (1 + 1e-9)


@given(st.lists(durations, min_size=1, max_size=60), st.floats(min_value=0, max_value=1))
def test_quantiles_are_close_to_the_exact_ones(values: list[float], q: float) -> None:
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    got = histogram_of(values).quantile(q)
    assert got is not None
    assert abs(got - exact) <= exact * RELATIVE_ERROR * 1.0001 + SMALLEST / 20


@given(st.lists(durations, max_size=40), st.lists(durations, max_size=40))
def test_merging_equals_counting_together(left: list[float], right: list[float]) -> None:
    merged = histogram_of(left)
    merged.merge(histogram_of(right))
    assert merged.pairs() == histogram_of(left + right).pairs()
    assert merged.count == len(left) + len(right)


@given(st.lists(durations, max_size=40))
def test_the_wire_form_round_trips(values: list[float]) -> None:
    histogram = histogram_of(values)
    assert Histogram(histogram.pairs()).pairs() == histogram.pairs()


def test_out_of_range_values_are_kept_in_the_outer_buckets() -> None:
    assert [bucket_of(v) for v in (0.0, -1.0, 1e9)] == [0, 0, LAST_BUCKET]


def test_an_empty_histogram_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().count == 0


def test_the_total_is_close_to_the_sum() -> None:
    values = [0.01 * n for n in range(1, 100)]
    assert abs(histogram_of(values).total() - sum(values)) < sum(values) * RELATIVE_ERROR


def test_the_rate_of_a_steady_stream_is_its_rate() -> None:
    window = RateWindow(10.0, 20)
    for n in range(4000):
        window.add(n / 100)
    assert abs(window.rate(40.0) - 100) < 6


def test_the_rate_forgets_what_left_the_window() -> None:
    window = RateWindow(10.0, 20)
    window.add(0.0, 50)
    assert window.rate(5.0) == 10.0
    assert window.rate(10.5) == 0.0


def test_a_young_window_is_not_diluted_by_time_before_its_first_event() -> None:
    window = RateWindow(10.0, 20)
    for n in range(20):
        window.add(100 + n / 10)
    assert 8 < window.rate(102.0) < 12


def test_a_window_without_events_has_rate_zero() -> None:
    assert RateWindow().rate(7.0) == 0.0


@given(st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=50))
def test_the_rate_counts_the_window_up_to_one_step(gaps: list[float]) -> None:
    window, times = RateWindow(5.0, 10), [100.0]
    window.add(100.0)
    for gap in gaps:
        times.append(times[-1] + gap)
        window.add(times[-1])
    now = times[-1]
    if now - 100.0 < 5.0:
        return
    counted = window.rate(now) * 5.0
    assert sum(t > now - 4.5 for t in times) - 1e-6 <= counted
    assert counted <= sum(t > now - 5.5 for t in times) + 1e-6
