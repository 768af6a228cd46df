"""Processes that outlive their parent: who they are, whether they live, how they are started.

A pid alone is no identity: after a reboot, or in time, it may be another process. Identity is boot id, pid and start
time (field 22 of ``/proc/<pid>/stat``, in clock ticks since boot; see proc(5)).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .places import DATA_DIR_VARIABLE, Places

# Credentials of Jupyter and its hub: nothing that we start needs them, and models must not see them.
SECRET_VARIABLES = frozenset(
    {
        "JUPYTER_TOKEN",
        "JPY_API_TOKEN",
        "JUPYTERHUB_API_TOKEN",
        "JUPYTERHUB_CLIENT_ID",
        "CONFIGPROXY_AUTH_TOKEN",
    }
    | {
        "JUPYTER_SERVING_CREDENTIAL_FILE",
        "JUPYTER_SERVING_URL",
        "JPY_PARENT_PID",
        "JPY_SESSION_NAME",
    }
)


@cache
def boot_id() -> str:
    """Identity of this boot of the machine; "" where the system has none (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """Start time of ``pid`` in clock ticks since boot; None when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command name is in parentheses and may hold anything, so fields are counted from the last one.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of one boot: ``pid`` and ``start`` (clock ticks since boot)."""

    boot: str
    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Identity of a living process; None when it is gone."""
        start = start_ticks(pid)
        return None if start is None else cls(boot_id(), pid, start)

    def alive(self) -> bool:
        """True while this very process runs (zombies count as gone)."""
        return self.boot == boot_id() and start_ticks(self.pid) == self.start

    def signal(self, number: int) -> bool:
        """Send a signal if it is still this process; True if it was sent."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def clean_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Copy of the environment without Jupyter's credentials and with bytecode caching left on."""
    source = os.environ if environ is None else environ
    dropped = SECRET_VARIABLES | {"PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in source.items() if name not in dropped}


def spawn_detached(argv: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
    """Start ``argv`` as a session of its own that nobody here has to reap; output is appended to ``log``.

    A short-lived intermediate process makes it a child of init, so it never stays as a zombie of ours.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    script = (
        "import os,sys\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    with open(log, "ab", buffering=0, opener=_private) as out:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", script, *argv],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=True,
            cwd="/",
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def spawn_service(module: str, places: Places, *arguments: str) -> None:
    """Start ``python -m <module> <arguments>`` of this package for a data directory, detached.

    Safe to call twice: the second process finds the first one's lock and ends.
    """
    environ = clean_environment() | {DATA_DIR_VARIABLE: str(places.data)}
    name = module.rpartition(".")[2]
    spawn_detached([sys.executable, "-m", module, *arguments], places.logs / f"{name}.log", environ)


def end(identity: Identity, grace: float = 5.0) -> bool:
    """SIGTERM, then SIGKILL after ``grace`` seconds; True when the process is gone.

    Blocks: call it in a thread.
    """
    identity.signal(signal.SIGTERM)
    limit = time.monotonic() + grace
    while identity.alive() and time.monotonic() < limit:
        time.sleep(0.02)
    if identity.alive():
        identity.signal(signal.SIGKILL)
        limit = time.monotonic() + grace
        while identity.alive() and time.monotonic() < limit:
            time.sleep(0.02)
    return not identity.alive()
