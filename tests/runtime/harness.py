"""Real processes for the tests: a zygote, replicas, and a client for both."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUNTIME = Path(__file__).parents[2] / "jupyter_serving" / "runtime"
PATIENCE = 60.0


def eventually(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Poll until the condition holds; fails with ``what`` after ``patience`` seconds."""
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {patience} s: {what}")


def gone(pid: int) -> bool:
    """True when the process has ended (a zombie has)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in ("Z", "X")


def children(pid: int) -> list[int]:
    """Living children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and not gone(int(entry.name)):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is not JSON")

        return json.loads(self.body, parse_constant=refuse)


class Http(http.client.HTTPConnection):
    """A keep-alive connection to ``unix:/path`` or ``tcp:host:port``."""

    def __init__(self, address: str, timeout: float = PATIENCE) -> None:
        super().__init__("replica", timeout=timeout)
        self.address = address

    def connect(self) -> None:
        kind, _, rest = self.address.partition(":")
        if kind == "unix":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(rest)
        else:
            host, _, port = rest.rpartition(":")
            self.sock = socket.create_connection((host, int(port)), self.timeout)

    def ask(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.request(method, target, data, dict(headers or {}))
        answer = self.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def ask(
    address: str,
    method: str,
    target: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
) -> Reply:
    """One request on a connection of its own."""
    connection = Http(address, timeout)
    try:
        return connection.ask(method, target, body, headers)
    finally:
        connection.close()


@dataclass
class Later:
    """A request that runs in a thread; ``reply()`` waits for it."""

    thread: threading.Thread
    result: list[Reply | Exception] = field(default_factory=list)

    def reply(self) -> Reply:
        self.thread.join(PATIENCE)
        assert self.result, "no answer"
        if isinstance(self.result[0], Exception):
            raise self.result[0]
        return self.result[0]


def ask_later(*arguments: Any, **named: Any) -> Later:
    """``ask`` in a thread."""
    later = Later(threading.Thread(daemon=True))

    def run() -> None:
        try:
            later.result.append(ask(*arguments, **named))
        except Exception as error:
            later.result.append(error)

    later.thread = threading.Thread(target=run, daemon=True)
    later.thread.start()
    return later


class Peer:
    """One JSON-lines connection to a zygote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        eventually(path.exists, f"{path} exists")
        self.sock.connect(str(path))
        self._lines = self.sock.makefile("r", encoding="utf-8")
        self._early: list[dict[str, Any]] = []
        self.hello = self.expect("hello")

    def send(self, message: Any) -> None:
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def expect(self, *events: str, **fields: Any) -> dict[str, Any]:
        """The next message of one of these events with these fields; others are kept for later calls."""

        def fits(message: dict[str, Any]) -> bool:
            return message["event"] in events and fields.items() <= message.items()

        for index, message in enumerate(self._early):
            if fits(message):
                return self._early.pop(index)
        while True:
            line = self._lines.readline()
            assert line, f"the zygote closed the connection; awaited {events}"
            message = json.loads(line)
            if fits(message):
                return message
            self._early.append(message)

    def close(self) -> None:
        self._lines.close()
        self.sock.close()


def environment(package_parent: Path) -> dict[str, str]:
    """Environment that lets an interpreter find the runtime's copy, with bytecode caching on."""
    changing = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    environ = {k: v for k, v in os.environ.items() if k not in changing}
    return environ | {"PYTHONPATH": str(package_parent)}


def start_zygote(package_parent: Path, folder: Path, *extra: str) -> subprocess.Popen[bytes]:
    """A zygote with its socket at ``folder/z.sock`` and its log at ``folder/z.log``."""
    with open(folder / "z.log", "ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "serving_runtime", "zygote"),
                *("--socket", str(folder / "z.sock"), "--key", "test", *extra),
            ],
            env=environment(package_parent),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
