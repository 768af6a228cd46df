"""Files of the metrics history: a folder per endpoint, a file per hour of seconds and per day of tens of seconds.

Blocks are only appended. A file's name tells what it begins with, so what is old goes by its name. Everything here
blocks: ``history.History`` calls it in a thread of its own.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..metrics.history import Row, decode, encode, merged, scan

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


@dataclass(frozen=True, slots=True)
class Content:
    """A file and what is in it; None where it cannot be read."""

    path: Path
    data: bytes | None


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

    def load(self, endpoint: str, kind: Kind, start: float, end: float) -> list[Content]:
        """The files that hold rows from ``start`` to before ``end`` (epoch seconds), as they are now."""
        return [
            Content(path, _bytes(path))
            for first, path in self._files(endpoint, kind)
            # A block stands in the file of its first row, and may reach into the next span.
            if first < end and first + 2 * kind.span > start
        ]

    def remove(self, endpoint: str) -> None:
        """Remove everything of an endpoint."""
        shutil.rmtree(self.folder / endpoint, ignore_errors=True)

    def recover(self, endpoints: Collection[str]) -> None:
        """Make up the tens that a crash kept from their file; remove what is of no endpoint."""
        for endpoint in self._endpoints():
            if endpoint not in endpoints:
                self.remove(endpoint)
            elif rows := self._not_in_tens(endpoint):
                self.append(endpoint, TENS, rows)

    def _not_in_tens(self, endpoint: str) -> list[Row]:
        """Tens made of the seconds after the last of the tens."""
        seconds = [first for first, _ in self._files(endpoint, SECONDS)]
        if not seconds:
            return []
        tens = [scan(_bytes(path) or b"") for _, path in self._files(endpoint, TENS)]
        lasts = [block.last for blocks in tens for block in blocks if block]
        begin = max(lasts) + TEN if lasts else min(seconds)
        end = max(seconds) + 2 * HOUR
        return read(self.load(endpoint, SECONDS, begin, end), begin, end, TEN).rows

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


def read(contents: Iterable[Content], start: float, end: float, step: int) -> Found:
    """Rows of ``step`` seconds from ``start`` to before ``end``, made from what was loaded.

    Only rows of that length are held in memory, and those of one block.
    """
    rows: dict[int, Row] = {}
    damaged = 0
    for content in contents:
        for part in _parts(content, start - TEN, end):
            if part is None:
                damaged += 1
                continue
            for row in merged([r for r in part if start <= r.at < end], step):
                if row.at in rows:
                    rows[row.at].add(row)
                else:
                    rows[row.at] = row
    return Found([rows[at] for at in sorted(rows)], damaged)


def _parts(content: Content, start: float, end: float) -> Iterator[list[Row] | None]:
    """Rows of each block that overlaps a time; None for what cannot be read."""
    if content.data is None:
        yield None
        return
    for block in scan(content.data):
        try:
            if block is None:
                raise ValueError("a stretch of it is no block")
            if block.first < end and block.last >= start:
                yield decode(block)
        except ValueError as error:
            log.warning("metrics history: %s is damaged: %s", content.path, error)
            yield None


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:
        log.warning("metrics history: %s cannot be read: %s", path, error)
        return None
