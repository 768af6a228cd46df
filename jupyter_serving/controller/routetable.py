"""What the gateway is told: the entry of every endpoint, and news of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..settings import Settings
from .link import GatewayLink
from .records import EndpointRecord, EntityRecord, ReplicaPhase, ReplicaRecord
from .routing import routing
from .store import Store


class RouteTable:
    """Entries made from the records.

    Args:
        store: the records.
        settings: limits that hold for every endpoint.
        address: where a replica answers.
        unavailable: why an entity (by key) cannot be started, or None.
        metadata: what the Open Inference Protocol tells of an entity's model, None where that is not known.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        address: Callable[[ReplicaRecord], str],
        unavailable: Callable[[str], str | None],
        metadata: Callable[[EntityRecord], dict[str, Any] | None],
    ) -> None:
        self._store, self._settings = store, settings
        self._address, self._unavailable, self._metadata = address, unavailable, metadata

    def entries(self) -> list[dict[str, Any]]:
        """Of every endpoint that is not deleted."""
        return [self._entry(e) for e in self._store.endpoints.values() if e.wanted != "DELETED"]

    def draining(self) -> list[str]:
        """Replicas of deleted endpoints whose end of requests is awaited, though no entry names them."""
        gone = {e.id for e in self._store.endpoints.values() if e.wanted == "DELETED"}
        return [
            r.id
            for r in self._store.replicas.values()
            if r.endpoint in gone and r.phase is ReplicaPhase.DRAINING
        ]

    def publish(self, endpoint: str, link: GatewayLink) -> tuple[list[str], int]:
        """Tell the news of an endpoint; returns the replicas that are routed now, and the revision that says so."""
        record = self._store.endpoints.get(endpoint)
        if record is None:
            names = {e.name for e in self._store.endpoints.values() if e.wanted != "DELETED"}
            for name in link.known() - names:
                link.publish(None, name)
        elif record.wanted == "DELETED":
            if self._store.find(record.name) is None:
                link.publish(None, record.name)
        else:
            entry = self._entry(record)
            revision = link.publish(entry, record.name)
            return [r["id"] for e in entry["entities"] for r in e["replicas"]], revision
        return [], 0

    def _entry(self, endpoint: EndpointRecord) -> dict[str, Any]:
        version = endpoint.active if endpoint.active is not None else endpoint.pending
        return routing(
            endpoint,
            self._store.config(endpoint.id, version),
            self._store.replicas_of(endpoint.id),
            self._store.tokens_of(endpoint.id),
            self._settings,
            self._address,
            self._unavailable,
            self._metadata,
        )
