"""The live records in memory, with the indices that keep every look-up independent of the number of endpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar, cast

from .records import ConfigRecord, EndpointRecord, Record, ReplicaRecord, TokenRecord

R = TypeVar("R", bound=Record)


class Memory:
    """Records by id; configs by (endpoint, version). Only the store changes it, after its file."""

    def __init__(self) -> None:
        self.endpoints: dict[str, EndpointRecord] = {}
        self.configs: dict[tuple[str, int], ConfigRecord] = {}
        self.replicas: dict[str, ReplicaRecord] = {}
        self.tokens: dict[str, TokenRecord] = {}
        self._named: dict[str, str] = {}
        self._versions: defaultdict[str, set[int]] = defaultdict(set)
        self._replicas_of: defaultdict[str, set[str]] = defaultdict(set)
        self._tokens_of: defaultdict[str, set[str]] = defaultdict(set)

    def named(self, name: str) -> EndpointRecord | None:
        """Endpoint that has ``name`` now; deleted ones that still drain do not count."""
        return self.endpoints.get(self._named.get(name, ""))

    def configs_of(self, endpoint: str) -> list[ConfigRecord]:
        """All config versions of an endpoint, oldest first."""
        return [self.configs[endpoint, v] for v in sorted(self._versions.get(endpoint, ()))]

    def replicas_of(self, endpoint: str) -> list[ReplicaRecord]:
        """All replicas of an endpoint, oldest first."""
        found = [self.replicas[replica] for replica in self._replicas_of.get(endpoint, ())]
        return sorted(found, key=lambda r: (r.created, r.id))

    def tokens_of(self, endpoint: str) -> list[TokenRecord]:
        """Query tokens of an endpoint, oldest first."""
        found = [self.tokens[token] for token in self._tokens_of.get(endpoint, ())]
        return sorted(found, key=lambda t: (t.created, t.id))

    def present(self, record: R) -> R:
        """The record as it is now.

        Raises:
            KeyError: it is gone. TypeError: records of its type are never changed.
        """
        now: Record
        match record:
            case EndpointRecord():
                now = self.endpoints[record.id]
            case ConfigRecord():
                now = self.configs[record.endpoint, record.version]
            case ReplicaRecord():
                now = self.replicas[record.id]
            case _:
                raise TypeError(f"records of {type(record).__name__} are never changed")
        return cast(R, now)

    def keep(self, record: Record) -> None:
        """Take over a new state of a record; one of a log is nobody's business here."""
        match record:
            case EndpointRecord():
                self._keep_endpoint(record)
            case ConfigRecord():
                self.configs[record.endpoint, record.version] = record
                self._versions[record.endpoint].add(record.version)
            case ReplicaRecord():
                self.replicas[record.id] = record
                self._replicas_of[record.endpoint].add(record.id)
            case TokenRecord():
                self.tokens[record.id] = record
                self._tokens_of[record.endpoint].add(record.id)

    def drop_replica(self, replica: ReplicaRecord) -> None:
        """Forget a replica."""
        self.replicas.pop(replica.id, None)
        self._replicas_of[replica.endpoint].discard(replica.id)

    def drop_configs(self, configs: Iterable[ConfigRecord]) -> None:
        """Remove config versions."""
        for config in configs:
            if self.configs.pop((config.endpoint, config.version), None) is not None:
                self._versions[config.endpoint].discard(config.version)

    def drop_token(self, token: TokenRecord) -> None:
        """Forget a token."""
        self.tokens.pop(token.id, None)
        self._tokens_of[token.endpoint].discard(token.id)

    def drop_endpoint(self, endpoint: str) -> None:
        """Forget an endpoint and everything of it."""
        record = self.endpoints.pop(endpoint, None)
        if record is not None and self._named.get(record.name) == endpoint:
            del self._named[record.name]
        for version in self._versions.pop(endpoint, ()):
            del self.configs[endpoint, version]
        for replica in self._replicas_of.pop(endpoint, ()):
            del self.replicas[replica]
        for token in self._tokens_of.pop(endpoint, ()):
            del self.tokens[token]

    def _keep_endpoint(self, record: EndpointRecord) -> None:
        self.endpoints[record.id] = record
        if record.wanted != "DELETED":
            self._named[record.name] = record.id
        elif self._named.get(record.name) == record.id:
            del self._named[record.name]
