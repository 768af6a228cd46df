from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import harness
from .harness import ask, eventually, gone

Serve = Callable[..., tuple[subprocess.Popen[bytes], str]]
DOUBLE = {"dataframe_records": [{"x": 2}]}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def serve(package_parent: Path, short: Path, models: Path) -> Iterator[Serve]:
    """Runs ``serve`` for a model; returns the process and the address."""
    started: list[subprocess.Popen[bytes]] = []

    def serve(model: str, **changes: Any) -> tuple[subprocess.Popen[bytes], str]:
        address = changes.pop("address", f"unix:{short}/r.sock")
        spec = {"address": address, "model": str(models / model), "entity": model, **changes}
        (short / "spec.json").write_text(json.dumps(spec))
        with open(short / "serve.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "serving_runtime", "serve", str(short / "spec.json")],
                env=harness.environment(package_parent),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(process)

        def answers() -> bool:
            try:
                return ask(address, "GET", "/health/live").status == 200
            except OSError:
                assert process.poll() is None, (short / "serve.log").read_text()
                return False

        eventually(answers, "it answers")
        return process, address

    yield serve
    for process in started:
        process.kill()
        process.wait(harness.PATIENCE)


@pytest.mark.parametrize("start", ["fork", "exec"])
def test_serve_needs_no_zygote(serve: Serve, start: str):
    process, address = serve("double", slots=2, start=start)
    ready = ask(address, "GET", f"/health/ready?wait={harness.PATIENCE}")
    assert ready.status == 200, ready.body
    assert ready.json["pid"] == process.pid
    assert ready.json["phases"]["imports"] > 0
    assert ask(address, "POST", "/invocations", DOUBLE).json == {"predictions": [{"x": 4}]}
    before = [worker["pid"] for worker in ask(address, "GET", "/status").json["workers"]]
    os.kill(before[0], signal.SIGKILL)

    def replaced() -> bool:
        workers = ask(address, "GET", "/status").json["workers"]
        return before[0] not in [worker["pid"] for worker in workers]

    eventually(replaced, "the worker is replaced")
    assert ask(address, "GET", f"/health/ready?wait={harness.PATIENCE}").status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(harness.PATIENCE) == 0


@pytest.mark.parametrize("start", ["fork", "exec"])
def test_kill_of_a_served_leader_leaves_no_process(serve: Serve, start: str):
    process, address = serve("double", start=start)
    assert ask(address, "GET", f"/health/ready?wait={harness.PATIENCE}").status == 200
    pids = harness.children(process.pid)
    assert len(pids) == {"fork": 3, "exec": 2}[start]  # front, worker, and with forks a keeper
    process.kill()
    for pid in pids:
        eventually(lambda pid=pid: gone(pid), f"process {pid} has ended")


def test_serve_on_tcp(serve: Serve):
    _, address = serve("double", address=f"tcp:127.0.0.1:{free_port()}")
    assert ask(address, "GET", f"/health/ready?wait={harness.PATIENCE}").status == 200
    assert ask(address, "POST", "/invocations", DOUBLE).json == {"predictions": [{"x": 4}]}


def test_a_load_failure_without_a_zygote_ends_with_code_3(serve: Serve):
    process, address = serve("load_raises")
    reply = ask(address, "GET", f"/health/ready?wait={harness.PATIENCE}")
    assert reply.json["message"] == "FileNotFoundError: weights.bin is not in the model"
    assert process.wait(harness.PATIENCE) == 3


@pytest.mark.parametrize(
    "address", ["unix:/nowhere/at/all.sock", "http://x", "tcp:127.0.0.1:x", ""]
)
def test_an_address_that_cannot_be_had_is_told(address: str, tmp_path: Path, package_parent: Path):
    (tmp_path / "spec.json").write_text(json.dumps({"address": address, "model": "/m"}))
    done = subprocess.run(
        [sys.executable, "-m", "serving_runtime", "serve", str(tmp_path / "spec.json")],
        env=harness.environment(package_parent),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
