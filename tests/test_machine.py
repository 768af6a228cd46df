"""What the test command promises is there: a browser and a Docker engine that answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import until

SOCKET = Path("/var/run/docker.sock")


def answers() -> bool:
    """True where a Docker engine answers the client."""
    client = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else shutil.which("docker")
    command = [client or "docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() != ""


@pytest.fixture(scope="session")
def docker_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The engine of this machine; where none answers, one is started for the tests and ended after them."""
    if answers():
        yield
        return
    folder = tmp_path_factory.mktemp("docker")
    with (folder / "log").open("wb") as log:
        command = ["dockerd", "--data-root", str(folder / "data")]
        engine = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: answers() or engine.poll() is not None, 120, "the Docker engine")
        assert engine.poll() is None, (folder / "log").read_text()[-2000:]
        yield
    finally:
        engine.terminate()
        engine.wait(60)


@pytest.mark.docker
def test_a_docker_engine_answers(docker_engine: None) -> None:
    assert answers()
    assert os.access(SOCKET, os.W_OK)


@pytest.mark.browser
def test_chromium_is_installed() -> None:
    chromium = shutil.which("chromium")
    assert chromium is not None
    done = subprocess.run([chromium, "--version"], capture_output=True, text=True, timeout=60)
    assert "Chromium" in done.stdout
