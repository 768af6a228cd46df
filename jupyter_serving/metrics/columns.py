"""Columns of whole numbers as bytes: narrow, delta-coded where that is cheaper, byte planes apart; pure.

A column of one block is one code byte, then the values. The code is the width of a value in bytes (0: all values are
zero and nothing follows), with ``DELTA`` added where differences are stored (zigzag-coded, as in Protocol Buffers). The
bytes of one significance stand together (as Blosc's shuffle does), so that deflate finds the zeros of the high ones.
Everything heavy is done by ``array``, ``accumulate`` and slices, so a day is read in a fraction of a second.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate

DELTA = 0x80
LARGEST = 2**62
_TYPES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def pack(values: Sequence[int]) -> bytes:
    """Bytes of a column; values are not negative and at most ``LARGEST``."""
    if not any(values):
        return b"\0"
    deltas = _zigzag(values)
    cost, cost_of_deltas = (sum(v.bit_length() for v in column) for column in (values, deltas))
    chosen, code = (deltas, DELTA) if cost_of_deltas < cost else (values, 0)
    width = next(w for w in _TYPES if max(chosen) < 256**w)
    numbers = array(_TYPES[width], chosen)
    if sys.byteorder == "big":
        numbers.byteswap()
    raw = numbers.tobytes()
    return bytes([code | width]) + b"".join(raw[place::width] for place in range(width))


def unpack(data: bytes, start: int, count: int) -> tuple[list[int], int]:
    """Values of the column that begins at ``start``, and where the next one begins.

    Raises:
        ValueError: these are not the bytes of ``count`` values.
    """
    if start >= len(data):
        raise ValueError("a column is missing")
    width, delta = data[start] & ~DELTA, data[start] & DELTA
    if width == 0:
        return [0] * count, start + 1
    end = start + 1 + width * count
    if width not in _TYPES or end > len(data):
        raise ValueError(f"a column of width {width} does not fit")
    raw = bytearray(width * count)
    for place in range(width):
        first = start + 1 + place * count
        raw[place::width] = data[first : first + count]
    numbers = array(_TYPES[width])
    numbers.frombytes(raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    values = list(accumulate((n >> 1) ^ -(n & 1) for n in numbers)) if delta else numbers.tolist()
    return values, end


def _zigzag(values: Iterable[int]) -> list[int]:
    before, found = 0, []
    for value in values:
        step = value - before
        found.append(step << 1 if step >= 0 else (-step << 1) - 1)
        before = value
    return found
