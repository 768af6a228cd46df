"""Output of the command line: progress on standard error, results on standard output."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from ..cards import phase_words, without_elapsed
from ..client import Client
from ..connect import local
from ..places import DATA_DIR_VARIABLE


class Progress:
    """One live line on a terminal; elsewhere a line for each change."""

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        width: Callable[[], int] = lambda: os.get_terminal_size().columns,
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._clock, self._width = clock, width
        self._begun = clock()
        self._last = ""

    def say(self, text: str) -> None:
        """Tell what is done now."""
        self._show(text)

    def phase(self, phase: str, message: str, _: float) -> None:
        """Tell an endpoint's phase, as ``Client.wait`` does; the time shown is since the start of everything."""
        words = phase_words(phase) if phase else "waiting"
        self._show(f"{words}: {without_elapsed(message)}" if message else words)

    def _show(self, text: str) -> None:
        elapsed = self._clock() - self._begun
        line = f"{text} ({elapsed:.1f} s)"
        if self._live:
            room = max(self._width() - 1, 20)
            self._stream.write(f"\r\x1b[K{line[:room]}")
        elif text != self._last:
            self._stream.write(f"{line}\n")
        self._last = text
        self._stream.flush()

    def done(self) -> None:
        """Remove the live line."""
        if self._live and self._last:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
        self._last = ""


def client(options: argparse.Namespace, progress: Progress, *, start: bool = True) -> Client:
    """Client of the data directory's controller, which is started if need be."""
    if options.data_dir:
        use_data_dir(options.data_dir)
    try:
        return Client(server=local(start=start, progress=progress.say))
    finally:
        progress.done()


def use_data_dir(path: str) -> None:
    """Make everything in this process that asks for the data directory, and what it starts, mean this one."""
    os.environ[DATA_DIR_VARIABLE] = str(Path(path).expanduser().absolute())


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None))
