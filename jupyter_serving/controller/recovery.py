"""After a restart: observe every backend once, then adopt or tear down each replica, and remove orphans.

Endpoints are marked as being checked before the first await, so that nobody acts on records that are not verified.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from ..backends.base import Backend, Observed
from ..errors import StoreFault
from .journal import Journal
from .phases import move_replica
from .reconcile import Reconciler
from .records import ConfigRecord, ReplicaPhase, ReplicaRecord
from .store import Store

log = logging.getLogger(__name__)
AGAIN_SECONDS = 5.0


async def recover(
    store: Store,
    journal: Journal,
    backend: Backend,
    reconciler: Reconciler,
    environments: Path,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Bring records and reality together; endpoints are enqueued as soon as theirs are.

    ``environments`` is where staged environments lie now: the data directory may have been moved.
    """
    reconciler.checking.update(store.endpoints)
    await asyncio.to_thread(journal.sweep, store.endpoints)
    observed = await backend.observe()
    orphans = [found for replica, found in observed.items() if replica not in store.replicas]
    async with asyncio.TaskGroup() as group:
        for found in orphans:
            group.create_task(_remove_orphan(backend, found))
        for endpoint in list(store.endpoints):
            group.create_task(
                _patiently(
                    partial(_check_endpoint, store, journal, backend, observed, environments),
                    reconciler,
                    endpoint,
                    sleep,
                )
            )


async def _remove_orphan(backend: Backend, found: Observed) -> None:
    log.warning("removing a replica that no record knows: %s", found.handle)
    await backend.stop(found.handle, 1.0)


async def _patiently(
    check: Callable[[str], Awaitable[None]],
    reconciler: Reconciler,
    endpoint: str,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Check an endpoint, again while nothing can be written down: nobody acts on it before, and its replicas serve."""
    told = False
    while True:
        try:
            await check(endpoint)
            break
        except StoreFault as error:
            if not told:
                log.error(
                    "endpoint %s cannot be checked, which is tried again: %s", endpoint, error
                )
            told = True
        await sleep(AGAIN_SECONDS)
    reconciler.checking.discard(endpoint)
    reconciler.queue.add(endpoint)


async def _check_endpoint(
    store: Store,
    journal: Journal,
    backend: Backend,
    observed: dict[str, Observed],
    environments: Path,
    endpoint: str,
) -> None:
    for config in store.configs_of(endpoint):
        fresh = _resettled(config, environments)
        if fresh is not config:
            await store.put(fresh)
    checks = [
        _check_replica(store, journal, backend, observed.get(record.id), record)
        for record in store.replicas_of(endpoint)
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(check)) for check in checks]
    for task in tasks:
        if (fault := task.result()) is not None:
            raise fault


async def _outcome(check: Awaitable[None]) -> StoreFault | None:
    """One replica's fault must not cut off the check of another halfway."""
    try:
        await check
    except StoreFault as fault:
        return fault
    return None


def _resettled(config: ConfigRecord, environments: Path) -> ConfigRecord:
    """The config with staged environments where they lie now, if they came along when the data directory was moved."""
    for entity in config.entities:
        environment = entity.environment or {}
        python = Path(environment.get("python", ""))
        if environment.get("kind") != "staged" or environments in python.parents or python.exists():
            continue
        _, found, inside = str(python).rpartition(f"/{environments.name}/")
        if found and (environments / inside).exists():
            moved = environment | {"python": str(environments / inside)}
            config = config.with_entity(replace(entity, environment=moved))
    return config


async def _check_replica(
    store: Store,
    journal: Journal,
    backend: Backend,
    found: Observed | None,
    record: ReplicaRecord,
) -> None:
    """Adopt a replica that answers; tear down one that does not. One that was being stopped goes on being stopped."""
    if record.phase is ReplicaPhase.STOPPING:
        return
    handle = found.handle | record.handle if found else record.handle
    adopted = await backend.adopt(record.id, handle) if found and handle else None
    endpoint = store.endpoints[record.endpoint]
    if adopted is None:
        if handle:
            await backend.stop(handle, 0.0)
        text = f"Replica {record.id} was gone when the controller came back."
        event = journal.event(endpoint, "REPLICA_LOST", text, record.entity)
        await store.forget_replica(record, event)
        return
    phase: ReplicaPhase = record.phase
    if phase is ReplicaPhase.STARTING:
        phase = move_replica(record, ReplicaPhase.READY)
    text = f"Replica {record.id} went on through a restart of the controller."
    event = journal.event(endpoint, "REPLICA_ADOPTED", text, record.entity)
    slots = adopted.slots or record.slots
    capacity = adopted.capacity or record.capacity
    fresh = replace(record, phase=phase, handle=adopted.handle, slots=slots, capacity=capacity)
    await store.put(fresh, event)
