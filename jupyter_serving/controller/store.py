"""The store: SQLite under ``<data>/store.sqlite``, write-through, with every live record in memory.

The file is opened with SQLite's exclusive locking mode: the lock is on the store itself, a second controller cannot
open it, and a killed one leaves it free (https://sqlite.org/pragma.html#pragma_locking_mode). One thread does all the
writing; memory changes only after the commit, so a full disk loses nothing and is told.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from ..errors import Conflict, StoreFault
from .records import (
    ConfigRecord,
    EndpointRecord,
    EventRecord,
    Record,
    ReplicaRecord,
    StartRecord,
    TokenRecord,
)

SCHEMA_VERSION = 1
SCHEMA = """
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
"""
STARTS_KEPT = 200
R = TypeVar("R", bound=Record)


class StoreLocked(Conflict):
    """Another controller holds this data directory."""


class Store:
    """All records of one data directory. ``open`` before use; every method but the reads is a coroutine."""

    def __init__(self, path: Path, events_kept: int = 1000) -> None:
        self.path = path
        self.events_kept = events_kept
        self.endpoints: dict[str, EndpointRecord] = {}
        self.configs: dict[tuple[str, int], ConfigRecord] = {}
        self.replicas: dict[str, ReplicaRecord] = {}
        self.tokens: dict[str, TokenRecord] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._turn = asyncio.Lock()
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Take the lock, make or check the schema, load the live records.

        Raises:
            StoreLocked: another controller holds it.
            StoreFault: unreadable, damaged, of a newer version, or no space.
        """
        await self._run(self._open)

    async def close(self) -> None:
        """Release the lock."""
        await self._run(self._close)
        self._thread.shutdown()

    def find(self, name: str) -> EndpointRecord | None:
        """Endpoint that has ``name`` now; deleted ones that still drain do not count."""
        for endpoint in self.endpoints.values():
            if endpoint.name == name and endpoint.wanted != "DELETED":
                return endpoint
        return None

    def config(self, endpoint: str, version: int | None) -> ConfigRecord | None:
        """Config ``version`` of an endpoint."""
        return None if version is None else self.configs.get((endpoint, version))

    def replicas_of(self, endpoint: str) -> list[ReplicaRecord]:
        """All replicas of an endpoint, oldest first."""
        found = [r for r in self.replicas.values() if r.endpoint == endpoint]
        return sorted(found, key=lambda r: (r.created, r.id))

    def tokens_of(self, endpoint: str) -> list[TokenRecord]:
        """Query tokens of an endpoint."""
        return [t for t in self.tokens.values() if t.endpoint == endpoint]

    async def put(self, *records: Record) -> None:
        """Write records in one transaction (events included), then take them into memory.

        Raises:
            StoreFault: the write failed; nothing has changed, in the file or in memory.
        """
        async with self._turn:
            await self._put(records)

    async def amend(self, record: R, change: Callable[[R], R], *others: Record) -> R:
        """Replace a record by ``change`` of its present state, and write ``others``; returns the new state.

        No other write comes between reading and writing, so two changes of one record never lose one another.

        Raises:
            KeyError: the record is gone. StoreFault: as ``put``. Whatever ``change`` raises; nothing is changed then.
        """
        async with self._turn:
            fresh = change(self._present(record))
            await self._put((fresh, *others))
            return fresh

    async def _put(self, records: Iterable[Record]) -> None:
        await self._run(self._write, records)
        for record in records:
            self._remember(record)

    def _present(self, record: R) -> R:
        present: Record
        match record:
            case EndpointRecord():
                present = self.endpoints[record.id]
            case ConfigRecord():
                present = self.configs[record.endpoint, record.version]
            case ReplicaRecord():
                present = self.replicas[record.id]
            case _:
                raise TypeError(f"records of {type(record).__name__} are never changed")
        return cast(R, present)

    async def forget_replica(self, replica: ReplicaRecord, *records: Record) -> None:
        """Remove a replica, and write ``records``, in one transaction."""
        removal = [("DELETE FROM replicas WHERE id = ?", (replica.id,))]
        async with self._turn:
            await self._run(self._write, records, removal)
            self.replicas.pop(replica.id, None)
            for record in records:
                self._remember(record)

    async def forget_token(self, token: TokenRecord) -> None:
        """Revoke a query token."""
        await self._run(self._write, (), [("DELETE FROM tokens WHERE id = ?", (token.id,))])
        self.tokens.pop(token.id, None)

    async def forget_endpoint(self, endpoint: EndpointRecord) -> None:
        """Remove an endpoint and everything of it."""
        tables = ("configs", "replicas", "tokens", "starts", "events")
        removals: list[tuple[str, tuple[Any, ...]]] = [
            (f"DELETE FROM {table} WHERE endpoint = ?", (endpoint.id,)) for table in tables
        ]
        removals.append(("DELETE FROM endpoints WHERE id = ?", (endpoint.id,)))
        await self._run(self._write, (), removals)
        self.endpoints.pop(endpoint.id, None)
        self.configs = {k: c for k, c in self.configs.items() if k[0] != endpoint.id}
        self.replicas = {k: r for k, r in self.replicas.items() if r.endpoint != endpoint.id}
        self.tokens = {k: t for k, t in self.tokens.items() if t.endpoint != endpoint.id}

    async def events(self, endpoint: str, after: int = 0, limit: int = 200) -> list[EventRecord]:
        """The last ``limit`` events after id ``after``, oldest first."""
        query = "SELECT id, body FROM events WHERE endpoint = ? AND id > ? ORDER BY id DESC LIMIT ?"
        rows = await self._run(self._select, query, (endpoint, after, limit))
        return [
            msgspec.structs.replace(msgspec.json.decode(body, type=EventRecord), id=number)
            for number, body in reversed(rows)
        ]

    async def starts(self, endpoint: str, limit: int = 50) -> list[StartRecord]:
        """The last ``limit`` starts of replicas, oldest first."""
        query = "SELECT body FROM starts WHERE endpoint = ? ORDER BY rowid DESC LIMIT ?"
        rows = await self._run(self._select, query, (endpoint, limit))
        return [msgspec.json.decode(body, type=StartRecord) for (body,) in reversed(rows)]

    # -- in the store's thread -----------------------------------------------------------------------

    async def _run(self, function: Any, *args: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except sqlite3.Error as error:
            raise StoreFault(
                f"The store {self.path} cannot be used: {error}. Nothing was changed.",
                hint="Free disk space or permissions there, then repeat; `jupyter serving doctor` checks both.",
            ) from error

    def _open(self) -> None:
        db = sqlite3.connect(self.path, timeout=0.2, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN EXCLUSIVE")
            self._migrate(db)
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            db.close()
            if "locked" in str(error):
                raise StoreLocked(f"Another controller holds {self.path}.") from error
            raise
        # A power cut may lose the last transactions, never the file's integrity; a killed process loses nothing.
        db.execute("PRAGMA synchronous = NORMAL")
        self.path.chmod(0o600)
        self._db = db
        self._load(db)

    def _migrate(self, db: sqlite3.Connection) -> None:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif found != SCHEMA_VERSION:
            raise StoreFault(
                f"The store {self.path} has schema {found}; this version reads {SCHEMA_VERSION}.",
                hint="Upgrade jupyter-serving, or use another data directory.",
            )

    def _load(self, db: sqlite3.Connection) -> None:
        for kind, table in (
            (EndpointRecord, "endpoints"),
            (ConfigRecord, "configs"),
            (ReplicaRecord, "replicas"),
            (TokenRecord, "tokens"),
        ):
            for (body,) in db.execute(f"SELECT body FROM {table}"):
                self._remember(msgspec.json.decode(body, type=kind))

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreFault(f"The store {self.path} is closed.")
        return self._db

    def _select(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        return self._connection().execute(query, values).fetchall()

    def _write(
        self, records: Iterable[Record], removals: Iterable[tuple[str, tuple[Any, ...]]] = ()
    ) -> None:
        db = self._connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in removals:
                db.execute(statement, values)
            for record in records:
                self._write_one(db, record)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def _write_one(self, db: sqlite3.Connection, record: Record) -> None:
        body = msgspec.json.encode(record)
        match record:
            case EndpointRecord():
                db.execute("INSERT OR REPLACE INTO endpoints VALUES (?, ?)", (record.id, body))
            case ConfigRecord():
                row = (record.endpoint, record.version, body)
                db.execute("INSERT OR REPLACE INTO configs VALUES (?, ?, ?)", row)
            case ReplicaRecord():
                row3 = (record.id, record.endpoint, body)
                db.execute("INSERT OR REPLACE INTO replicas VALUES (?, ?, ?)", row3)
            case TokenRecord():
                db.execute(
                    "INSERT INTO tokens VALUES (?, ?, ?)", (record.id, record.endpoint, body)
                )
            case StartRecord():
                self._write_start(db, record, body)
            case EventRecord():
                self._write_event(db, record, body)

    def _write_start(self, db: sqlite3.Connection, record: StartRecord, body: bytes) -> None:
        update = "INSERT INTO starts VALUES (?, ?, ?) ON CONFLICT (replica) DO UPDATE SET body = excluded.body"
        db.execute(update, (record.replica, record.endpoint, body))
        db.execute(
            "DELETE FROM starts WHERE endpoint = ?1 AND rowid <= (SELECT rowid FROM starts WHERE"
            " endpoint = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2)",
            (record.endpoint, STARTS_KEPT),
        )

    def _write_event(self, db: sqlite3.Connection, record: EventRecord, body: bytes) -> None:
        db.execute("INSERT INTO events (endpoint, body) VALUES (?, ?)", (record.endpoint, body))
        db.execute(
            "DELETE FROM events WHERE endpoint = ?1 AND id <= (SELECT id FROM events WHERE"
            " endpoint = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (record.endpoint, self.events_kept),
        )

    def _remember(self, record: Record) -> None:
        match record:
            case EndpointRecord():
                self.endpoints[record.id] = record
            case ConfigRecord():
                self.configs[record.endpoint, record.version] = record
            case ReplicaRecord():
                self.replicas[record.id] = record
            case TokenRecord():
                self.tokens[record.id] = record
