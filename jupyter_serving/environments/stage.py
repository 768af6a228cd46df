"""Make, share and verify the environments of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..places import Places
from ..settings import Settings
from .environment import Environment

Progress = Callable[[str], None]


class Stager:
    """Gives each model an environment: the kernel's where it fits exactly, else one staged with uv."""

    def __init__(self, places: Places, settings: Settings) -> None:
        self._places, self._settings = places, settings

    async def stage(
        self, model: Path, kernel_python: Path | None, log: Path, progress: Progress
    ) -> Environment:
        """Return a ready environment for the model directory ``model``.

        Args:
            model: model directory with its ``MLmodel`` and requirements.
            kernel_python: interpreter of the kernel that logged or deploys the model; used as it is where it fits.
            log: build log; every line is appended with its time since the start, in seconds.
            progress: called with one short line per phase, from the event loop's thread.

        Raises:
            StagingFailed: no Python, no solution, no index, no space; the message holds the useful line.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Cancel background compilation; staged environments stay."""
