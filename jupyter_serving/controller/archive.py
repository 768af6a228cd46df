"""Files of the metrics history: a folder per endpoint, a file per hour of seconds and per day of tens of seconds.

Blocks are only appended. A file's name tells what it begins with, so what is old goes by its name. Everything here
blocks: ``history.History`` calls it in a thread of its own.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..metrics.history import Block, Row, decode, encode, merged, scan

log = logging.getLogger(__name__)
TEN = 10
HOUR, DAY = 3600, 86400


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows of one length: ``step`` seconds each, a file for ``span`` seconds, kept for ``kept`` seconds."""

    name: str
    step: int
    span: int
    kept: int


SECONDS = Kind("seconds", 1, HOUR, HOUR)
TENS = Kind("tens", TEN, DAY, 14 * DAY)
KINDS = {kind.name: kind for kind in (SECONDS, TENS)}


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that were read, in the order of their time, and how many blocks were damaged."""

    rows: list[Row]
    damaged: int = 0


class Archive:
    """The folder of all endpoints' histories."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, endpoint: str, kind: Kind, rows: Sequence[Row]) -> None:
        """Append a block; one that cannot be written (a full disk) is told in the log and lost."""
        start = rows[0].at - rows[0].at % kind.span
        path = self.folder / endpoint / f"{kind.name}-{start}.bin"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(encode(rows))
        except OSError as error:
            log.warning("metrics history: %s cannot be written: %s", path, error)

    def read(self, endpoint: str, kind: Kind, start: float, end: float) -> Found:
        """Rows from ``start`` to before ``end`` (epoch seconds), at most one for each step."""
        rows: list[Row] = []
        damaged = 0
        for first, path in self._files(endpoint, kind):
            # A block stands in the file of its first row, and may reach into the next span.
            if first < end and first + 2 * kind.span > start:
                found, bad = _rows(path, start - kind.step, end)
                rows += found
                damaged += bad
        inside = sorted((r for r in rows if start <= r.at < end), key=lambda row: row.at)
        return Found(merged(inside, kind.step), damaged)

    def remove(self, endpoint: str) -> None:
        """Remove everything of an endpoint."""
        shutil.rmtree(self.folder / endpoint, ignore_errors=True)

    def recover(self, endpoints: Collection[str]) -> None:
        """Make up the tens that a crash kept from their file; remove what is of no endpoint."""
        for endpoint in self._endpoints():
            if endpoint not in endpoints:
                self.remove(endpoint)
            elif rows := self._not_in_tens(endpoint):
                self.append(endpoint, TENS, merged(rows, TEN))

    def _not_in_tens(self, endpoint: str) -> list[Row]:
        seconds = [first for first, _ in self._files(endpoint, SECONDS)]
        if not seconds:
            return []
        lasts = [b.last for _, path in self._files(endpoint, TENS) for b in _blocks(path) if b]
        begin = max(lasts) + TEN if lasts else min(seconds)
        return self.read(endpoint, SECONDS, begin, max(seconds) + 2 * HOUR).rows

    def sweep(self, now: float) -> bool:
        """Remove what is older than it is kept; False where nothing is left."""
        left = False
        for endpoint in self._endpoints():
            kept = False
            for kind in KINDS.values():
                for first, path in self._files(endpoint, kind):
                    if first + kind.span + kind.kept <= now:
                        path.unlink(missing_ok=True)
                    else:
                        kept = True
            if not kept:
                self.remove(endpoint)
            left = left or kept
        return left

    def _endpoints(self) -> list[str]:
        try:
            return [path.name for path in self.folder.iterdir() if path.is_dir()]
        except OSError:
            return []

    def _files(self, endpoint: str, kind: Kind) -> Iterator[tuple[int, Path]]:
        """Files of a kind with the second that each begins with, oldest first."""
        found = []
        for path in (self.folder / endpoint).glob(f"{kind.name}-*.bin"):
            number = path.stem.partition("-")[2]
            if number.isdigit():
                found.append((int(number), path))
        return iter(sorted(found))


def _rows(path: Path, start: float, end: float) -> tuple[list[Row], int]:
    """Rows of the blocks of a file that overlap a time, and how many blocks cannot be read."""
    rows: list[Row] = []
    damaged = 0
    for block in _blocks(path):
        try:
            if block is None:
                raise ValueError("a stretch of it is no block")
            if block.first < end and block.last >= start:
                rows += decode(block)
        except ValueError as error:
            log.warning("metrics history: %s is damaged: %s", path, error)
            damaged += 1
    return rows, damaged


def _blocks(path: Path) -> Iterator[Block | None]:
    try:
        data = path.read_bytes()
    except OSError as error:
        log.warning("metrics history: %s cannot be read: %s", path, error)
        return iter([None])
    return scan(data)
