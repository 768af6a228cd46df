"""The schema of the store and how an older one becomes the present one.

Migration *n* turns schema *n* into *n + 1*; a new store runs them all. They run in one transaction, so a crash in the
middle leaves the old file whole. Beside it a copy of the old file is kept (``store.sqlite.v1``): an older version of
this package opens that one again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from ..errors import StoreFault

Migration = Sequence[str]

FIRST: Migration = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE endpoints (id TEXT PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE configs (endpoint TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (endpoint, version))",
    "CREATE TABLE replicas (id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE tokens (id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE starts (replica TEXT PRIMARY KEY, endpoint TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX events_of ON events (endpoint, id)",
    "CREATE INDEX starts_of ON starts (endpoint)",
)
DECISIONS_AND_CERTIFICATES: Migration = (
    "CREATE TABLE decisions (id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX decisions_of ON decisions (endpoint, id)",
    "CREATE TABLE certificates (endpoint TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (endpoint, version))",
)
MEASURES: Migration = (
    "CREATE TABLE measures (model TEXT NOT NULL, slots INTEGER NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (model, slots))",
)
MIGRATIONS: Sequence[Migration] = (FIRST, DECISIONS_AND_CERTIFICATES, MEASURES)


def schema_of(db: sqlite3.Connection) -> int:
    """Schema version of an open store; 0 for a new file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, path: Path, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the store at ``path`` to the newest schema; call it outside a transaction, with the lock held.

    Raises:
        StoreFault: it is of a newer version. sqlite3.Error, OSError: no space, damaged; nothing was changed.
    """
    found = schema_of(db)
    if found > len(steps):
        raise StoreFault(
            f"The store {path} has schema {found}; this version reads {len(steps)} and older.",
            hint="Upgrade jupyter-serving, or use another data directory. The copies "
            f"{path.name}.v1 … .v{len(steps)} beside it, where there are any, are the store from before an upgrade.",
        )
    if found == len(steps):
        return
    if found:
        keep_copy(db, path.with_name(f"{path.name}.v{found}"))
    db.execute("BEGIN EXCLUSIVE")
    try:
        for step in steps[found:]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(steps)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def keep_copy(db: sqlite3.Connection, target: Path) -> None:
    """Write a whole copy of the store (0600) to ``target``: what an interrupted copy left is replaced."""
    fresh = target.with_name(target.name + ".new")
    fresh.unlink(missing_ok=True)
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        copy = sqlite3.connect(fresh)
        try:
            db.backup(copy)
        finally:
            copy.close()
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
