"""uv, the one tool that resolves and installs: its command lines and its environment."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import StagingFailed
from . import command, failures, index
from .buildlog import BuildLog

# Variables that would make uv install somewhere else than told.
_TARGETS = ("UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_PROJECT_ENVIRONMENT")


def find_uv() -> str:
    """Path of the binary that the ``uv`` package brings, else of one on PATH.

    Raises:
        StagingFailed: neither is there.
    """
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        found = shutil.which("uv")
        if found:
            return found
        raise StagingFailed(
            "uv, which makes environments, is not installed here.", hint="Run `pip install uv`."
        ) from error


Arguments = Sequence[str | Path]


class Uv:
    """Runs uv in ``cwd`` (a directory without project configuration); every line goes to ``log``."""

    def __init__(self, binary: str, cwd: Path, log: BuildLog) -> None:
        self._binary, self._cwd, self._log = binary, cwd, log

    async def compile(
        self, source: Path, target: Path, python: Path, constraints: Path | None
    ) -> str:
        """Resolve ``source`` for ``python`` into the lock ``target`` and return its text."""
        options: Arguments = ["--no-header", "--no-annotate"]
        if constraints is not None:
            options = [*options, "--constraints", constraints]
        await self._run(
            ["pip", "compile", source, "--output-file", target, "--python", python, *options]
        )
        return await asyncio.to_thread(target.read_text)

    async def venv(self, target: Path, python: Path) -> Path:
        """Make an empty environment that may be moved; returns its interpreter."""
        await self._run(["venv", "--no-project", "--relocatable", "--python", python, target])
        return target / "bin" / "python"

    async def install(self, python: Path, lock: Path, options: Sequence[str] = ()) -> None:
        """Install exactly the lines of ``lock``."""
        await self._run(
            ["pip", "install", "--python", python, "--no-deps", "--requirements", lock, *options]
        )

    async def add(self, python: Path, requirements: Iterable[str]) -> list[str]:
        """Add wheels without their dependencies, so that nothing else moves; returns those that cannot be had."""
        wanted = list(requirements)
        base: Arguments = [
            "pip",
            "install",
            "--python",
            python,
            "--no-deps",
            "--only-binary",
            ":all:",
        ]
        if not wanted or (await self._outcome([*base, *wanted])).status == 0:
            return []
        return [r for r in wanted if (await self._outcome([*base, r])).status != 0]

    async def _outcome(self, arguments: Arguments) -> command.Outcome:
        environ = command.isolated_environment() | index.variables()
        environ |= {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
        for name in _TARGETS:
            environ.pop(name, None)
        return await command.run(
            [self._binary, *arguments], cwd=self._cwd, environ=environ, line=self._log.line
        )

    async def _run(self, arguments: Arguments) -> None:
        outcome = await self._outcome(arguments)
        if outcome.status == 0:
            return
        if any(failures.is_full(line) for line in outcome.lines):
            raise failures.disk_full(str(self._cwd), shutil.disk_usage(self._cwd).free)
        raise failures.from_output(outcome.lines, str(self._log.path))
