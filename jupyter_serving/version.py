"""The package's version, read from its own metadata, and whether other files have taken the place of those that run."""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib import metadata

DISTRIBUTION = "jupyter-serving"
UNKNOWN = "0+unknown"
# Sent by every client with every request to the controller.
VERSION_HEADER = "x-jupyter-serving-version"


@cache
def version() -> str:
    """Version of the distribution that this process runs, ``0+unknown`` from a bare checkout."""
    return _version(_distribution())


class Installation:
    """The files that this process was started from, and what has become of them."""

    def __init__(self) -> None:
        self.running = version()
        self._mark = _mark(_distribution())
        self._seen = ""

    def upgraded(self) -> str:
        """Version that has replaced the running one, "" while none has.

        Cheap while nothing changes: one ``stat``. An installer writes ``RECORD`` last, so a version counts once that
        is there and two looks in a row have found the same: never in the middle of an installation.
        """
        if self._mark == _mark(self._mark[0] if self._mark else None):
            return ""
        importlib.invalidate_caches()
        found = _distribution()
        whole = found is not None and found.read_text("RECORD") is not None
        now = _version(found) if whole else ""
        before, self._seen = self._seen, now
        if now == self.running:
            self._mark = _mark(found)
            return ""
        return now if now == before else ""


def _distribution() -> metadata.Distribution | None:
    from importlib import metadata  # takes longer than all else that a kernel imports of us

    try:
        return metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None


def _version(found: metadata.Distribution | None) -> str:
    return found.version if found is not None else UNKNOWN


def _mark(place: Any) -> tuple[str, int] | None:
    """Where the metadata lies and when it changed; None where there is none."""
    path = str(getattr(place, "_path", place or ""))
    try:
        return path, os.stat(path).st_mtime_ns
    except OSError:
        return None
