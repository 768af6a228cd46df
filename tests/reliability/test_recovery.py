"""What a start finds that is not what it left: a moved or restored directory, a reboot, half a step, a full disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from services import Services, until
from zoo import Zoo

from jupyter_serving.backends.base import Handle, Observed, Started
from jupyter_serving.controller.journal import Journal
from jupyter_serving.controller.records import EndpointRecord, ReplicaPhase, ReplicaRecord
from jupyter_serving.controller.recovery import recover
from jupyter_serving.controller.store import Store
from jupyter_serving.controller.workqueue import WorkQueue
from jupyter_serving.places import DATA_DIR_VARIABLE, Places
from jupyter_serving.processes import Identity, start_ticks

from .replicas import leaders, orphans
from .test_restart import post, rows, serving_command

ANSWER = (200, {"predictions": [{"x": 4.0}]})


@pytest.fixture
def running(services: Services, zoo: Zoo) -> Services:
    """Services with one endpoint, ``doubles``."""
    client = services.client_started()
    client.create("doubles", {"served_entities": [zoo.entity(zoo.doubles())]})
    client.wait("doubles")
    return services


def stop(*words: str) -> None:
    serving_command("stop", *words)


def killed(services: Services, everything: bool = True) -> None:
    """Kill -9 of all processes, or of controller and gateway alone."""
    until(lambda: not _kill(services, everything), what="the end of the processes")


def _kill(services: Services, everything: bool) -> bool:
    marks = ("jupyter_serving.", "serving_runtime") if everything else ("jupyter_serving.",)
    found = [p for p, line in services.census().items() if any(m in line for m in marks)]
    for identity in filter(None, map(Identity.of, found)):
        identity.signal(signal.SIGKILL)
    return bool(found)


def serves_again(services: Services, name: str = "doubles") -> None:
    """READY with one replica that answers, and nothing that nobody knows."""
    client = services.client
    until(lambda: client.get(name).phase == "READY", what="READY")
    until(lambda: client.get(name).url, what="the gateway's address")
    assert post(client.get(name).url, client.token(name), rows(2.0)) == ANSWER
    until(lambda: len(leaders(services)) == 1, what="one replica")
    assert not orphans(services)
    locks = {p.stem for p in services.places.runtime.glob("r-*.*")}
    assert len(locks) == 1, "no file of another replica is left"


def edit(store: Path, table: str, change: Any) -> None:
    """Change records of a stopped store."""
    db = sqlite3.connect(store, isolation_level=None)
    for number, body in db.execute(f"SELECT rowid, body FROM {table}").fetchall():
        fresh = msgspec.json.encode(change(msgspec.json.decode(body)))
        db.execute(f"UPDATE {table} SET body = ? WHERE rowid = ?", (fresh, number))
    db.close()


# -- the data directory ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False], ids=["replicas kept", "replicas stopped"])
def test_a_data_directory_is_moved(
    running: Services, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    token = running.client.token("doubles")
    before = leaders(running)
    stop(*(["--keep-replicas"] if kept else []))
    new = running.places.data.with_name("moved")
    running.places.data.rename(new)
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(new))
    moved = Services(new)
    moved.client_started()
    try:
        serves_again(moved)
        assert post(moved.client.get("doubles").url, token, rows(2.0)) == ANSWER
        assert (leaders(moved) == before) is kept
        assert not running.places.data.exists(), "nothing is written where it was"
    finally:
        moved.end()


def test_a_copy_of_a_data_directory_leaves_the_first_one_alone(
    running: Services, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = leaders(running)
    stop("--keep-replicas")
    copy = running.places.data.with_name("copy")
    shutil.copytree(running.places.data, copy, symlinks=True)
    running.client_started()
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(copy))
    second = Services(copy)
    second.client_started()
    try:
        assert second.places.runtime != running.places.runtime
        until(lambda: leaders(second), what="a replica of its own")
        until(lambda: second.client.get("doubles").phase == "READY", what="READY")
        assert leaders(running) == before
        assert not set(leaders(second)) & set(before)
        serves_again(running)
    finally:
        second.end()


def test_a_store_is_restored_from_a_backup(running: Services, zoo: Zoo) -> None:
    client, store = running.client, running.places.store
    token = client.token("doubles")
    stop("--keep-replicas")
    backup = store.with_name("backup")
    shutil.copy(store, backup)
    serving_command("start")
    client.update("doubles", {"served_entities": [zoo.entity(zoo.raises_in_predict())]})
    client.wait("doubles")
    client.create("later", {"served_entities": [zoo.entity(zoo.doubles())]})
    client.wait("later")
    killed(running, everything=False)
    unknown = leaders(running)
    assert len(unknown) == 2, "they serve on"
    for path in store.parent.glob("store.sqlite*"):
        path.unlink()
    backup.rename(store)
    serving_command("start")
    serves_again(running)
    assert [e.name for e in client.list()] == ["doubles"]
    assert client.get("doubles").detail["config"]["config_version"] == 1
    assert not set(unknown) & set(leaders(running)), "what no record knows was removed"
    assert post(client.get("doubles").url, token, rows(2.0)) == ANSWER
    logs = [p for p in running.places.logs.iterdir() if p.is_dir()]
    assert len(logs) == 1
    assert "no record knows" in (running.places.logs / "controller.log").read_text()


# -- the machine -----------------------------------------------------------------------------------------


def test_after_a_reboot_no_process_is_taken_for_a_replica(running: Services) -> None:
    """The pids of the records belong to other processes now: this one."""
    killed(running)

    def rebooted(record: dict[str, Any]) -> dict[str, Any]:
        handle = {"boot": "before", "pid": os.getpid(), "start": start_ticks(os.getpid())}
        return record | {"handle": record["handle"] | handle}

    edit(running.places.store, "replicas", rebooted)
    shutil.rmtree(running.places.runtime)
    serving_command("start")
    running.places = Places.of(running.places.data)
    serves_again(running)
    assert "REPLICA_LOST" in [e["type"] for e in running.client.events("doubles")]


def test_half_a_step_is_finished_or_undone(running: Services) -> None:
    """A process that never came, files that were never finished, a removal that was never done."""
    killed(running)
    runtime = running.places.runtime

    def half(record: dict[str, Any]) -> dict[str, Any]:
        handle = {k: v for k, v in record["handle"].items() if k not in ("pid", "start")}
        return record | {"phase": "STARTING", "handle": handle}

    edit(running.places.store, "replicas", half)
    for name in ("store.sqlite.v1.new", "gateway.json.new"):
        (running.places.data / name).write_text("half")
    (runtime / "link.new").write_text("")
    folder = running.places.logs / "of-an-endpoint-that-was-deleted"
    folder.mkdir()
    serving_command("start")
    serves_again(running)
    assert not folder.exists()
    assert not (runtime / "link.new").exists()


def test_a_second_controller_ends_and_says_so(running: Services) -> None:
    before = running.pid_of("controller")
    second = subprocess.run(
        [sys.executable, "-m", "jupyter_serving.controller"],
        capture_output=True, text=True, timeout=60, cwd="/",
    )  # fmt: skip
    assert second.returncode == 0
    assert "Another controller holds" in second.stderr
    assert running.pid_of("controller") == before
    serves_again(running)


# -- the disk --------------------------------------------------------------------------------------------


class BackendThatFindsAll:
    """Adopts every replica that is asked for."""

    def __init__(self) -> None:
        self.stopped: list[Handle] = []

    async def observe(self) -> dict[str, Observed]:
        return {"r1": Observed("running", {"id": "r1"})}

    async def adopt(self, replica_id: str, handle: Handle) -> Started | None:
        return Started(handle, "ready", slots=2, capacity=8)

    async def stop(self, handle: Handle, grace: float) -> None:
        self.stopped.append(handle)

    def watch(self) -> AsyncIterator[Any]:
        raise NotImplementedError


class Asked:
    """What recovery touches of a reconciler."""

    def __init__(self) -> None:
        self.checking: set[str] = set()
        self.queue = WorkQueue()


@pytest.fixture
def records() -> Iterator[tuple[EndpointRecord, ReplicaRecord]]:
    endpoint = EndpointRecord(id="e1", name="iris", creator="me", created=1, updated=1)
    replica = ReplicaRecord(
        id="r1", endpoint="e1", version=1, entity="m", phase=ReplicaPhase.STARTING,
        backend="process", slots=1, reason="deploy", created=1, handle={"id": "r1"},
    )  # fmt: skip
    yield endpoint, replica


def test_a_full_disk_at_recovery_costs_no_replica(
    tmp_path: Path, records: tuple[EndpointRecord, ReplicaRecord]
) -> None:
    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        await store.put(*records)
        # SQLite's own limit on pages is the same failure (SQLITE_FULL) as a disk without space.
        ((pages,),) = await store._run(store._select, "PRAGMA page_count", ())
        filler = Journal(tmp_path / "logs", 1000).event(records[0], "T", "x" * 3000)
        await store._run(store._select, f"PRAGMA max_page_count = {pages}", ())
        with pytest.raises(Exception, match="full"):
            while True:
                await store.put(filler)
        backend, asked = BackendThatFindsAll(), Asked()
        waited: list[float] = []

        async def sleep(seconds: float) -> None:
            assert asked.checking == {"e1"}, "nobody acts on what is not written down"
            waited.append(seconds)
            if len(waited) == 3:
                await store._run(store._select, "PRAGMA max_page_count = 1000000", ())

        large = Journal(tmp_path / "logs", 1000)
        large.event = _long(large.event)  # type: ignore[method-assign]
        await recover(store, large, backend, asked, tmp_path, sleep)  # type: ignore[arg-type]
        assert len(waited) == 3
        assert backend.stopped == []
        assert asked.checking == set()
        adopted = store.replicas["r1"]
        assert (adopted.phase, adopted.slots, adopted.capacity) == (ReplicaPhase.READY, 2, 8)
        await store.close()

    asyncio.run(scenario())


def _long(event: Any) -> Any:
    """Events that need a page of their own, so that a full store has no room for one."""
    return lambda *a, **k: msgspec.structs.replace(event(*a, **k), message="x" * 5000)
