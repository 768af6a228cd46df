"""What the host has for replicas: sampled while something runs, reserved before each start, waited for when short.

A replica that finds no place waits here, and with it the requests that are held for it, until something ends: looked
at every ``SAMPLE`` seconds. After ``PATIENCE`` seconds callers are told (503 with Retry-After) instead of held.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..backends.base import Backend, HostCapacity
from ..errors import InvalidParameter, ServingError, StartFailed
from ..settings import Settings
from ..workloads import size, workload_type
from . import placement
from .journal import Journal
from .measures import Measures
from .placement import Need, Placed, Shortage
from .records import EndpointRecord, EntityRecord, ReplicaRecord
from .sizing import capacity_of, memory_of
from .store import Store

log = logging.getLogger(__name__)
UNKNOWN = HostCapacity(1.0, 0, 0)
# Seconds between two looks at the host, and until callers are told.
SAMPLE, PATIENCE = 2.0, 10.0
RECENT = 0.5
# The reserve is at most this part of a small disk.
_DISK_SHARE = 20
_NO_SPACE = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
RETRY = f"Tried again every {SAMPLE:g} s: it goes on as soon as there is room."


@dataclass(frozen=True, slots=True)
class Short:
    """A step of an entity that waits for something since (monotonic seconds)."""

    text: str
    since: float


class Resources:
    """Reservations of all replicas, and what is left.

    Args:
        store: replicas and configs.
        journal: makes the events.
        backend: tells what the host has.
        settings: budget, margin, limits.
        measures: what replicas and models were measured to take.
        told: called with an endpoint's id when what its callers should know has changed.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        backend: Backend,
        settings: Settings,
        measures: Measures,
        told: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._journal, self._backend = store, journal, backend
        self._settings, self.measures = settings, measures
        self._told, self._clock = told, clock
        self.host = UNKNOWN
        self.short: dict[str, Short] = {}
        self._admitted: set[str] = set()
        self._filled: dict[str, str] = {}
        self._seen: tuple[float, placement.Space] | None = None
        self._awake, self._sampled = asyncio.Event(), asyncio.Event()

    # -- questions -----------------------------------------------------------------------------------

    def need(self, entity: EntityRecord) -> Need:
        """What one replica of an entity reserves."""
        slots = capacity_of(entity.spec).slots_per_replica
        return placement.need(
            workload_type(entity.spec.workload_type),
            self.measures.largest(entity),
            self.measures.size(entity),
            self._settings.memory_margin,
            memory_of(entity.spec, slots),
        )

    def holds(self, entity: EntityRecord) -> int:
        """Bytes that one replica of an entity holds: the most that was measured, else what it reserves."""
        return self.measures.largest(entity) or self.need(entity).memory_bytes

    def space(self, freed: Collection[str] = ()) -> placement.Space:
        """What is left for more replicas, once the replicas ``freed`` (ids) are gone."""
        placed = [self._as_placed(r) for r in self._placed() if r.id not in freed]
        given = sum(self.measures.used.get(replica, 0) for replica in freed)
        host = replace(self.host, memory_available=self.host.memory_available + given)
        return placement.space(host, placed, self._settings.memory_budget_bytes)

    def fits(
        self, wants: Sequence[tuple[EntityRecord, int]], freed: Collection[str] = ()
    ) -> Shortage | None:
        """Whether so many more replicas of each entity find place now, once the replicas ``freed`` (ids) are gone."""
        needs = [(self.need(entity), count) for entity, count in wants]
        return placement.shortage(self.space(freed), needs)

    def limits(self, key: str) -> tuple[float, float]:
        """How many replicas of an entity (by key) the host can take in all; 1.0 where it is too contended for more."""
        endpoint, version, name = key.split(":", 2)
        config = self._store.config(endpoint, int(version))
        if config is None:
            return math.inf, 0.0
        own = sum(r.key == key and self._has_place(r) for r in self._store.replicas_of(endpoint))
        pressed = placement.pressed(self.host, self._settings.cpu_pressure_limit)
        room = placement.room(self._recent_space(), self.need(config.entity(name)), own)
        return room, float(pressed)

    def _recent_space(self) -> placement.Space:
        """As ``space``, at most ``RECENT`` seconds old: a decision of each busy entity a second needs no newer one."""
        now = self._clock()
        if self._seen is None or now - self._seen[0] > RECENT:
            self._seen = (now, self.space())
        return self._seen[1]

    def lasting(self, key: str) -> str | None:
        """What callers of an entity should know: it has been short of something for longer than they should wait."""
        short = self.short.get(key)
        late = short is not None and self._clock() - short.since >= PATIENCE
        return short.text if short is not None and late else None

    def said(self, endpoint: str) -> str:
        """What an endpoint (by id) is short of just now, and the plan; "" where it is short of nothing."""
        texts = self._filled | {key: short.text for key, short in self.short.items()}
        return next((text for key, text in texts.items() if key.startswith(f"{endpoint}:")), "")

    async def admissible(self, entities: Sequence[EntityRecord]) -> None:
        """Refuse what does not fit this host even with nothing else on it.

        Raises:
            InvalidParameter: GPUs, their memory, one slot's memory, or the least number of replicas.
        """
        await self.refresh()
        for entity in entities:
            await self.measures.learn(entity)
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

    async def facts(self) -> dict[str, Any]:
        """For ``status``: the host now, what replicas reserve, and the price of what is kept ready."""
        host, space = await self.refresh(), self.space()
        return {
            "host": {
                **asdict(host),
                "reserved_bytes": sum(self._as_placed(r).need.memory_bytes for r in self._placed()),
                "free_for_replicas_bytes": space.memory_free,
                "memory_budget_bytes": space.memory_bytes,
            },
            "zygotes": [asdict(spare) for spare in await self._backend.spare()],
        }

    def problems(self) -> list[str]:
        """What a person should know: what is short now."""
        disk = self._disk_shortage()
        texts = {short.text for short in self.short.values()}
        return sorted(texts | ({str(disk)} if disk else set()))

    # -- waiting -------------------------------------------------------------------------------------

    async def admit(self, endpoint: EndpointRecord, replica: ReplicaRecord) -> None:
        """Return when the replica has its place, which is reserved then.

        Raises:
            StartFailed: it will never have one on this host.
        """
        config = self._store.configs[endpoint.id, replica.version]
        entity = config.entity(replica.entity)
        await self.measures.learn(entity)
        await self._until(endpoint, replica.key, entity.name, lambda: self.fits([(entity, 1)]))
        self._admitted.add(replica.id)
        self._filled.pop(replica.key, None)
        self._awake.set()

    async def disk(self, endpoint: EndpointRecord, key: str, entity: str) -> None:
        """Return when the data directory's disk has room for something new."""
        await self._until(endpoint, key, entity, self._disk_shortage)

    async def disk_filled(self, endpoint: EndpointRecord, key: str, entity: str, text: str) -> None:
        """A step found the disk full in the middle; the next try is put off by the caller, and told of once."""
        text = f"{text} Tried again in a while, at the latest every minute."
        known = key in self._filled
        self._filled[key] = text
        if not known:
            event = self._journal.event(endpoint, "CAPACITY_SHORT", text, entity, {"what": "disk"})
            await self._store.put(event)

    def _disk_shortage(self) -> Shortage | None:
        free, in_all = self.host.disk_free, self.host.disk_bytes
        wanted = min(self._settings.disk_reserve_bytes, in_all // _DISK_SHARE)
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
                self._told(endpoint.id)

    async def _say(self, endpoint: EndpointRecord, key: str, entity: str, found: Shortage) -> None:
        """Tell once that an entity waits; keep the present figures at hand; free what is only kept ready."""
        known = self.short.get(key)
        text = f"{found} {RETRY}"
        self.short[key] = Short(text, known.since if known else self._clock())
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
        await self.measures.learn_all()
        if self._store.replicas:
            self._awake.set()
        while True:
            await self._awake.wait()
            await asyncio.sleep(SAMPLE)
            try:
                await self.refresh()
                await self.measures.sample()
            except (ServingError, OSError) as error:
                log.warning("the host cannot be sampled: %s", error)
            self._admitted &= self._store.replicas.keys()
            if not self._store.replicas and not self.short:
                self._awake.clear()
            self._sampled.set()

    def _placed(self) -> list[ReplicaRecord]:
        return [r for r in self._store.replicas.values() if self._has_place(r)]

    def _has_place(self, replica: ReplicaRecord) -> bool:
        return bool(replica.handle) or replica.id in self._admitted

    def _as_placed(self, replica: ReplicaRecord) -> Placed:
        config = self._store.config(replica.endpoint, replica.version)
        need = self.need(config.entity(replica.entity)) if config else Need(0)
        return Placed(need, self.measures.used.get(replica.id, 0))


def no_space(text: str) -> bool:
    """True where an error tells of a full disk: the system's words for it, which every tool repeats."""
    return any(words in text for words in _NO_SPACE)
