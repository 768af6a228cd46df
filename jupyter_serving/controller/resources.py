"""What the host has for replicas: sampled while something runs, reserved before a replica starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from ..backends.base import Backend, HostCapacity
from ..settings import Settings
from ..workloads import workload_type
from . import placement
from .placement import Need, Placed, Shortage
from .records import EntityRecord, ReplicaRecord
from .sizing import capacity_of, memory_of
from .store import Store

UNKNOWN = HostCapacity(1.0, 0, 0)


class Resources:
    """Reservations of all replicas, and what is left. ``refresh`` before the first question."""

    def __init__(
        self, store: Store, backend: Backend, settings: Settings, size_of: Callable[[str], int]
    ) -> None:
        self._store, self._backend, self._settings = store, backend, settings
        self._size_of = size_of
        self.host = UNKNOWN
        self.used: dict[str, int] = {}
        self._largest: dict[tuple[str, int], int] = {}
        self._admitted: set[str] = set()

    async def refresh(self) -> HostCapacity:
        """Look at the host."""
        self.host = await self._backend.capacity()
        return self.host

    # -- questions -----------------------------------------------------------------------------------

    def need(self, entity: EntityRecord) -> Need:
        """What one replica of an entity reserves."""
        slots = capacity_of(entity.spec).slots_per_replica
        return placement.need(
            workload_type(entity.spec.workload_type),
            self._largest.get((entity.digest, slots), 0),
            self._size_of(entity.digest),
            self._settings.memory_margin,
            memory_of(entity.spec, slots),
        )

    def space(self, freed: Collection[str] = ()) -> placement.Space:
        """What is left for more replicas, once the replicas ``freed`` (ids) are gone."""
        placed = [r for r in self._placed() if r.id not in freed]
        given = sum(self.used.get(replica, 0) for replica in freed)
        host = replace(self.host, memory_available=self.host.memory_available + given)
        return placement.space(
            host, [self._as_placed(r) for r in placed], self._settings.memory_budget_bytes
        )

    def fits(
        self, wants: Sequence[tuple[EntityRecord, int]], freed: Collection[str] = ()
    ) -> Shortage | None:
        """Whether so many more replicas of each entity find place now, once the replicas ``freed`` (ids) are gone."""
        needs = [(self.need(entity), count) for entity, count in wants]
        return placement.shortage(self.space(freed), needs)

    def limits(self, key: str) -> tuple[float, bool]:
        """How many replicas of an entity (by key) the host can take in all; whether it is too contended to add any."""
        endpoint, version, name = key.split(":", 2)
        config = self._store.config(endpoint, int(version))
        if config is None:
            return float("inf"), False
        own = sum(r.key == key for r in self._placed())
        pressed = placement.pressed(self.host, self._settings.cpu_pressure_limit)
        return placement.room(self.space(), self.need(config.entity(name)), own), pressed

    def _placed(self) -> list[ReplicaRecord]:
        return [r for r in self._store.replicas.values() if r.handle or r.id in self._admitted]

    def _as_placed(self, replica: ReplicaRecord) -> Placed:
        config = self._store.config(replica.endpoint, replica.version)
        need = self.need(config.entity(replica.entity)) if config else Need(0)
        return Placed(need, self.used.get(replica.id, 0))
