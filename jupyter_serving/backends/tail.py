"""The useful end of a log file."""

from __future__ import annotations

import re
from pathlib import Path

_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:]+Z ")
_READ = 64 * 1024
_LONGEST = 600


def size(path: Path) -> int:
    """Bytes in the file now; 0 when there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def useful(path: Path, start: int = 0) -> str:
    """The line of what was appended since ``start`` that says most: the end of a traceback, else the last lines."""
    try:
        with open(path, "rb") as file:
            file.seek(max(start, size(path) - _READ))
            lines = file.read(_READ).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    bare = [_STAMP.sub("", line).rstrip() for line in lines if line.strip()]
    starts = [i for i, line in enumerate(bare) if line.startswith("Traceback ")]
    if starts:
        for line in bare[starts[-1] + 1 :]:
            if not line.startswith((" ", "\t")):
                return line[:_LONGEST]
    return " | ".join(bare[-2:])[:_LONGEST]
