"""What the host has for replicas: sampled while something runs, reserved before a replica starts, waited for when short.

A replica that finds no place waits here, and with it the requests that are held for it, until something ends: looked
at every ``SAMPLE`` seconds. After ``PATIENCE`` seconds callers are told (503 with Retry-After) instead of held.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from ..backends.base import Backend, HostCapacity
from ..errors import InvalidParameter, ServingError, StartFailed
from ..settings import Settings
from ..workloads import workload_type
from . import placement
from .journal import Journal
from .placement import Need, Placed, Shortage, size
from .records import EndpointRecord, EntityRecord, MeasureRecord, ReplicaPhase, ReplicaRecord
from .sizing import capacity_of, memory_of
from .store import Store

log = logging.getLogger(__name__)
UNKNOWN = HostCapacity(1.0, 0, 0)
# Seconds: between two looks at the host; until callers are told; between two looks at a replica's memory at first
# and, as it settles, at most.
SAMPLE, PATIENCE = 2.0, 10.0
SOON, RARELY = 2.0, 60.0
# What a replica was seen to hold is worth storing when it is so much more than what was known.
NEWS = 1.05
RETRY = f"Tried again every {SAMPLE:g} s: it goes on as soon as there is room."


@dataclass(frozen=True, slots=True)
class Short:
    """A step of an entity that waits for something since (monotonic seconds)."""

    text: str
    since: float


class Resources:
    """Reservations of all replicas, and what is left.

    Args:
        store: replicas, configs, and what models were measured to take.
        journal: gets the events and the present line of an endpoint.
        backend: tells what the host has and what replicas hold.
        settings: budget, margin, limits.
        size_of: bytes of a model's files by digest; 0 where it is not here. Blocks.
        told: called with an endpoint's id when what its callers should know has changed.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        backend: Backend,
        settings: Settings,
        size_of: Callable[[str], int],
        told: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._journal, self._backend = store, journal, backend
        self._settings, self._size_of, self._told = settings, size_of, told
        self._clock, self._wall = clock, wall
        self.host = UNKNOWN
        self.used: dict[str, int] = {}
        self.short: dict[str, Short] = {}
        self._largest: dict[tuple[str, int], int] = {}
        self._sizes: dict[str, int] = {}
        self._admitted: set[str] = set()
        self._seen: dict[str, tuple[float, float]] = {}
        self._awake, self._sampled = asyncio.Event(), asyncio.Event()

    # -- questions -----------------------------------------------------------------------------------

    def need(self, entity: EntityRecord) -> Need:
        """What one replica of an entity reserves."""
        slots = capacity_of(entity.spec).slots_per_replica
        return placement.need(
            workload_type(entity.spec.workload_type),
            self._largest.get((entity.digest, slots), 0),
            self._sizes.get(entity.digest, 0),
            self._settings.memory_margin,
            memory_of(entity.spec, slots),
        )

    def space(self, freed: Collection[str] = ()) -> placement.Space:
        """What is left for more replicas, once the replicas ``freed`` (ids) are gone."""
        placed = [self._as_placed(r) for r in self._placed() if r.id not in freed]
        given = sum(self.used.get(replica, 0) for replica in freed)
        host = replace(self.host, memory_available=self.host.memory_available + given)
        return placement.space(host, placed, self._settings.memory_budget_bytes)

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

    def lasting(self, key: str) -> str | None:
        """What callers of an entity should know: it has been short of something for longer than they should wait."""
        short = self.short.get(key)
        late = short is not None and self._clock() - short.since >= PATIENCE
        return short.text if short is not None and late else None

    async def admissible(self, entities: Sequence[EntityRecord]) -> None:
        """Refuse what does not fit this host even with nothing else on it.

        Raises:
            InvalidParameter: GPUs, their memory, one slot's memory, or the least number of replicas.
        """
        for entity in entities:
            await self._learn(entity)
            kind = workload_type(entity.spec.workload_type)
            # Plain CPU is what everyone gets who asks for nothing: its 4 GB are a ceiling, not a wish.
            if kind.name != "CPU" and kind.memory_per_slot > self.host.memory_bytes > 0:
                raise InvalidParameter(
                    f"workload_type {kind.name} has {size(kind.memory_per_slot)} for each slot; this machine has"
                    f" {size(self.host.memory_bytes)}.",
                    hint="Use a smaller workload_type.",
                )
        least = [(self.need(e), max(1, capacity_of(e.spec).min_replicas)) for e in entities]
        found = placement.unfit(self.space(), least)
        if found is not None:
            raise InvalidParameter(
                f"The config does not fit this machine: {found}",
                hint="Ask for less (min_provisioned_concurrency, workload_type), or raise memory_budget_bytes if it is"
                " that which bounds it.",
            )

    # -- waiting -------------------------------------------------------------------------------------

    async def admit(self, endpoint: EndpointRecord, replica: ReplicaRecord) -> None:
        """Return when the replica has its place, which is reserved then.

        Raises:
            StartFailed: it will never have one on this host.
        """
        config = self._store.configs[endpoint.id, replica.version]
        entity = config.entity(replica.entity)
        await self._learn(entity)
        await self._until(endpoint, replica.key, entity.name, lambda: self.fits([(entity, 1)]))
        self._admitted.add(replica.id)
        self._awake.set()

    async def disk(self, endpoint: EndpointRecord, key: str, entity: str) -> None:
        """Return when the data directory's disk has room for something new."""
        await self._until(endpoint, key, entity, self._disk_shortage)

    def _disk_shortage(self) -> Shortage | None:
        free, wanted = self.host.disk_free, self._settings.disk_reserve_bytes
        if free >= wanted:
            return None
        text = f"The disk of the data directory has {size(free)} left; disk_reserve_bytes keeps {size(wanted)} free."
        return Shortage("disk", text)

    async def _until(
        self,
        endpoint: EndpointRecord,
        key: str,
        entity: str,
        missing: Callable[[], Shortage | None],
    ) -> None:
        await self.refresh()
        found = missing()
        try:
            while found is not None:
                if not found.ever:
                    raise StartFailed(f"It does not fit this machine: {found}")
                await self._say(endpoint, key, entity, found)
                await self._next_sample()
                found = missing()
        finally:
            if self.short.pop(key, None) is not None:
                self._journal.progress.pop(endpoint.id, None)
                self._told(endpoint.id)

    async def _say(self, endpoint: EndpointRecord, key: str, entity: str, found: Shortage) -> None:
        """Tell once that an entity waits; keep the present figures at hand; free what is only kept ready."""
        known = self.short.get(key)
        text = f"{found} {RETRY}"
        self.short[key] = Short(text, known.since if known else self._clock())
        self._journal.progress[endpoint.id] = text
        if known is None:
            event = self._journal.event(
                endpoint, "CAPACITY_SHORT", text, entity, {"what": found.what}
            )
            await self._store.put(event)
        if found.what == "memory":
            await self._backend.shrink(placement.SMALLEST)
        self._told(endpoint.id)

    async def _next_sample(self) -> None:
        self._awake.set()
        self._sampled.clear()
        await self._sampled.wait()

    # -- sampling ------------------------------------------------------------------------------------

    async def refresh(self) -> HostCapacity:
        """Look at the host."""
        self.host = await self._backend.capacity()
        return self.host

    async def watch(self) -> None:
        """Sample for ever, while there are replicas or somebody waits for room; else sleep."""
        if self._store.replicas:
            self._awake.set()
        while True:
            await self._awake.wait()
            await asyncio.sleep(SAMPLE)
            try:
                await self.refresh()
                await self._measure()
            except (ServingError, OSError) as error:
                log.warning("the host cannot be sampled: %s", error)
            if not self._store.replicas and not self.short:
                self._awake.clear()
            self._sampled.set()

    async def _measure(self) -> None:
        """What replicas hold: soon after they became ready, then less and less often."""
        live = self._store.replicas
        self._admitted &= live.keys()
        for gone in self.used.keys() - live.keys():
            del self.used[gone]
        now, due = self._clock(), []
        for replica in list(live.values()):
            if replica.phase is ReplicaPhase.READY and replica.handle:
                first, last = self._seen.get(replica.id, (now, now - RARELY))
                if now - last >= min(RARELY, max(SOON, now - first)):
                    self._seen[replica.id] = first, now
                    due.append(replica)
        for gone in self._seen.keys() - live.keys():
            del self._seen[gone]
        self.used |= await self._backend.memory({r.id: r.handle for r in due}) if due else {}
        for replica in due:
            await self._remember(replica)

    async def _remember(self, replica: ReplicaRecord) -> None:
        held = self.used.get(replica.id, 0)
        config = self._store.config(replica.endpoint, replica.version)
        if config is None or not held:
            return
        entity = config.entity(replica.entity)
        key = entity.digest, capacity_of(entity.spec).slots_per_replica
        if held > self._largest.get(key, 0) * NEWS:
            self._largest[key] = held
            await self._store.put(
                MeasureRecord(
                    model=key[0],
                    slots=key[1],
                    memory_bytes=held,
                    measured=int(self._wall() * 1000),
                )
            )

    async def _learn(self, entity: EntityRecord) -> None:
        """What is known of the entity's model from earlier replicas, and its size."""
        if not entity.digest or entity.digest in self._sizes:
            return
        for measure in await self._store.recent(MeasureRecord, entity.digest):
            known = self._largest.get((measure.model, measure.slots), 0)
            self._largest[measure.model, measure.slots] = max(known, measure.memory_bytes)
        found = await asyncio.to_thread(self._size_of, entity.digest)
        if found:
            self._sizes[entity.digest] = found

    def _placed(self) -> list[ReplicaRecord]:
        return [r for r in self._store.replicas.values() if r.handle or r.id in self._admitted]

    def _as_placed(self, replica: ReplicaRecord) -> Placed:
        config = self._store.config(replica.endpoint, replica.version)
        need = self.need(config.entity(replica.entity)) if config else Need(0)
        return Placed(need, self.used.get(replica.id, 0))
