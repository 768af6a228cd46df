"""Stores of older versions: everything is found again, and nothing can break halfway."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from jupyter_serving.controller import migrations
from jupyter_serving.controller.records import (
    CertificateRecord,
    ConfigRecord,
    DecisionRecord,
    EndpointRecord,
    EventRecord,
    Record,
    ReplicaRecord,
    StartRecord,
    TokenRecord,
)
from jupyter_serving.controller.store import Store
from jupyter_serving.controller.tables import TABLES
from jupyter_serving.errors import StoreFault

# As version 0.1 made it, copied from there.
SCHEMA_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE endpoints (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE configs (endpoint TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (endpoint, version));
CREATE TABLE replicas (id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE tokens (id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE starts (replica TEXT PRIMARY KEY, endpoint TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX events_of ON events (endpoint, id);
CREATE INDEX starts_of ON starts (endpoint);
PRAGMA user_version = 1;
"""
# What that version wrote, verbatim.
ENDPOINT = (
    '{"id":"e1","name":"iris","creator":"me","created":1,"updated":2,"description":"","tags":[],'
    '"route_optimized":false,"wanted":"RUNNING","active":1,"pending":null,"failed":null,"last_version":1,'
    '"update":"NOT_UPDATING","update_started":0,"message":""}'
)
CONFIG = (
    '{"endpoint":"e1","version":1,"created":1,"entities":[{"name":"iris-1","spec":{"entity_name":"iris",'
    '"entity_version":"1"},"source":{"name":"iris"},"registry":{"tracking_uri":"sqlite:////x"},"created":1,'
    '"creator":"me","digest":"ab","environment":null,"failure":""}],"routes":[["iris-1",100]],"capture":null}'
)
REPLICA = (
    '{"id":"r1","endpoint":"e1","version":1,"entity":"iris-1","phase":"READY","backend":"process","slots":4,'
    '"reason":"deploy","created":3,"capacity":0,"handle":{"pid":7},"draining_since":0,"held_at":null}'
)
TOKEN = '{"id":"t1","endpoint":"e1","sha256":"00","comment":"mine","created":4}'
START = (
    '{"replica":"r1","endpoint":"e1","entity":"iris-1","reason":"deploy","started_at":3,"total_seconds":0.5,'
    '"phases":{"spawn":0.1}}'
)
EVENT = '{"endpoint":"e1","timestamp":5,"type":"CREATED","message":"made","served_entity":"","details":{},"id":0}'


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of schema 1 with one record of each type."""
    path = tmp_path / "store.sqlite"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(SCHEMA_1)
    db.execute("INSERT INTO endpoints VALUES ('e1', ?)", (ENDPOINT.encode(),))
    db.execute("INSERT INTO configs VALUES ('e1', 1, ?)", (CONFIG.encode(),))
    db.execute("INSERT INTO replicas VALUES ('r1', 'e1', ?)", (REPLICA.encode(),))
    db.execute("INSERT INTO tokens VALUES ('t1', 'e1', ?)", (TOKEN.encode(),))
    db.execute("INSERT INTO starts VALUES ('r1', 'e1', ?)", (START.encode(),))
    db.execute("INSERT INTO events (endpoint, body) VALUES ('e1', ?)", (EVENT.encode(),))
    db.close()
    return path


def schema(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return migrations.schema_of(db)
    finally:
        db.close()


def same(record: Record | None, text: str) -> bool:
    """True where the record holds everything that was written then."""
    written, now = msgspec.json.decode(text), msgspec.json.decode(msgspec.json.encode(record))
    return all(
        now[name] == value for name, value in written.items() if name not in ("id", "entities")
    )


def test_a_store_of_schema_1_opens_with_everything_in_it(old: Path) -> None:
    async def scenario() -> None:
        store = Store(old)
        await store.open()
        assert same(store.find("iris"), ENDPOINT)
        config = store.config("e1", 1)
        assert config is not None
        assert same(config, CONFIG)
        assert (config.entities[0].digest, config.entities[0].spec.entity_name) == ("ab", "iris")
        assert same(store.replicas["r1"], REPLICA)
        assert same(store.tokens_of("e1")[0], TOKEN)
        assert same((await store.starts("e1"))[0], START)
        events = await store.events("e1")
        assert same(events[0], EVENT)
        assert events[0].id == 1
        await store.put(
            DecisionRecord(
                endpoint="e1", entity="iris-1", version=1, at=1, before=0, wanted=1,
                inputs={"ready": 0}, reason="one waits",
            ),
            CertificateRecord(endpoint="e1", version=1, body={"failed": 0}),
        )  # fmt: skip
        assert [d.reason for d in await store.recent(DecisionRecord, "e1", 10)] == ["one waits"]
        assert [c.body for c in await store.recent(CertificateRecord, "e1", 1)] == [{"failed": 0}]
        await store.close()

    asyncio.run(scenario())
    assert schema(old) == len(migrations.MIGRATIONS)
    copy = old.with_name("store.sqlite.v1")
    assert schema(copy) == 1
    assert copy.stat().st_mode & 0o777 == 0o600
    db = sqlite3.connect(copy)
    assert db.execute("SELECT body FROM endpoints").fetchone()[0].decode() == ENDPOINT
    db.close()


def test_every_type_of_record_has_its_table(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Store(tmp_path / "store.sqlite")
        await store.open()
        for table in TABLES.values():
            found = await store._run(store._select, f"PRAGMA table_info({table.name})", ())
            assert {row[1] for row in found} >= {*table.columns, "body"}
        await store.close()

    asyncio.run(scenario())
    kinds = {EndpointRecord, ConfigRecord, ReplicaRecord, TokenRecord, StartRecord, EventRecord}
    assert set(TABLES) >= kinds


def test_a_migration_that_fails_leaves_the_old_file(old: Path) -> None:
    before = [*migrations.MIGRATIONS, ("CREATE TABLE one (a)", "this is no statement")]
    db = sqlite3.connect(old, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(db, old, before)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    db.close()
    assert schema(old) == 1
    assert not tables & {"one", "decisions"}


CRASHING = """
import os, signal, sqlite3, sys
from pathlib import Path
from jupyter_serving.controller import migrations

path, moment = Path(sys.argv[1]), int(sys.argv[2])
db = sqlite3.connect(path, isolation_level=None)
count = 0

def die():
    global count
    count += 1
    if count == moment:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0

# SQLite calls this every so many instructions of its machine: moments within statements, not only between them.
db.set_progress_handler(die, 20)
migrations.migrate(db, path)
"""


def test_a_crash_in_the_middle_of_a_migration_leaves_the_old_file_whole(
    old: Path, tmp_path: Path
) -> None:
    for moment in (1, 2, 4, 8, 12):
        folder = tmp_path / str(moment)
        folder.mkdir()
        path = folder / "store.sqlite"
        shutil.copy(old, path)
        ended = subprocess.run(
            [sys.executable, "-c", CRASHING, str(path), str(moment)],
            check=False,
            env=dict(os.environ),
        )
        assert ended.returncode == -signal.SIGKILL, f"moment {moment} is after the end"
        assert schema(path) == 1

        async def scenario(path: Path = path) -> None:
            store = Store(path)
            await store.open()
            assert same(store.find("iris"), ENDPOINT)
            await store.close()

        asyncio.run(scenario())
        assert schema(path) == len(migrations.MIGRATIONS)


def test_a_newer_store_is_refused_and_says_what_to_do(old: Path) -> None:
    db = sqlite3.connect(old)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreFault, match=r"schema 99.*Upgrade.*\.v1"):
        asyncio.run(Store(old).open())
    assert schema(old) == 99


def test_no_space_for_the_copy_is_told_and_changes_nothing(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(db: sqlite3.Connection, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(migrations, "keep_copy", full)
    with pytest.raises(StoreFault, match=r"No space left.*Free disk space"):
        asyncio.run(Store(old).open())
    assert schema(old) == 1
