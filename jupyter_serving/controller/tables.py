"""What is kept where: one row for each type of record.

A new type of record is one row here and one migration that makes its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .records import (
    CertificateRecord,
    ConfigRecord,
    DecisionRecord,
    EndpointRecord,
    EventRecord,
    MeasureRecord,
    Record,
    ReplicaRecord,
    StartRecord,
    TokenRecord,
)


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns are ``key``, ``owner`` and ``body`` (the whole record as JSON).

    Attributes:
        key: attributes that identify a record; writing one again replaces it. Empty for a log whose records are only
            ever added: the store gives them their ``id``, which grows.
        owner: attribute with the id of the endpoint that the record belongs to, and goes with.
        live: every record is in memory too, and may be changed.
        kept: newest records that are kept of each endpoint; None keeps all.
    """

    name: str
    key: tuple[str, ...]
    owner: str = "endpoint"
    live: bool = False
    kept: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns but ``body``."""
        return self.key if self.owner in self.key else (*self.key, self.owner)

    @property
    def numbered(self) -> bool:
        """True where the store gives each record its ``id``."""
        return not self.key

    @property
    def log(self) -> bool:
        """True for what happened to an endpoint: it goes with it."""
        return not self.live and self.owner == "endpoint"

    def values(self, record: Record) -> tuple[str | int, ...]:
        """Values of ``columns`` for a record."""
        return tuple(getattr(record, column) for column in self.columns)

    def write(self) -> str:
        """Statement that takes ``values`` and the body; a record of the same key keeps its place in the order."""
        names = ", ".join((*self.columns, "body"))
        marks = ", ".join("?" * (len(self.columns) + 1))
        insert = f"INSERT INTO {self.name} ({names}) VALUES ({marks})"
        if self.numbered:
            return insert
        return f"{insert} ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET body = excluded.body"

    def trim(self) -> str:
        """Statement that takes the endpoint and how many to keep, and removes what is older."""
        newest = f"SELECT rowid FROM {self.name} WHERE {self.owner} = ?1 ORDER BY rowid DESC"
        return (
            f"DELETE FROM {self.name} WHERE {self.owner} = ?1"
            f" AND rowid <= ({newest} LIMIT 1 OFFSET ?2)"
        )

    def recent(self) -> str:
        """Statement that takes the endpoint, a row number and a limit: newer rows (number, body), newest first."""
        return (
            f"SELECT rowid, body FROM {self.name} WHERE {self.owner} = ? AND rowid > ?"
            " ORDER BY rowid DESC LIMIT ?"
        )

    def remove(self) -> str:
        """Statement that takes the key and removes one record."""
        return f"DELETE FROM {self.name} WHERE " + " AND ".join(f"{k} = ?" for k in self.key)

    def remove_owned(self) -> str:
        """Statement that takes an endpoint and removes everything of it."""
        return f"DELETE FROM {self.name} WHERE {self.owner} = ?"

    def identity(self, record: Record) -> tuple[str | int, ...]:
        """Value of the key of a record."""
        return tuple(getattr(record, column) for column in self.key)


TABLES: Mapping[type[Record], Table] = {
    EndpointRecord: Table("endpoints", ("id",), owner="id", live=True),
    ConfigRecord: Table("configs", ("endpoint", "version"), live=True),
    ReplicaRecord: Table("replicas", ("id",), live=True),
    TokenRecord: Table("tokens", ("id",), live=True),
    StartRecord: Table("starts", ("replica",), kept=200),
    EventRecord: Table("events", (), kept=1000),
    DecisionRecord: Table("decisions", (), kept=500),
    CertificateRecord: Table("certificates", ("endpoint", "version"), kept=100),
    # Of a model, not of an endpoint: the next one that serves it knows what it takes.
    MeasureRecord: Table("measures", ("model", "slots"), owner="model"),
}
