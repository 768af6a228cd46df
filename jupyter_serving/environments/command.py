"""One command: its lines streamed, its whole process group killed when it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..processes import clean_environment

_LINE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: exit status (negative: signal) and its lines, standard error included."""

    status: int
    lines: tuple[str, ...]


async def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    line: Callable[[str], None] = lambda text: None,
    separate: bool = False,
) -> Outcome:
    """Run ``argv`` to its end; ``line`` gets every line as it comes.

    Cancelling kills the process group and waits for it, so nothing writes afterwards.

    Args:
        argv: program and arguments.
        cwd: working directory (tools look there for configuration).
        environ: the whole environment.
        line: called in the event loop for each line without its end.
        separate: leave standard error out of the lines that are returned (it is still given to ``line``).

    Raises:
        OSError: the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *map(str, argv),
        cwd=cwd,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if separate else asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=_LINE_LIMIT,
    )
    lines: list[str] = []
    streams = [_read(process.stdout, line, lines)]
    if separate:
        streams.append(_read(process.stderr, line, []))
    try:
        await asyncio.gather(*streams)
        return Outcome(await process.wait(), tuple(lines))
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
        raise


async def _read(
    stream: asyncio.StreamReader | None, line: Callable[[str], None], lines: list[str]
) -> None:
    assert stream is not None
    while True:
        try:
            raw = await stream.readline()
        except ValueError:  # a line longer than the limit has been dropped
            continue
        if not raw:
            return
        text = raw.decode("utf-8", "replace").rstrip()
        if text:
            lines.append(text)
            line(text)


def isolated_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for an interpreter that is not ours: nothing of this one's module search or virtual environment."""
    ours = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX"}
    ours |= {"__PYVENV_LAUNCHER__", "PYTHONEXECUTABLE", "PYTHONSAFEPATH"}
    return {n: v for n, v in clean_environment(environ).items() if n not in ours}
