"""After a restart: observe every backend once, then adopt or tear down each replica, and remove orphans.

Endpoints are marked as being checked before the first await, so that nobody acts on records that are not verified.
"""

from __future__ import annotations

import asyncio
import logging

from msgspec.structs import replace

from ..backends.base import Backend, Observed
from .journal import Journal
from .phases import move_replica
from .reconcile import Reconciler
from .records import ReplicaPhase, ReplicaRecord
from .store import Store

log = logging.getLogger(__name__)


async def recover(store: Store, journal: Journal, backend: Backend, reconciler: Reconciler) -> None:
    """Bring records and reality together; endpoints are enqueued as soon as theirs are."""
    reconciler.checking.update(store.endpoints)
    await asyncio.to_thread(journal.sweep, store.endpoints)
    observed = await backend.observe()
    orphans = [found for replica, found in observed.items() if replica not in store.replicas]
    async with asyncio.TaskGroup() as group:
        for found in orphans:
            group.create_task(_remove_orphan(backend, found))
        for endpoint in list(store.endpoints):
            group.create_task(
                _check_endpoint(store, journal, backend, reconciler, observed, endpoint)
            )


async def _remove_orphan(backend: Backend, found: Observed) -> None:
    log.warning("removing a replica that no record knows: %s", found.handle)
    await backend.stop(found.handle, 1.0)


async def _check_endpoint(
    store: Store,
    journal: Journal,
    backend: Backend,
    reconciler: Reconciler,
    observed: dict[str, Observed],
    endpoint: str,
) -> None:
    try:
        checks = [
            _check_replica(store, journal, backend, observed.get(record.id), record)
            for record in store.replicas_of(endpoint)
        ]
        await asyncio.gather(*checks)
    finally:
        reconciler.checking.discard(endpoint)
        reconciler.queue.add(endpoint)


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
    await store.put(replace(record, phase=phase, handle=adopted.handle, slots=slots), event)
