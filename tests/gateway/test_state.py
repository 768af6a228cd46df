import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from jupyter_serving.gateway import state
from jupyter_serving.gateway.endpoint import Capture, Endpoint, Entity, Replica, Share

from .world import scenario, until

FULL = state.Saved(
    port=1234,
    revision=7,
    problem="taken",
    endpoints=[
        Endpoint(
            "iris",
            "1",
            2,
            "CREATING",
            routes=(Share("m", 100),),
            entities=(
                Entity(
                    "m", "1:2:m", (Replica("r", "unix:/x", 2, True, 8),), "why", "3", {"inputs": []}
                ),
            ),
            capture=Capture(0.5, 10, 1000),
            tokens=("aa",),
        )
    ],
)


@scenario
async def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    file = state.StateFile(path, FULL)
    file.changed()
    await until(path.exists, "the write")
    assert state.load(path) == FULL
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]


@scenario
async def test_many_changes_make_few_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(state, "write", lambda path, content: written.append(content))
    file = state.StateFile(tmp_path / "gateway.json", state.Saved())
    for revision in range(50):
        file.saved.revision = revision
        file.changed()
        await asyncio.sleep(0)
    await until(lambda: written, "the write")
    await file.close()
    assert len(written) <= 2 and b'"revision":49' in written[-1]


@scenario
async def test_closing_writes_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    file = state.StateFile(path, state.Saved(port=5))
    file.changed()
    await file.close()
    assert state.load(path).port == 5


@scenario
async def test_a_full_disk_is_logged_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "write", full)
    file = state.StateFile(tmp_path / "gateway.json", state.Saved())
    file.changed()
    await until(lambda: "No space left" in caplog.text, "the log line")
    monkeypatch.undo()
    file.changed()
    await file.close()
    assert (tmp_path / "gateway.json").exists()


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gateway.json"
    state.write(path, b'{"port": 1}')

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(state.os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output"):
        state.write(path, b'{"port": 2}')
    assert state.load(path).port == 1
    assert os.listdir(tmp_path) == [path.name]


def test_no_file_is_an_empty_state(tmp_path: Path) -> None:
    assert state.load(tmp_path / "gateway.json") == state.Saved()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"port": "x"}', '{"endpoints": [{}]}'])
def test_a_damaged_file_is_put_aside(tmp_path: Path, content: str) -> None:
    path = tmp_path / "gateway.json"
    path.write_text(content)
    assert state.load(path) == state.Saved()
    assert (tmp_path / "gateway.json.damaged").read_text() == content


def test_the_file_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    replica = {"id": "r", "address": "unix:/x", "slots": 2, "draining": False}
    entity = {"name": "m", "key": "1:2:m", "replicas": [replica], "unavailable": None}
    endpoint = {"name": "iris", "id": "1", "config_version": 2, "state": "OPEN", "later": [1]}
    path.write_text(json.dumps({"port": 1, "endpoints": [endpoint | {"entities": [entity]}]}))
    (read,) = state.load(path).endpoints
    assert read.capture is None and read.entities[0].version is None
    assert (read.entities[0].v2, read.entities[0].replicas[0].capacity) == (None, 0)
