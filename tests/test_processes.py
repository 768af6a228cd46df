"""Process identity: never a reused pid, never a zombie."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from jupyter_serving import processes
from jupyter_serving.processes import Identity


def until(condition: object, seconds: float = 30.0) -> bool:
    assert callable(condition)
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_process_is_known_by_more_than_its_pid() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.alive()
    assert not Identity(me.boot, me.pid, me.start + 1).alive()
    assert not Identity("another boot", me.pid, me.start).alive()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = Identity.of(child.pid)
    assert identity is not None
    assert identity.alive()
    child.kill()
    assert until(lambda: not identity.alive())
    assert Identity.of(child.pid) is None
    child.wait()


def test_a_detached_process_is_a_session_of_its_own_and_leaves_no_zombie(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os,time;open({str(note)!r},'w').write(f'{{os.getpid()}} {{os.getsid(0)}}');time.sleep(600)"
    processes.spawn_detached([sys.executable, "-c", code], tmp_path / "log", os.environ)
    assert until(lambda: note.exists() and note.read_text().count(" ") == 1)
    pid, session = map(int, note.read_text().split())
    identity = Identity.of(pid)
    assert identity is not None
    assert session != os.getsid(0)
    assert os.stat(tmp_path / "log").st_mode & 0o777 == 0o600
    assert processes.end(identity)
    assert not identity.alive()


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    code = (
        "import signal,sys;signal.signal(15,signal.SIG_IGN);print('up',flush=True);sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    identity = Identity.of(child.pid)
    assert identity is not None
    assert processes.end(identity, grace=0.2)
    assert child.wait() == -9


def test_credentials_of_jupyter_are_not_inherited() -> None:
    clean = processes.clean_environment(
        {
            "PATH": "/bin",
            "JUPYTER_TOKEN": "x",
            "JUPYTERHUB_API_TOKEN": "y",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    )
    assert clean == {"PATH": "/bin"}
