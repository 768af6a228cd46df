import asyncio
import os
import sys
from pathlib import Path

import pytest
from services import until

from jupyter_serving.environments import command

SLEEPER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(1000)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_lines_come_as_they_are_written_and_the_status_is_told(tmp_path: Path) -> None:
    heard: list[str] = []
    script = (
        "import sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr); sys.exit(3)"
    )
    outcome = asyncio.run(
        command.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            environ=dict(os.environ),
            line=heard.append,
        )
    )
    assert outcome == command.Outcome(3, ("out", "err"))
    assert heard == ["out", "err"]


def test_cancelling_kills_the_whole_process_group(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            command.run(
                [sys.executable, "-c", SLEEPER],
                cwd=tmp_path,
                environ=dict(os.environ),
                line=said.set_result,
            )
        )
        pids = [int(pid) for pid in (await said).split()]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pids

    pids = asyncio.run(scenario())
    until(lambda: all(map(gone, pids)), what="the end of the process group")


def test_an_interpreter_of_others_sees_nothing_of_our_search_path_nor_of_jupyters_tokens() -> None:
    ours = {
        "PYTHONPATH": "x",
        "PYTHONHOME": "y",
        "VIRTUAL_ENV": "z",
        "JUPYTER_TOKEN": "secret",
        "LANG": "C",
    }
    assert command.isolated_environment(ours | {"PYTHONDONTWRITEBYTECODE": "1"}) == {"LANG": "C"}
