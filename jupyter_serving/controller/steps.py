"""The long steps of the reconciler: fetch a model, stage its environment, place a replica, stop one.

Each is safe to run again after a crash at any point: what it produced is recorded before the next step is planned.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ..api import Batching
from ..backends.base import Backend, ReplicaSpec, Started
from ..environments.environment import Environment
from ..environments.stage import Stager
from ..errors import ServingError, StartFailed
from ..places import Places
from ..settings import Settings
from .journal import Journal
from .models import Models
from .phases import move_replica
from .records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
    StartRecord,
    entity_key,
)
from .resources import Resources, no_space
from .sizing import memory_of, threads_of
from .starts import Starts
from .store import Store

log = logging.getLogger(__name__)


class Steps:
    """Effects of one step each; failures are recorded where the next plan sees them."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        places: Places,
        settings: Settings,
        backend: Backend,
        stager: Stager,
        models: Models,
        resources: Resources,
        starts: Starts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._resources, self._starts = resources, starts
        self._store, self._journal, self._places = store, journal, places
        self._settings, self._backend, self._stager = settings, backend, stager
        self._models, self._clock = models, clock

    # -- prepare a config ----------------------------------------------------------------------------

    async def fetch(self, endpoint: EndpointRecord, version: int, name: str) -> None:
        """Bring the model into the models directory and record its digest; check that it can be served.

        Raises:
            StartFailed: it cannot be had or served.
        """
        entity = self._entity(endpoint, version, name)
        await self._resources.disk(endpoint, entity_key(endpoint.id, version, name), name)
        log = self._journal.build_log(endpoint.id, name, version)
        log.write(f"fetching model {self._models.title(entity)}")
        try:
            digest = await self._models.fetch(entity, log.write)
            self._models.check(digest, entity)
        except ServingError as error:
            raise await self._unprepared(endpoint, version, name, str(error)) from error
        log.write(f"model {digest} is here")
        await self._save(endpoint, version, name, digest=digest)

    async def stage(self, endpoint: EndpointRecord, version: int, name: str) -> None:
        """Make or find the environment of the entity's model and record it.

        Raises:
            StartFailed: it cannot be made.
        """
        entity = self._entity(endpoint, version, name)
        await self._resources.disk(endpoint, entity_key(endpoint.id, version, name), name)
        log = self._journal.build_log(endpoint.id, name, version)
        kernel = Path(entity.spec.kernel_python) if entity.spec.kernel_python else None

        def progress(line: str) -> None:
            self._journal.progress[endpoint.id] = line

        try:
            environment = await self._stager.stage(
                self._models.path(entity.digest), kernel, log.path, progress
            )
        except ServingError as error:
            raise await self._unprepared(endpoint, version, name, str(error)) from error
        log.write(
            f"environment {environment.key} ({environment.kind}, Python {environment.version})"
        )
        await self._save(endpoint, version, name, environment=environment.to_json())

    async def prepare(self, endpoint: EndpointRecord, version: int, name: str) -> None:
        """Make the next start of an entity fast, where all it needs is here; a failure is told by that start."""
        config = self._store.configs[endpoint.id, version]
        entity = config.entity(name)
        if entity.environment is None or not self._models.has(entity.digest):
            return
        try:
            await self._backend.prepare(self._spec(endpoint, config, entity, "none", 1))
        except ServingError as error:
            log.warning("endpoint %s: %s", endpoint.name, error)

    # -- replicas ------------------------------------------------------------------------------------

    async def place(self, endpoint: EndpointRecord, record: ReplicaRecord) -> None:
        """Start a replica and wait until it is ready; every handle is stored before the next moment.

        Raises:
            StartFailed: it did not become ready; its record is gone.
        """
        began = self._clock()
        try:
            await self._resources.admit(endpoint, record)
            self._journal.progress[endpoint.id] = f"starting a replica of {record.entity}"
            async with asyncio.timeout(self._settings.start_deadline_seconds):
                spec = await self._checked(endpoint, record)
                began = self._clock()
                ready = await self._bring_up(record, spec)
        except (ServingError, TimeoutError) as error:
            start = self._starts.failed(record, began, error)
            raise await self._start_failed(endpoint, record, error, start) from error
        finally:
            self._journal.progress.pop(endpoint.id, None)
        # Only a replica that is still wanted may become ready: it may have been given up meanwhile.
        current = self._store.replicas[record.id]
        size = self._models.size(self._entity(endpoint, record.version, record.entity).digest)
        start = self._starts.ready(current, began, ready, size)
        seconds = f"{start.total_seconds or 0:.2f} s"
        await self._store.amend(
            current,
            partial(_ready, ready),
            start,
            self._journal.event(
                endpoint,
                "REPLICA_READY",
                f"Replica {record.id} is ready after {seconds}.",
                record.entity,
                ready.details,
            ),
        )

    async def stop(self, endpoint: EndpointRecord, record: ReplicaRecord) -> None:
        """Stop what is left of a replica and forget it."""
        if record.handle:
            await self._backend.stop(record.handle, self._settings.drain_grace_seconds)
        text = f"Replica {record.id} of {record.entity} is gone."
        event = self._journal.event(endpoint, "REPLICA_STOPPED", text, record.entity)
        await self._store.forget_replica(record, event)
        self._starts.emptied(record)

    async def _checked(self, endpoint: EndpointRecord, record: ReplicaRecord) -> ReplicaSpec:
        """What to start, once the model's files are known to be those that were deployed."""
        config = self._store.configs[endpoint.id, record.version]
        entity = config.entity(record.entity)
        await self._models.verify(entity.digest)
        return self._spec(endpoint, config, entity, record.id, record.slots)

    async def _bring_up(self, record: ReplicaRecord, spec: ReplicaSpec) -> Started:
        last: Started | None = None
        async for last in self._backend.start(spec):
            await self._store.amend(record, partial(_with_handle, last))
        if last is None or last.phase != "ready":
            raise StartFailed(f"Replica {record.id} ended before it was ready.")
        return last

    def _spec(
        self,
        endpoint: EndpointRecord,
        config: ConfigRecord,
        entity: EntityRecord,
        replica: str,
        slots: int,
    ) -> ReplicaSpec:
        return ReplicaSpec(
            id=replica,
            endpoint=endpoint.name,
            entity=entity.name,
            config_version=config.version,
            model=self._models.path(entity.digest),
            environment=Environment.from_json(entity.environment or {}),
            slots=slots,
            threads=threads_of(entity.spec, self._resources.host.cpus),
            environment_vars=entity.spec.environment_vars,
            deadline=self._settings.request_deadline_seconds,
            stack_trace=self._settings.return_stack_trace,
            log=self._journal.service_log(endpoint.id, entity.name),
            batching=self._batching(entity),
            bare_nan=self._settings.bare_nan,
            max_body_bytes=self._settings.max_body_bytes,
            memory_bytes=memory_of(entity.spec, slots),
        )

    def _batching(self, entity: EntityRecord) -> dict[str, Any]:
        wanted = entity.spec.batching or Batching()
        return {
            "mode": wanted.mode,
            "max_size": wanted.max_size or self._settings.batch_max_size,
        }

    async def _start_failed(
        self,
        endpoint: EndpointRecord,
        record: ReplicaRecord,
        error: BaseException,
        start: StartRecord,
    ) -> StartFailed:
        """Record the failure: it ends an update, or puts off the next try of an active entity."""
        limit = self._settings.start_deadline_seconds
        text = str(error) or f"The replica was not ready within {limit:.0f} s."
        current = self._store.replicas.get(record.id, record)
        if current.handle:
            await self._backend.stop(current.handle, 0.0)
        event = self._journal.event(endpoint, "START_FAILED", text, record.entity)
        await self._store.forget_replica(current, start, event)
        now = self._store.endpoints[endpoint.id]
        if now.pending == record.version:
            await self._fail(endpoint, record.version, record.entity, text)
        return StartFailed(text)

    # -- records -------------------------------------------------------------------------------------

    def _entity(self, endpoint: EndpointRecord, version: int, name: str) -> EntityRecord:
        return self._store.configs[endpoint.id, version].entity(name)

    async def _save(
        self, endpoint: EndpointRecord, version: int, name: str, **changes: Any
    ) -> None:
        config = self._store.configs[endpoint.id, version]
        await self._store.amend(config, lambda c: c.with_entity(replace(c.entity(name), **changes)))

    async def _unprepared(
        self, endpoint: EndpointRecord, version: int, name: str, text: str
    ) -> StartFailed:
        """Record the failure: it ends an update; an active entity, which had all it needs once, is tried again.

        So is what failed for want of disk, as soon as there is some.
        """
        if no_space(text):
            key = entity_key(endpoint.id, version, name)
            await self._resources.disk_filled(endpoint, key, name, text)
            return StartFailed(text)
        if self._store.endpoints[endpoint.id].pending == version:
            await self._fail(endpoint, version, name, text)
        else:
            self._journal.build_log(endpoint.id, name, version).write(f"failed: {text}")
            await self._store.put(self._journal.event(endpoint, "START_FAILED", text, name))
        return StartFailed(text)

    async def _fail(self, endpoint: EndpointRecord, version: int, name: str, text: str) -> None:
        self._journal.build_log(endpoint.id, name, version).write(f"failed: {text}")
        await self._save(endpoint, version, name, failure=text)


def _with_handle(started: Started, record: ReplicaRecord) -> ReplicaRecord:
    return replace(record, handle=started.handle)


def _ready(started: Started, record: ReplicaRecord) -> ReplicaRecord:
    phase = move_replica(record, ReplicaPhase.READY)
    slots = started.slots or record.slots
    capacity = started.capacity or slots
    return replace(record, phase=phase, handle=started.handle, slots=slots, capacity=capacity)
