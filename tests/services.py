"""A data directory with its own services, and a census of the processes that belong to it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_serving import connect
from jupyter_serving.client import Client
from jupyter_serving.connect import Server
from jupyter_serving.errors import ServingError
from jupyter_serving.places import Places
from jupyter_serving.processes import Identity


def until(condition: Callable[[], Any], seconds: float = 60.0, what: str = "the condition") -> Any:
    """Wait for a true value of ``condition`` and return it; the limit guards against a hang only."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {seconds} s")


def census(places: Places) -> dict[int, str]:
    """Every living process that belongs to a data directory, by pid, with its command line."""
    marks = (str(places.data), str(places.runtime))
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (entry / "environ").read_bytes().decode(errors="replace")
            files = " ".join(_targets(entry / "fd"))
        except OSError:
            continue
        # Only what we start: not the test runner, a shell or Jupyter, which may name the directory too.
        ours = "jupyter_serving." in command or "serving_runtime" in command
        if ours and any(m in text for m in marks for text in (command, environ, files)):
            found[int(entry.name)] = command
    return found


def _targets(folder: Path) -> Iterator[str]:
    """What a process has open; a file that it closes meanwhile does not make it vanish."""
    for link in folder.iterdir():
        try:
            yield os.readlink(link)
        except OSError:
            continue


class Services:
    """One data directory; its controller is started on demand."""

    def __init__(self, data: Path) -> None:
        self.places = Places.of(data)
        self.client = Client(server=Server("the test's data directory", places=self.places))

    def client_started(self) -> Client:
        """The client, with a controller that runs."""
        connect.local(self.places.data)
        self.places = Places.of(self.places.data)
        return self.client

    def census(self) -> dict[int, str]:
        """Living processes of this data directory."""
        return census(self.places)

    def pid_of(self, service: str) -> int:
        """Pid of ``controller`` or ``gateway``."""
        status = self.client.status()
        return int(status["pid"] if service == "controller" else status["gateway"]["pid"])

    def end(self) -> None:
        """Stop everything, and show what had to be killed."""
        try:
            if self.census():
                self.client.shutdown()
        except ServingError:
            pass
        limit = time.monotonic() + 30
        while self.census() and time.monotonic() < limit:
            time.sleep(0.05)
        left = self.census()
        for pid in left:
            identity = Identity.of(pid)
            if identity is not None:
                identity.signal(signal.SIGKILL)
        assert not left, f"processes outlived the services: {left}"
