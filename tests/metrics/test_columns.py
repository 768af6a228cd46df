from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.metrics.columns import LARGEST, pack, unpack

VALUES = st.lists(st.integers(0, LARGEST) | st.integers(0, 300), max_size=60)


@given(VALUES, st.binary(max_size=5), st.binary(max_size=5))
def test_a_column_comes_back_wherever_it_stands(
    values: list[int], before: bytes, after: bytes
) -> None:
    packed = pack(values)
    found = unpack(before + packed + after, len(before), len(values))
    assert found == (values, len(before) + len(packed))


def test_columns_without_news_deflate_to_nothing() -> None:
    assert len(pack([0] * 1000)) == 1
    for quiet in ([10**9 + 10 * n for n in range(1000)], [200] * 1000, [10**15] * 1000):
        assert len(zlib.compress(pack(quiet))) < 60


@given(st.binary(max_size=40), st.integers(0, 50))
def test_other_bytes_are_refused_or_are_a_column(data: bytes, count: int) -> None:
    try:
        values, end = unpack(data, 0, count)
    except ValueError:
        return
    assert len(values) == count
    assert 0 < end <= len(data)


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_a_column_that_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="column"):
        unpack(pack([1, 200, 3, 4, 5])[:cut], 0, 5)
