from __future__ import annotations

import gzip
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.runtime.bodies import Refused, unpacked


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=4))
def test_gzip_of_any_number_of_members_is_unpacked(members: list[bytes]):
    packed = b"".join(map(gzip.compress, members))
    whole = b"".join(members)
    assert unpacked(packed, "gzip", 0) == whole
    assert unpacked(packed, " X-GZIP ", len(whole) or 1) == whole


def test_identity_and_none_are_the_body_itself():
    body = b"{}"
    assert unpacked(body, None, 1) is body
    assert unpacked(body, "Identity", 1) is body


@given(st.binary(max_size=200))
def test_what_is_no_gzip_is_refused_and_nothing_else_is_raised(body: bytes):
    try:
        unpacked(body, "gzip", 1000)
    except Refused:
        return
    assert gzip.decompress(body) is not None


@given(st.integers(0, 60))
def test_a_cut_end_is_refused(kept: int):
    packed = gzip.compress(bytes(range(256)))
    with pytest.raises(Refused):
        unpacked(packed[:kept], "gzip", 0)


def test_a_bomb_is_refused_before_it_is_unpacked():
    bomb = gzip.compress(bytes(200_000_000), 1)
    tracemalloc.start()
    with pytest.raises(Refused, match="more than 1000000 bytes"):
        unpacked(bomb, "gzip", 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
@pytest.mark.parametrize("members", [1, 2])
def test_sizes_around_those_of_the_steps(size: int, members: int):
    for body in (bytes(size), random.Random(1).randbytes(size)):
        packed = gzip.compress(body, 1) * members
        assert unpacked(packed, "gzip", 0) == body * members
        with pytest.raises(Refused):
            unpacked(packed[:-9], "gzip", 0)
