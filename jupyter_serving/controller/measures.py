"""What replicas were measured to hold: each one's bytes now, and the most that a model's replicas ever held.

The latter is kept in the store by model, so that it is known to its next endpoint and after a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..backends.base import Backend
from .records import EntityRecord, MeasureRecord, ReplicaPhase, ReplicaRecord
from .sizing import capacity_of
from .store import Store

# Seconds between two looks at a replica: at first, and, as it settles, at most. The kernel walks all its pages.
SOON, RARELY = 2.0, 60.0
# It is worth storing when it is so much more than what was known.
NEWS = 1.05


class Measures:
    """Memory of replicas and models. ``used``: bytes by replica id, as last measured; ``size_of`` blocks."""

    def __init__(
        self,
        store: Store,
        backend: Backend,
        size_of: Callable[[str], int],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._backend, self._size_of = store, backend, size_of
        self._clock, self._wall = clock, wall
        self.used: dict[str, int] = {}
        self._largest: dict[tuple[str, int], int] = {}
        self._sizes: dict[str, int] = {}
        self._seen: dict[str, tuple[float, float]] = {}

    def largest(self, entity: EntityRecord) -> int:
        """Most bytes that a replica of the entity's model and slots held; 0 where none was measured."""
        return self._largest.get(_key(entity), 0)

    def size(self, entity: EntityRecord) -> int:
        """Bytes of the model's files; 0 while they are not here."""
        return self._sizes.get(entity.digest, 0)

    async def learn(self, entity: EntityRecord) -> None:
        """Look up what is known of the entity's model from earlier replicas, and its size; once for each model."""
        if not entity.digest or entity.digest in self._sizes:
            return
        for known in await self._store.recent(MeasureRecord, entity.digest):
            key = known.model, known.slots
            self._largest[key] = max(self._largest.get(key, 0), known.memory_bytes)
        if found := await asyncio.to_thread(self._size_of, entity.digest):
            self._sizes[entity.digest] = found

    async def learn_all(self) -> None:
        """The same for all that runs."""
        for replica in list(self._store.replicas.values()):
            config = self._store.config(replica.endpoint, replica.version)
            if config is not None:
                await self.learn(config.entity(replica.entity))

    async def sample(self) -> None:
        """Measure replicas: soon after they became ready, then less and less often."""
        live = self._store.replicas
        for known in (self.used, self._seen):
            for gone in known.keys() - live.keys():
                del known[gone]
        due = [r for r in live.values() if r.handle and r.phase is ReplicaPhase.READY]
        due = [r for r in due if self._is_due(r.id)]
        if due:
            self.used |= await self._backend.memory({r.id: r.handle for r in due})
        for replica in due:
            await self._remember(replica)

    def _is_due(self, replica: str) -> bool:
        now = self._clock()
        first, last = self._seen.get(replica, (now, now - RARELY))
        due = now - last >= min(RARELY, max(SOON, now - first))
        self._seen[replica] = first, now if due else last
        return due

    async def _remember(self, replica: ReplicaRecord) -> None:
        held = self.used.get(replica.id, 0)
        config = self._store.config(replica.endpoint, replica.version)
        if config is None or not held:
            return
        key = model, slots = _key(config.entity(replica.entity))
        if model and held > self._largest.get(key, 0) * NEWS:
            self._largest[key] = held
            now = int(self._wall() * 1000)
            record = MeasureRecord(model=model, slots=slots, memory_bytes=held, measured=now)
            await self._store.put(record)


def _key(entity: EntityRecord) -> tuple[str, int]:
    return entity.digest, capacity_of(entity.spec).slots_per_replica
