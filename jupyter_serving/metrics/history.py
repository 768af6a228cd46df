"""The format of the metrics history: rows of figures in framed, compressed, columnar blocks; pure.

A row tells what an endpoint did in one second, or in a longer step: rows merge, and the latencies of a row are a
histogram (``window.Histogram``), so quantiles over any step are right within the histogram's error. A block is a frame
(magic, length, CRC-32, first and last second) around the deflated columns of its rows. Blocks are only appended; what
a crash or a damaged disk leaves is skipped up to the next frame, and counted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from .columns import LARGEST, pack, unpack
from .window import LAST_BUCKET, Histogram

# Summed over a step. ``failed``: errors, and refusals that are no client's doing; ``*_ms``: request-milliseconds.
COUNTS = (
    *("arrivals", "finished", "errors", "refused", "failed", "cold_starts"),
    *("busy_ms", "waiting_ms"),
)
# The highest of a step. ``gap_ms``: longest time without an answer while a request was there.
PEAKS = ("in_flight", "queued", "gap_ms")
# As they were at the end of a step.
STATES = ("ready", "starting", "wanted")
NUMBERS = (*COUNTS, *PEAKS, *STATES)
# Quantiles that are told, in seconds: column -> histogram and share.
QUANTILES = {
    "latency_p50": ("latency", 0.50),
    "latency_p95": ("latency", 0.95),
    "latency_p99": ("latency", 0.99),
    "wait_p95": ("waits", 0.95),
}
SECONDS = {
    "busy_seconds": "busy_ms",
    "waiting_seconds": "waiting_ms",
    "longest_gap": "gap_ms",
}
TOLD = (*(name for name in NUMBERS if not name.endswith("_ms")), *SECONDS, *QUANTILES)

# The last character is the version of the columns.
MAGIC = b"JSH1"
_HEAD = struct.Struct("<4sIIQQ")
_COUNT = struct.Struct("<I")
LEVEL = 9
# Far above any block that is written: what is beyond is damage.
LARGEST_BLOCK, LARGEST_ROWS = 16 * 1024 * 1024, 100_000


@dataclass(slots=True)
class Row:
    """Figures of one step that begins at ``at`` (epoch seconds); ``numbers`` by the names of ``NUMBERS``."""

    at: int
    numbers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NUMBERS, 0))
    latency: Histogram = field(default_factory=Histogram)
    waits: Histogram = field(default_factory=Histogram)

    def add(self, later: Row) -> None:
        """Take in the figures of a row that is not earlier."""
        mine, other = self.numbers, later.numbers
        for name in COUNTS:
            mine[name] += other[name]
        for name in PEAKS:
            mine[name] = max(mine[name], other[name])
        for name in STATES:
            mine[name] = other[name]
        self.latency.merge(later.latency)
        self.waits.merge(later.waits)

    def told(self, name: str) -> float | None:
        """Value of a column of the API; None for a quantile of nothing."""
        if name in SECONDS:
            return self.numbers[SECONDS[name]] / 1000
        if name not in QUANTILES:
            return self.numbers[name]
        histogram, share = QUANTILES[name]
        value = getattr(self, histogram).quantile(share)
        return None if value is None else round(value, 6)


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows in their frame: the first and last second, and the columns, still deflated."""

    first: int
    last: int
    body: bytes


def encode(rows: Sequence[Row]) -> bytes:
    """One framed block of rows (at least one)."""
    columns = [pack([row.at for row in rows])]
    columns += [pack([min(LARGEST, row.numbers[name]) for row in rows]) for name in NUMBERS]
    for histograms in ([row.latency for row in rows], [row.waits for row in rows]):
        columns += _pack_histograms(histograms)
    body = _COUNT.pack(len(rows)) + b"".join(columns)
    times = [row.at for row in rows]
    return frame(min(times), max(times), zlib.compress(body, LEVEL))


def frame(first: int, last: int, body: bytes) -> bytes:
    """A body in its frame."""
    times = struct.pack("<QQ", first, last)
    return _HEAD.pack(MAGIC, len(body), zlib.crc32(times + body), first, last) + body


def scan(data: bytes) -> Iterator[Block | None]:
    """Every whole block of a file, in its order; None for each stretch of bytes that is none."""
    place = 0
    while place < len(data):
        block = _block_at(data, place)
        if block is not None:
            yield block
            place += _HEAD.size + len(block.body)
            continue
        yield None
        place = _next_block(data, place + 1)


def _next_block(data: bytes, place: int) -> int:
    """Where the next whole block begins; the end where there is none."""
    while (place := data.find(MAGIC, place)) >= 0:
        if _block_at(data, place) is not None:
            return place
        place += 1
    return len(data)


def _block_at(data: bytes, place: int) -> Block | None:
    if len(data) - place < _HEAD.size:
        return None
    magic, length, check, first, last = _HEAD.unpack_from(data, place)
    end = place + _HEAD.size + length
    if magic != MAGIC or length > LARGEST_BLOCK or end > len(data):
        return None
    body = data[place + _HEAD.size : end]
    return Block(first, last, body) if zlib.crc32(data[place + 12 : end]) == check else None


def decode(block: Block) -> list[Row]:
    """Rows of a block.

    Raises:
        ValueError: the frame is whole, but what it holds is not.
    """
    try:
        data = zlib.decompress(block.body)
        (count,) = _COUNT.unpack_from(data)
    except (zlib.error, struct.error) as error:
        raise ValueError(f"a block cannot be inflated: {error}") from error
    if count > LARGEST_ROWS:
        raise ValueError(f"a block cannot hold {count} rows")
    times, place = unpack(data, _COUNT.size, count)
    columns = []
    for _ in NUMBERS:
        column, place = unpack(data, place, count)
        columns.append(column)
    latency, place = _unpack_histograms(data, place, count)
    waits, place = _unpack_histograms(data, place, count)
    numbers = zip(*columns, strict=True)
    return [
        Row(at, dict(zip(NUMBERS, values, strict=True)), slow, wait)
        for at, values, slow, wait in zip(times, numbers, latency, waits, strict=True)
    ]


def _pack_histograms(histograms: Sequence[Histogram]) -> list[bytes]:
    """Three columns: how many buckets each row has, those buckets, and their counts."""
    pairs = [pair for histogram in histograms for pair in histogram.pairs()]
    return [
        pack([len(histogram.counts) for histogram in histograms]),
        pack([bucket for bucket, _ in pairs]),
        pack([min(LARGEST, count) for _, count in pairs]),
    ]


def _unpack_histograms(data: bytes, place: int, count: int) -> tuple[list[Histogram], int]:
    sizes, place = unpack(data, place, count)
    buckets, place = unpack(data, place, sum(sizes))
    counts, place = unpack(data, place, sum(sizes))
    if buckets and not 0 <= min(buckets) <= max(buckets) <= LAST_BUCKET:
        raise ValueError("a bucket is out of range")
    found, begin = [], 0
    for size in sizes:
        histogram, end = Histogram(), begin + size
        histogram.counts = dict(zip(buckets[begin:end], counts[begin:end], strict=True))
        found.append(histogram)
        begin = end
    return found, place


def merged(rows: Iterable[Row], step: int) -> list[Row]:
    """Rows of a longer step (seconds), each at a multiple of it; ``rows`` ascend in time and stay as they are."""
    found = []
    for at, group in groupby(rows, key=lambda row: row.at - row.at % step):
        whole = Row(at)
        for row in group:
            whole.add(row)
        found.append(whole)
    return found


def table(rows: Iterable[Row], start: int, end: int, step: int) -> dict[str, list[Any]]:
    """Columns of the API from ``start`` to before ``end``: a value for each step, None where nothing was recorded.

    ``start`` is a multiple of ``step``; ``rows`` ascend and are not longer than ``step``.
    """
    size = max(0, -(-(end - start) // step))
    columns: dict[str, list[Any]] = {name: [None] * size for name in TOLD}
    for row in merged(rows, step):
        place = (row.at - start) // step
        if 0 <= place < size:
            for name in TOLD:
                columns[name][place] = row.told(name)
    return columns
