from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.metrics.history import (
    COUNTS,
    NUMBERS,
    PEAKS,
    STATES,
    TOLD,
    Block,
    Row,
    decode,
    encode,
    frame,
    merged,
    scan,
    table,
)
from jupyter_serving.metrics.window import LAST_BUCKET, RELATIVE_ERROR, Histogram

HISTOGRAMS = st.dictionaries(st.integers(0, LAST_BUCKET), st.integers(1, 10**6), max_size=20).map(
    lambda counts: Histogram(sorted(counts.items()))
)


@st.composite
def rows(draw: st.DrawFn, longest: int = 25) -> list[Row]:
    times = sorted(draw(st.sets(st.integers(0, 2**33), min_size=1, max_size=longest)))
    value = st.integers(0, 50) | st.integers(0, 2**40)
    return [
        Row(at, {name: draw(value) for name in NUMBERS}, draw(HISTOGRAMS), draw(HISTOGRAMS))
        for at in times
    ]


def plain(found: Sequence[Row]) -> list[tuple[object, ...]]:
    return [(r.at, r.numbers, r.latency.pairs(), r.waits.pairs()) for r in found]


def read(data: bytes) -> tuple[list[Row], int]:
    blocks = list(scan(data))
    return [row for b in blocks if b for row in decode(b)], blocks.count(None)


@given(rows())
def test_rows_come_back_from_a_block(some: list[Row]) -> None:
    (block,) = scan(encode(some))
    assert block is not None
    assert (block.first, block.last) == (some[0].at, some[-1].at)
    assert plain(decode(block)) == plain(some)


@given(st.lists(rows(4), min_size=1, max_size=4), st.data())
def test_a_damaged_byte_costs_one_block_and_is_counted(
    some: list[list[Row]], data: st.DataObject
) -> None:
    blocks = [encode(part) for part in some]
    victim = data.draw(st.integers(0, len(blocks) - 1))
    broken = bytearray(blocks[victim])
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    found, damaged = read(b"".join([*blocks[:victim], bytes(broken), *blocks[victim + 1 :]]))
    left = [row for n, part in enumerate(some) if n != victim for row in part]
    assert plain(found) == plain(left)
    assert damaged == 1


@given(rows(4), rows(4), st.data())
def test_a_half_written_block_does_not_hide_the_next(
    first: list[Row], second: list[Row], data: st.DataObject
) -> None:
    half = encode(first)
    half = half[: data.draw(st.integers(1, len(half) - 1))]
    found, damaged = read(half + encode(second))
    assert plain(found) == plain(second)
    assert damaged == 1


@given(st.binary(max_size=300))
def test_a_whole_frame_around_nonsense_is_refused(body: bytes) -> None:
    (block,) = scan(frame(1, 2, body))
    assert block == Block(1, 2, body)
    with pytest.raises(ValueError):
        decode(block)


@given(rows(), st.integers(1, 10**6), st.integers(1, 50))
def test_merging_in_two_strides_is_merging_in_one(some: list[Row], step: int, times: int) -> None:
    twice = merged(merged(some, step), step * times)
    assert plain(twice) == plain(merged(some, step * times))


@given(rows())
def test_a_longer_step_sums_counts_keeps_peaks_and_the_last_state(some: list[Row]) -> None:
    (whole,) = merged(some, 2**40)
    for name in COUNTS:
        assert whole.numbers[name] == sum(row.numbers[name] for row in some)
    for name in PEAKS:
        assert whole.numbers[name] == max(row.numbers[name] for row in some)
    for name in STATES:
        assert whole.numbers[name] == some[-1].numbers[name]
    assert whole.latency.count == sum(row.latency.count for row in some)


@given(
    st.lists(st.lists(st.floats(1e-4, 100.0), min_size=1, max_size=40), min_size=1, max_size=20),
    st.sampled_from([10, 30, 600]),
)
def test_quantiles_over_a_step_are_those_of_all_its_requests(
    seconds: list[list[float]], step: int
) -> None:
    some = []
    for n, values in enumerate(seconds):
        row = Row(n * 10)
        for value in values:
            row.latency.add(value)
        some.append(row)
    (block,) = scan(encode(some))
    assert block is not None
    columns = table(decode(block), 0, len(seconds) * 10, step)
    for place, told in enumerate(columns["latency_p95"]):
        share = step // 10
        inside = sorted(v for part in seconds[place * share : (place + 1) * share] for v in part)
        true = inside[math.ceil(0.95 * len(inside)) - 1]
        assert abs(told - true) <= true * RELATIVE_ERROR * 1.01 + 1e-6


def test_a_table_has_a_value_for_each_step_and_null_where_nothing_was() -> None:
    some = [Row(20), Row(21), Row(40)]
    for row in some:
        row.numbers.update(arrivals=2, busy_ms=500, ready=row.at)
    columns = table(some, 10, 55, 10)
    assert set(columns) == set(TOLD)
    assert columns["arrivals"] == [None, 4, None, 2, None]
    assert columns["busy_seconds"] == [None, 1.0, None, 0.5, None]
    assert columns["ready"] == [None, 21, None, 40, None]
    assert columns["latency_p95"] == [None] * 5


def noisy(at: int, seconds: int, source: random.Random) -> Row:
    """A row of a busy endpoint of which nothing is regular: 30 requests a second, eight octaves of latency."""
    requests = max(0, round(source.gauss(30 * seconds, math.sqrt(30 * seconds))))
    row = Row(at)
    row.numbers.update(
        arrivals=requests,
        finished=max(0, requests + source.randint(-9, 9)),
        errors=source.randint(0, 5),
        refused=source.randint(0, 9),
        failed=source.randint(0, 14),
        cold_starts=source.randint(0, 2),
        busy_ms=source.randint(0, 60_000),
        waiting_ms=source.randint(0, 60_000),
        in_flight=source.randint(0, 64),
        queued=source.randint(0, 1000),
        ready=source.randint(0, 16),
        starting=source.randint(0, 4),
        wanted=source.randint(0, 16),
    )
    for _ in range(requests):
        row.latency.add(source.lognormvariate(-3.5, 1.0))
        row.waits.add(source.lognormvariate(-6.0, 1.5))
    return row


def test_a_full_day_of_noise_takes_less_than_two_megabytes() -> None:
    source = random.Random(4)
    # A block of ten minutes of tens, 144 times a day; blocks of three seconds for two hours, as they are written.
    tens = sum(len(encode([noisy(n * 10, 10, source) for n in range(60)])) for _ in range(12))
    seconds = sum(len(encode([noisy(n, 1, source) for n in range(3)])) for _ in range(200))
    day = tens / 12 * 144 + seconds / 200 * 2400
    assert day <= 2_000_000, f"{day / 1e6:.2f} MB"
