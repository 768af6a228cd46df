"""Holds an environment to what it was when it was chosen: a changed one would load mixed versions."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ..environments.environment import Environment
from ..environments.installed import inspect, stamp
from ..errors import StartFailed


class Guard:
    """Checks environments before each start: the whole fingerprint once, then names of directories only.

    ``cwd``: a directory without Python files, for the interpreters that are asked.
    """

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd
        self._known: dict[str, tuple[tuple[str, ...], str]] = {}

    async def check(self, environment: Environment) -> None:
        """Return if the environment is still the one that was staged or chosen.

        Raises:
            StartFailed: distributions were added, moved or removed since.
            StagingFailed: its interpreter does not run any more.
        """
        paths, seen = self._known.get(environment.key, ((), ""))
        if seen and await asyncio.to_thread(stamp, paths) == seen:
            return
        installed = await inspect(environment.python, self._cwd)
        if environment.fingerprint not in ("", installed.fingerprint):
            raise changed(environment)
        now = await asyncio.to_thread(installed.stamp)
        self._known[environment.key] = (installed.paths, now)


def changed(environment: Environment) -> StartFailed:
    """The error for an environment that is not what it was."""
    whose = "kernel's" if environment.kind == "kernel" else "staged"
    return StartFailed(
        f"The {whose} environment {environment.python.parents[1]} was changed after this model was deployed.",
        hint="Deploy the model again: an environment with its versions is then staged.",
    )
