"""The store: SQLite under ``<data>/store.sqlite``, write-through, with every live record in memory.

The file is opened with SQLite's exclusive locking mode: the lock is on the store itself, a second controller cannot
open it, and a killed one leaves it free (https://sqlite.org/pragma.html#pragma_locking_mode). One thread does all the
writing; memory changes only after the commit, so a full disk loses nothing and is told. What is kept where is said by
``tables``, how an older file becomes a present one by ``migrations``.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..errors import Conflict, StoreFault
from .memory import Memory
from .migrations import migrate
from .records import (
    ConfigRecord,
    EndpointRecord,
    EventRecord,
    Record,
    ReplicaRecord,
    StartRecord,
    TokenRecord,
)
from .tables import TABLES

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Statement = tuple[str, tuple[Any, ...]]


class StoreLocked(Conflict):
    """Another controller holds this data directory."""


class Store:
    """All records of one data directory. ``open`` before use; every method but the reads is a coroutine."""

    def __init__(self, path: Path, events_kept: int = 1000) -> None:
        self.path = path
        self._kept = {kind: table.kept for kind, table in TABLES.items()}
        self._kept[EventRecord] = events_kept
        self._memory = Memory()
        # The very dictionaries of memory, for reading.
        self.endpoints = self._memory.endpoints
        self.configs = self._memory.configs
        self.replicas = self._memory.replicas
        self.tokens = self._memory.tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._turn = asyncio.Lock()
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Take the lock, bring the schema up to date, load the live records.

        Raises:
            StoreLocked: another controller holds it.
            StoreFault: unreadable, damaged, of a newer version, or no space.
        """
        await self._run(self._open)

    async def close(self) -> None:
        """Release the lock."""
        await self._run(self._close)
        self._thread.shutdown()

    # -- reading -------------------------------------------------------------------------------------

    def find(self, name: str) -> EndpointRecord | None:
        """Endpoint that has ``name`` now; deleted ones that still drain do not count."""
        return self._memory.named(name)

    def config(self, endpoint: str, version: int | None) -> ConfigRecord | None:
        """Config ``version`` of an endpoint."""
        return None if version is None else self.configs.get((endpoint, version))

    def configs_of(self, endpoint: str) -> list[ConfigRecord]:
        """All config versions of an endpoint, oldest first."""
        return self._memory.configs_of(endpoint)

    def replicas_of(self, endpoint: str) -> list[ReplicaRecord]:
        """All replicas of an endpoint, oldest first."""
        return self._memory.replicas_of(endpoint)

    def tokens_of(self, endpoint: str) -> list[TokenRecord]:
        """Query tokens of an endpoint, oldest first."""
        return self._memory.tokens_of(endpoint)

    async def recent(
        self, kind: type[R], endpoint: str, limit: int = 200, after: int = 0
    ) -> list[R]:
        """The last ``limit`` records of a log after number ``after`` (the ``id`` of numbered ones), oldest first."""
        table = TABLES[kind]
        rows = await self._run(self._select, table.recent(), (endpoint, after, limit))
        found = [(number, msgspec.json.decode(body, type=kind)) for number, body in reversed(rows)]
        if not table.numbered:
            return [record for _, record in found]
        return [msgspec.structs.replace(record, id=number) for number, record in found]

    async def events(self, endpoint: str, after: int = 0, limit: int = 200) -> list[EventRecord]:
        """The last ``limit`` events after id ``after``, oldest first."""
        return await self.recent(EventRecord, endpoint, limit, after)

    async def starts(self, endpoint: str, limit: int = 50) -> list[StartRecord]:
        """The last ``limit`` starts of replicas, oldest first."""
        return await self.recent(StartRecord, endpoint, limit)

    # -- writing -------------------------------------------------------------------------------------

    async def put(self, *records: Record) -> None:
        """Write records in one transaction (those of logs included), then take them into memory.

        Raises:
            StoreFault: the write failed; nothing has changed, in the file or in memory.
        """
        await self._in_turn(lambda: self._put(records))

    async def amend(self, record: R, change: Callable[[R], R], *others: Record) -> R:
        """Replace a record by ``change`` of its present state, and write ``others``; returns the new state.

        No other write comes between reading and writing, so two changes of one record never lose one another.

        Raises:
            KeyError: the record is gone. StoreFault: as ``put``. Whatever ``change`` raises; nothing is changed then.
        """

        async def work() -> R:
            fresh = change(self._memory.present(record))
            await self._put((fresh, *others))
            return fresh

        return await self._in_turn(work)

    async def forget_replica(self, replica: ReplicaRecord, *records: Record) -> None:
        """Remove a replica, and write ``records``, in one transaction."""

        async def work() -> None:
            await self._put(records, [_removal(replica)])
            self._memory.drop_replica(replica)

        await self._in_turn(work)

    async def forget_token(self, token: TokenRecord) -> None:
        """Revoke a query token."""

        async def work() -> None:
            await self._put((), [_removal(token)])
            self._memory.drop_token(token)

        await self._in_turn(work)

    async def forget_configs(self, configs: Iterable[ConfigRecord]) -> None:
        """Remove config versions."""
        gone = list(configs)

        async def work() -> None:
            await self._put((), [_removal(config) for config in gone])
            self._memory.drop_configs(gone)

        await self._in_turn(work)

    async def forget_endpoint(self, endpoint: EndpointRecord) -> None:
        """Remove an endpoint and everything of it."""

        async def work() -> None:
            await self._put((), [(t.remove_owned(), (endpoint.id,)) for t in TABLES.values()])
            self._memory.drop_endpoint(endpoint.id)

        await self._in_turn(work)

    async def _in_turn(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """One change at a time, and each whole: a caller that is cancelled cannot part memory from the file."""
        await self._turn.acquire()
        task = asyncio.create_task(work())
        task.add_done_callback(lambda _: self._turn.release())
        return await asyncio.shield(task)

    async def _put(self, records: Iterable[Record], removals: Iterable[Statement] = ()) -> None:
        records = self._owned(records)
        await self._run(self._write, records, removals)
        for record in records:
            self._memory.keep(record)

    def _owned(self, records: Iterable[Record]) -> list[Record]:
        """Without what belongs in a log of an endpoint that is gone: nobody would ever remove it."""
        records = list(records)
        there = {record.id for record in records if isinstance(record, EndpointRecord)}
        return [
            record
            for record in records
            if not TABLES[type(record)].log
            or (owner := record.endpoint) in self.endpoints  # type: ignore[attr-defined]
            or owner in there
        ]

    # -- in the store's thread -----------------------------------------------------------------------

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except (sqlite3.Error, OSError) as error:
            raise StoreFault(
                f"The store {self.path} cannot be used: {error}. Nothing was changed.",
                hint="Free disk space or permissions there, then repeat; `jupyter serving doctor` checks both.",
            ) from error

    def _open(self) -> None:
        db = sqlite3.connect(self.path, timeout=0.2, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            # Takes the lock, which the locking mode then keeps until the file is closed.
            db.execute("BEGIN EXCLUSIVE")
            db.execute("COMMIT")
            migrate(db, self.path)
            # A power cut may lose the last transactions, never the file's integrity; a killed process loses nothing.
            db.execute("PRAGMA synchronous = NORMAL")
            self.path.chmod(0o600)
            self._load(db)
        except BaseException as error:
            db.close()
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise StoreLocked(f"Another controller holds {self.path}.") from error
            raise
        self._db = db

    def _load(self, db: sqlite3.Connection) -> None:
        for kind, table in TABLES.items():
            if table.live:
                for (body,) in db.execute(f"SELECT body FROM {table.name}"):
                    self._memory.keep(msgspec.json.decode(body, type=kind))

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

    def _write(self, records: Iterable[Record], removals: Iterable[Statement]) -> None:
        db = self._connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in removals:
                db.execute(statement, values)
            for record in records:
                self._write_one(db, record)
            db.execute("COMMIT")
        except BaseException:
            # SQLite itself ends the transaction after some faults (a full disk).
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _write_one(self, db: sqlite3.Connection, record: Record) -> None:
        kind = type(record)
        table = TABLES[kind]
        db.execute(table.write(), (*table.values(record), msgspec.json.encode(record)))
        kept = self._kept[kind]
        if kept is not None:
            db.execute(table.trim(), (getattr(record, table.owner), kept))


def _removal(record: Record) -> Statement:
    table = TABLES[type(record)]
    return table.remove(), table.identity(record)
