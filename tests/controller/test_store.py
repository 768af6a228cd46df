"""The store: lock, durability, faults."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.api import Registry, ServedEntityInput
from jupyter_serving.controller.records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    EventRecord,
    ReplicaPhase,
    ReplicaRecord,
    StartRecord,
    TokenRecord,
    Wanted,
)
from jupyter_serving.controller.store import Store, StoreLocked
from jupyter_serving.errors import StoreFault

ENDPOINT = EndpointRecord(id="e1", name="iris", creator="me", created=1, updated=1)
ENTITY = EntityRecord(
    name="iris-1",
    spec=ServedEntityInput(entity_name="iris", entity_version="1", environment_vars={"A": "b"}),
    source={"name": "iris"},
    registry=Registry(tracking_uri="sqlite:////x"),
    created=1,
    creator="me",
)
CONFIG = ConfigRecord(
    endpoint="e1", version=1, created=1, entities=(ENTITY,), routes=(("iris-1", 100),)
)
REPLICA = ReplicaRecord(
    id="r1",
    endpoint="e1",
    version=1,
    entity="iris-1",
    phase=ReplicaPhase.STARTING,
    backend="process",
    slots=4,
    reason="deploy",
    created=1,
    handle={"pid": 7},
)
TOKEN = TokenRecord(id="t1", endpoint="e1", sha256="00", comment="", created=1)


def event(number: int) -> EventRecord:
    return EventRecord(endpoint="e1", timestamp=number, type="T", message=str(number))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_everything_comes_back_after_a_restart(tmp_path: Path) -> None:
    async def write() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        await store.put(ENDPOINT, CONFIG, REPLICA, TOKEN, event(1))
        await store.close()

    async def read() -> Store:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        assert [e.message for e in await store.events("e1")] == ["1"]
        await store.close()
        return store

    run(write())
    store = run(read())
    assert store.endpoints == {"e1": ENDPOINT}
    assert store.config("e1", 1) == CONFIG
    assert store.replicas == {"r1": REPLICA}
    assert store.tokens_of("e1") == [TOKEN]


def test_a_second_controller_is_refused_and_a_killed_one_leaves_the_store_free(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.sqlite"
    code = (
        "import asyncio,sys\nfrom pathlib import Path\n"
        "from jupyter_serving.controller.store import Store\n"
        "from jupyter_serving.controller.records import EndpointRecord\n"
        "async def main():\n"
        "    store = Store(Path(sys.argv[1]))\n"
        "    await store.open()\n"
        "    await store.put(EndpointRecord(id='e', name='kept', creator='me', created=1, updated=1))\n"
        "    print('open', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreLocked, match="Another controller"):
            run(Store(path).open())
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()

    async def after() -> Store:
        store = Store(path)
        await store.open()
        await store.close()
        return store

    assert [e.name for e in run(after()).endpoints.values()] == ["kept"]


def test_a_full_disk_is_told_and_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        await store.put(ENDPOINT)
        # SQLite's own limit on pages is the same failure (SQLITE_FULL) as a disk without space.
        pages = await store._run(store._select, "PRAGMA page_count", ())
        await store._run(store._select, f"PRAGMA max_page_count = {pages[0][0]}", ())
        large = EndpointRecord(
            id="e2", name="big", creator="me", created=1, updated=1, description="x" * 1_000_000
        )
        with pytest.raises(StoreFault, match=r"full.*Free disk space"):
            await store.put(large)
        assert "e2" not in store.endpoints
        assert store.find("iris") == ENDPOINT
        await store._run(store._select, "PRAGMA max_page_count = 1000000", ())
        await store.put(large)
        assert store.find("big") == large
        await store.close()

    run(scenario())


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(StoreFault, match="cannot be used"):
        run(Store(path).open())


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "store.sqlite"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreFault, match=r"schema 99.*Upgrade"):
        run(Store(path).open())


def test_forgetting_an_endpoint_leaves_nothing_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        start = StartRecord(
            replica="r1", endpoint="e1", entity="iris-1", reason="deploy", started_at=1
        )
        await store.put(ENDPOINT, CONFIG, REPLICA, TOKEN, event(1), start)
        await store.forget_endpoint(ENDPOINT)
        assert not (store.endpoints or store.configs or store.replicas or store.tokens)
        assert await store.events("e1") == []
        assert await store.starts("e1") == []
        await store.put(event(2), start)
        assert await store.events("e1") == [], "what comes too late is not kept for ever"
        assert await store.starts("e1") == []
        await store.close()

    run(scenario())


def test_events_are_bounded_and_paged(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite", events_kept=5)
        await store.open()
        await store.put(ENDPOINT, *(event(n) for n in range(20)))
        kept = await store.events("e1")
        assert [e.message for e in kept] == ["15", "16", "17", "18", "19"]
        assert [e.message for e in await store.events("e1", after=kept[-2].id)] == ["19"]
        assert [e.message for e in await store.events("e1", limit=2)] == ["18", "19"]
        await store.close()

    run(scenario())


def test_a_deleted_endpoint_frees_its_name(tmp_path: Path) -> None:
    from msgspec.structs import replace

    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        await store.put(replace(ENDPOINT, wanted=Wanted.DELETED))
        assert store.find("iris") is None
        await store.put(replace(ENDPOINT, id="e2"))
        found = store.find("iris")
        assert found is not None
        assert found.id == "e2"
        await store.close()

    run(scenario())


def test_lookups_find_what_is_there_after_every_change(tmp_path: Path) -> None:
    from msgspec.structs import replace

    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        second = replace(ENDPOINT, id="e2", name="wine")
        await store.put(ENDPOINT, second, CONFIG, replace(CONFIG, version=2), REPLICA, TOKEN)
        await store.put(
            replace(REPLICA, id="r0", created=0), replace(REPLICA, id="r2", endpoint="e2")
        )
        await store.put(replace(REPLICA, phase=ReplicaPhase.READY))
        assert [(r.id, r.phase) for r in store.replicas_of("e1")] == [
            ("r0", "STARTING"),
            ("r1", "READY"),
        ]
        assert [c.version for c in store.configs_of("e1")] == [1, 2]
        await store.forget_replica(store.replicas["r1"])
        await store.forget_token(TOKEN)
        assert [r.id for r in store.replicas_of("e1")] == ["r0"]
        assert store.tokens_of("e1") == []
        await store.forget_endpoint(ENDPOINT)
        assert (store.find("iris"), store.replicas_of("e1"), store.configs_of("e1")) == (
            None,
            [],
            [],
        )
        assert store.find("wine") == second
        assert [r.id for r in store.replicas_of("e2")] == ["r2"]
        await store.close()

    run(scenario())


def test_a_caller_that_is_cancelled_does_not_part_memory_from_the_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        await store.put(ENDPOINT)
        writing = asyncio.create_task(store.put(REPLICA))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await store.put(TOKEN)
        rows = await store._run(store._select, "SELECT id FROM replicas", ())
        assert sorted(store.replicas) == [r for (r,) in rows]
        await store.close()

    run(scenario())


def test_changes_of_one_record_at_the_same_time_lose_none(tmp_path: Path) -> None:
    from msgspec.structs import replace

    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        await store.put(ENDPOINT)
        await asyncio.gather(
            *(
                store.amend(ENDPOINT, lambda e: replace(e, updated=e.updated + 1))
                for _ in range(20)
            ),
            store.amend(ENDPOINT, lambda e: replace(e, wanted=Wanted.DELETED)),
        )
        present = store.endpoints["e1"]
        assert (present.updated, present.wanted) == (ENDPOINT.updated + 20, Wanted.DELETED)
        await store.close()

    run(scenario())


def test_a_change_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    def refuse(_: EndpointRecord) -> EndpointRecord:
        raise StoreFault("no")

    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        await store.put(ENDPOINT)
        with pytest.raises(StoreFault, match="no"):
            await store.amend(ENDPOINT, refuse, event(1))
        assert store.endpoints["e1"] == ENDPOINT
        assert await store.events("e1") == []
        await store.put(CONFIG)
        await store.close()

    run(scenario())
