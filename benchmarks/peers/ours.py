"""Our own server, deployed as a user does it: the public client, its defaults, a token, the gateway's TCP port."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_serving import connect
from jupyter_serving.client import Client
from jupyter_serving.delivery import Options, deliver
from jupyter_serving.errors import ServingError

from .. import accounting
from ..subjects import Subject, split_body
from .base import PeerFailed, Rows, parsed

READY_SECONDS = 120.0
PATIENCE_SECONDS = 20.0
CONTROLLER, GATEWAY, REPLICA = "controller", "gateway", "zygote and replica"
READER = "registry reader"
MARKS = {
    "jupyter_serving.controller": CONTROLLER,
    "jupyter_serving.gateway": GATEWAY,
    "jupyter_serving.registry": READER,
}


class OurPeer:
    """Controller, gateway and one endpoint in a data directory of their own; options as ``deploy`` has them."""

    def __init__(
        self, subject: Subject, folder: Path, name: str = "ours", options: Options | None = None
    ) -> None:
        self.name, self.title = name, "jupyter-serving, through its gateway"
        self._subject, self._data = subject, folder / "data"
        self._options = options or Options()
        self._client: Client | None = None
        self.headers: Mapping[str, str] = {}
        self.address = self.path = ""

    @property
    def client(self) -> Client:
        """Client of its data directory, once it is started."""
        assert self._client is not None
        return self._client

    def encode(self, columns: Sequence[str], rows: Rows) -> bytes:
        """MLflow's format."""
        return split_body(columns, rows)

    def decode(self, body: bytes) -> Any:
        """MLflow's format."""
        return parsed(body)["predictions"]

    def start(self) -> None:
        """Start the services, deploy, make a token; returns when the endpoint is ready."""
        self._data.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._client = Client(server=connect.local(self._data))
            directory = str(self._subject.directory)
            deliver(self._client, self._subject.name, directory, self._options)
            endpoint = self._client.wait(self._subject.name, READY_SECONDS)
            token = self._client.token(self._subject.name)
        except ServingError as error:
            raise PeerFailed(str(error)) from error
        url = urlsplit(endpoint.url)
        self.address, self.path = f"{url.hostname}:{url.port}", url.path
        self.headers = {"Authorization": f"Bearer {token}"}

    def check(self) -> None:
        """Nothing to see between two requests: a replica that ends is replaced."""

    def replica_sockets(self) -> list[Path]:
        """Sockets that its replicas answer on, without the gateway."""
        assert self.client.server.places is not None
        return sorted(self.client.server.places.runtime.glob("r-*.sock"))

    def pids(self) -> Mapping[int, str]:
        """Controller, gateway, and zygote with its replicas: what names the data directory, with all descendants."""
        return processes(str(self._data))

    def stop(self) -> None:
        """Shut the services down; what stays is killed."""
        members = set(self.pids())
        if self._client is not None:
            try:
                self._client.shutdown()
            except ServingError:
                pass  # it is gone, or what is left is killed below
            self._client.close()
        limit = time.monotonic() + PATIENCE_SECONDS
        while members & set(accounting.parents()) and time.monotonic() < limit:
            time.sleep(0.05)
        for pid in members & set(accounting.parents()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def processes(data: str) -> dict[int, str]:
    """All processes of a data directory by what they are part of: what names it, with all descendants."""
    known = accounting.parents()
    found: dict[int, str] = {}
    for pid in known:
        command = _names(pid, data)
        if command is None or pid == os.getpid():
            continue
        found[pid] = next((part for mark, part in MARKS.items() if mark in command), REPLICA)
    for pid in list(found):
        if found[pid] == REPLICA:
            found |= {p: found.get(p, REPLICA) for p in accounting.family(pid, known)}
    return found


def _names(pid: int, mark: str) -> str | None:
    """A process's command line where that, or its environment, names the data directory; else None."""
    entry = accounting.PROC / str(pid)
    try:
        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        environ = (entry / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return None
    ours = "jupyter_serving." in command or "serving_runtime" in command
    return command if ours and (mark in command or mark in environ) else None
