from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import harness
from .harness import Http, Peer, Reply, ask, eventually
from .models import save_all


@pytest.fixture(scope="session")
def package_parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the copy of the runtime as the package ``serving_runtime``, as replicas use it."""
    parent = tmp_path_factory.mktemp("runtime")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(harness.RUNTIME, parent / "serving_runtime", ignore=ignored)
    return parent


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with one directory per model of ``models.py``."""
    folder = tmp_path_factory.mktemp("models")
    save_all(folder)
    return folder


@pytest.fixture
def short() -> Iterator[Path]:
    """A short directory for sockets: a unix path holds 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="jsr-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def zygote_folder(package_parent: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jsr-", dir="/tmp") as folder:
        process = harness.start_zygote(package_parent, Path(folder))
        yield Path(folder)
        process.terminate()
        assert process.wait(harness.PATIENCE) == 0, (Path(folder) / "z.log").read_text()


@pytest.fixture
def peer(zygote_folder: Path) -> Iterator[Peer]:
    """A connection to a zygote that all tests share."""
    connection = Peer(zygote_folder / "z.sock")
    yield connection
    connection.close()


class Replica:
    """A spawned replica as a test sees it."""

    def __init__(self, spec: dict[str, Any], spawned: dict[str, Any], peer: Peer) -> None:
        self.spec, self.pid, self.start = spec, spawned["pid"], spawned["start"]
        self.address = f"unix:{spawned['socket']}"
        self.peer = peer

    def ready(self, wait: float = harness.PATIENCE) -> Reply:
        return ask(self.address, "GET", f"/health/ready?wait={wait}", timeout=wait + 10)

    def invoke(self, body: Any, content_type: str = "application/json", **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(
            self.address, "POST", "/invocations", body, {"content-type": content_type, **named}
        )

    def status(self) -> dict[str, Any]:
        return ask(self.address, "GET", "/status").json

    def http(self) -> Http:
        return Http(self.address)

    def log(self) -> str:
        return Path(self.spec["log"]).read_text()

    def processes(self) -> list[int]:
        return [self.pid, *harness.children(self.pid)]

    def exit_status(self) -> int:
        return self.peer.expect("exit", pid=self.pid)["status"]


class Spawner:
    """Spawns replicas through a zygote's peer, and ends those that still live."""

    def __init__(self, peer: Peer, folder: Path, models: Path) -> None:
        self.peer, self.folder, self.models = peer, folder, models
        self.started: list[Replica] = []

    def spec(self, model: str, **changes: Any) -> dict[str, Any]:
        name = f"{self.folder.name}-{len(self.started)}"
        spec: dict[str, Any] = {
            "id": name,
            "socket": str(self.folder / f"{len(self.started)}.sock"),
            "log": str(self.folder / f"{len(self.started)}.log"),
            "lock": str(self.folder / f"{len(self.started)}.lock"),
            "model": str(self.models / model),
            "entity": model,
            "slots": 1,
            "environ": {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
            "deadline": 297.0,
            "stack_trace": True,
            "cpu_share": 1,
        }
        return spec | changes

    def __call__(self, model: str, *, ready: bool = True, **changes: Any) -> Replica:
        spec = self.spec(model, **changes)
        self.peer.send({"op": "spawn", "id": spec["id"], "spec": spec})
        event = self.peer.expect("spawned", "error", id=spec["id"])
        assert event["event"] == "spawned", event
        replica = Replica(spec, event, self.peer)
        self.started.append(replica)
        if ready:
            reply = replica.ready()
            assert reply.status == 200, (reply.body, replica.log())
        return replica

    def end(self) -> None:
        for replica in self.started:
            pids = replica.processes()
            if not harness.gone(replica.pid):
                os.kill(replica.pid, signal.SIGKILL)
            for pid in pids:
                eventually(lambda pid=pid: harness.gone(pid), f"process {pid} has ended")


@pytest.fixture
def spawn(peer: Peer, short: Path, models: Path) -> Iterator[Spawner]:
    spawner = Spawner(peer, short, models)
    yield spawner
    spawner.end()
