"""Bytecode of staged environments, compiled in the background so that no cold start has to.

The first start of a zygote compiles what a load imports (bytecode caching is left on for it); this compiles the rest:
one environment at a time, at the lowest priority, given up when the controller ends and taken up again later.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path

from . import command
from .environment import Environment

_DONE = ".compiled"


class Bytecode:
    """Compiles staged environments, one after the other."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def want(self, environment: Environment) -> None:
        """Have the environment compiled, unless that is done or under way."""
        root = environment.python.parents[1]
        key = environment.key
        if environment.kind == "staged" and key not in self._tasks and not (root / _DONE).exists():
            self._tasks[key] = asyncio.create_task(self._compile(root, environment.python))
            self._tasks[key].add_done_callback(lambda task: self._tasks.pop(key, None))

    async def _compile(self, root: Path, python: Path) -> None:
        async with self._turn:
            nice = shutil.which("nice")
            lowest: list[str | Path] = [nice, "-n", "19"] if nice else []
            argv = [*lowest, python, "-m", "compileall", "-q", "-j", "1", root / "lib"]
            # Test files of some packages are no valid Python on purpose, so the status says nothing.
            with contextlib.suppress(OSError):
                await command.run(argv, cwd=root, environ=command.isolated_environment())
                (root / _DONE).touch()

    async def wait(self) -> None:
        """Wait until everything wanted so far is compiled."""
        await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        """Stop compiling; what is compiled stays."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
