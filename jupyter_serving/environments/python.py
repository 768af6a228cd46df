"""Interpreters: find one of the version that a model was logged with."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import StagingFailed
from . import command

# What the runtime runs on.
OLDEST, NEWEST = (3, 9), (3, 14)
_ASK = "import sys;print('%d.%d.%d'%sys.version_info[:3], sys.implementation.name)"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that runs: its path as found and its full version."""

    path: Path
    version: str

    @property
    def minor(self) -> tuple[int, int]:
        """``(3, 11)``."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)


async def find(
    wanted: str, kernel: Path | None, uv: str, cwd: Path, *, substitute: bool = False
) -> Interpreter:
    """Return an interpreter for a model that was logged with Python ``wanted``.

    The very version wins over another one of the same minor; among equals the kernel's, then our own.

    Args:
        wanted: ``3.11.7``, or "" for any.
        kernel: the kernel's interpreter, if known.
        uv: path of the uv binary (it knows the Pythons that it manages).
        cwd: directory without project configuration.
        substitute: take the nearest other minor version where the wanted one cannot be had.

    Raises:
        StagingFailed: none; the message lists those that are here.
    """
    here: list[Interpreter] = []
    async for interpreter in _all(wanted, kernel, uv, cwd):
        here.append(interpreter)
        if interpreter.minor >= OLDEST and wanted in ("", interpreter.version):
            return interpreter
    minor = tuple(int(part) for part in re.findall(r"\d+", wanted)[:2])
    same = [i for i in here if i.minor == minor and minor >= OLDEST]
    if same:
        return same[0]
    near = [i for i in here if OLDEST <= i.minor <= NEWEST]
    if substitute and near:
        return min(near, key=lambda i: (abs(i.minor[1] - minor[1]), -i.minor[1]))
    raise _missing(wanted, minor, here)


def _missing(wanted: str, minor: tuple[int, ...], here: list[Interpreter]) -> StagingFailed:
    name = ".".join(map(str, minor))
    if minor < OLDEST:
        return StagingFailed(
            f"The model was logged with Python {wanted}; serving needs Python 3.{OLDEST[1]} or later.",
            hint="Log it again with a newer Python, or set allow_python_substitute to serve it on the nearest one.",
        )
    listed = ", ".join(sorted({i.version for i in here})) or "none"
    return StagingFailed(
        f"The model was logged with Python {wanted}, and no Python {name} is on this machine (found: {listed}).",
        hint=f"Install it, for example with `uv python install {name}`, or set allow_python_substitute to serve "
        "the model on the nearest one.",
    )


async def _all(wanted: str, kernel: Path | None, uv: str, cwd: Path) -> AsyncIterator[Interpreter]:
    seen: set[str] = set()
    for path in _near(kernel):
        async for found in _asked(path, cwd, seen):
            yield found
    if wanted:
        for request in (wanted, ".".join(wanted.split(".")[:2])):
            argv = [uv, "python", "find", "--no-project", "--no-python-downloads", request]
            outcome = await command.run(
                argv, cwd=cwd, environ=command.isolated_environment(), separate=True
            )
            # A broken interpreter on PATH (a pyenv shim of a version that is not active) makes uv give up.
            if outcome.status == 0 and outcome.lines:
                async for found in _asked(Path(outcome.lines[-1]), cwd, seen):
                    yield found
    for path in _installed():
        async for found in _asked(path, cwd, seen):
            yield found


def _near(kernel: Path | None) -> Iterator[Path]:
    if kernel is not None:
        yield kernel
    yield Path(sys.executable)


def _installed() -> Iterator[Path]:
    """Pythons of pyenv (newest patch first) and on PATH."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    versions = [p for p in root.glob("*/bin/python") if re.match(r"3\.\d+\.\d+$", p.parts[-3])]
    yield from sorted(
        versions, key=lambda p: [int(n) for n in p.parts[-3].split(".")], reverse=True
    )
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            yield Path(found)


async def _asked(path: Path, cwd: Path, seen: set[str]) -> AsyncIterator[Interpreter]:
    """The interpreter at ``path`` if it is CPython and runs; each real file is asked once."""
    real = _real(path)
    if real is None or real in seen:
        return
    seen.add(real)
    try:
        outcome = await command.run(
            [path, "-I", "-S", "-c", _ASK],
            cwd=cwd,
            environ=command.isolated_environment(),
            separate=True,
        )
    except OSError:
        return
    words = outcome.lines[-1].split() if outcome.status == 0 and outcome.lines else []
    if len(words) == 2 and words[1] == "cpython":
        yield Interpreter(path, words[0])


def _real(path: Path) -> str | None:
    return os.path.realpath(path) if os.access(path, os.X_OK) else None
