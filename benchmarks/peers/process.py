"""A peer as processes of its own session, from its recipe."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import accounting
from ..subjects import Subject
from .base import Launch, PeerFailed, Recipe, Rows, parsed

PATIENCE_SECONDS = 10.0


def free_ports(count: int) -> list[int]:
    """Ports that are free on the loopback interface now, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for held in sockets:
        held.close()
    return ports


class ProcessPeer:
    """One peer that serves one model."""

    def __init__(self, recipe: Recipe, python: Path, subject: Subject, folder: Path) -> None:
        self.name, self.title = recipe.name, recipe.title
        self.headers: Mapping[str, str] = {}
        self.path = recipe.path
        self._recipe, self._python, self._subject = recipe, python, subject
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        port, *spare = free_ports(3)
        self.address = f"127.0.0.1:{port}"
        self._launch = Launch(python, subject, folder, port, (spare[0], spare[1]))

    def encode(self, columns: Sequence[str], rows: Rows) -> bytes:
        """As the recipe has it."""
        return self._recipe.encode(columns, rows)

    def decode(self, body: bytes) -> Any:
        """As the recipe has it."""
        return self._recipe.decode(parsed(body))

    def start(self) -> None:
        """Start the command in a session of its own; its output goes to a file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = self._recipe.command(self._launch)
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        # Commands that a peer looks up by name are those of its own environment.
        environ["PATH"] = f"{self._python.parent}{os.pathsep}{environ.get('PATH', '')}"
        environ["VIRTUAL_ENV"] = str(self._python.parent.parent)
        environ.pop("PYTHONPATH", None)
        environ |= dict(self._recipe.environ)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=environ,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise ``PeerFailed`` when it has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise PeerFailed(f"it ended with status {self._process.returncode}: {self._tail()}")

    def pids(self) -> Mapping[int, str]:
        """The session and all descendants."""
        if self._process is None:
            return {}
        members = accounting.family(self._process.pid, accounting.parents())
        return dict.fromkeys(members, "server")

    def stop(self) -> None:
        """SIGTERM to the first process, then SIGKILL to what is left."""
        if self._process is None:
            return
        members = set(self.pids())
        self._process.terminate()
        limit = time.monotonic() + PATIENCE_SECONDS
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        while members & set(accounting.parents()) and time.monotonic() < limit:
            time.sleep(0.05)
        for pid in members & set(accounting.parents()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()
        self._process = None

    def _tail(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-1500:]
