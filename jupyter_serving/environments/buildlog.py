"""The build log: one file per deployment, every line with the seconds since the build began."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


class BuildLog:
    """Appends lines to ``path`` (0600) and tells phases to ``progress``."""

    def __init__(
        self,
        path: Path,
        progress: Callable[[str], None] = lambda phase: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self._progress, self._clock = path, progress, clock
        self._began = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the build began."""
        return self._clock() - self._began

    def line(self, text: str) -> None:
        """Append one line."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(handle, "a", encoding="utf-8") as file:
                file.write(f"[{self.elapsed:7.2f} s] {text}\n")
        except OSError:
            # A disk too full for this line is told by the command that fills it, with what to delete.
            pass

    def phase(self, text: str) -> None:
        """Append one line that also stands for what is being done now."""
        self.line(text)
        self._progress(text)
