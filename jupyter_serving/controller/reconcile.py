"""The reconciler: takes an endpoint from the queue, compares desired and observed, does the next steps.

One worker per endpoint at a time. Steps that only change the store are done at once, and ``plan`` is asked again; long
steps run as tasks, and their end enqueues the endpoint. A running step that is no longer planned is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace

from ..errors import ServingError
from . import plan as planning
from .journal import Journal
from .maintenance import Maintenance
from .phases import move_replica
from .plan import (
    Add,
    EndReload,
    Fail,
    Fetch,
    Forget,
    Hold,
    LongStep,
    Move,
    Place,
    Promote,
    Stage,
    Step,
    Stop,
    Try,
)
from .records import EndpointRecord, ReplicaPhase, ReplicaRecord, entity_key
from .scaling import Scaling
from .setbacks import Setbacks
from .sizing import capacity_of
from .steps import Steps
from .store import Store
from .survey import Survey
from .updates import Updates
from .workqueue import WorkQueue

log = logging.getLogger(__name__)


class Reconciler:
    """Moves every endpoint towards what is wanted of it."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        steps: Steps,
        scaling: Scaling,
        survey: Survey,
        updates: Updates,
        maintenance: Maintenance,
        setbacks: Setbacks,
        publish: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._journal, self._steps = store, journal, steps
        self._scaling, self._survey, self.updates = scaling, survey, updates
        self._maintenance = maintenance
        self._publish, self._clock = publish, clock
        self.setbacks = setbacks
        self.queue = WorkQueue()
        self.drained = survey.drained
        self.checking: set[str] = set()
        self._running: dict[tuple[str, LongStep], asyncio.Task[None]] = {}
        self._died: set[str] = set()

    async def work(self) -> None:
        """Take endpoints from the queue for ever; run several of these."""
        while True:
            name = await self.queue.take()
            failed = True
            try:
                await self.reconcile(name)
                failed = False
            except ServingError as error:
                log.error("endpoint %s: %s", name, error)
            except Exception:
                log.exception("endpoint %s: the reconciler failed", name)
            finally:
                self.queue.done(name, failed)

    async def reconcile(self, endpoint: str) -> None:
        """Do every step that can be done now."""
        while endpoint in self._store.endpoints and endpoint not in self.checking:
            view = self._survey.view(self._store.endpoints[endpoint])
            self.updates.follow(view.endpoint)
            steps = planning.plan(view)
            self._cancel_unplanned(endpoint, steps)
            short = [s for s in steps if not isinstance(s, LongStep)]
            if not short:
                self._start(view.endpoint, [s for s in steps if isinstance(s, LongStep)])
                break
            # One at a time: while it is written, anything may have changed, so the plan is made anew.
            await self._at_once(view.endpoint, short[0])
        self._publish(endpoint)
        self._come_back(endpoint)

    def replica_ended(self, replica: str, text: str) -> Coroutine[Any, Any, None] | None:
        """A replica is gone by itself: return what forgets it, or None if that was expected."""
        record = self._store.replicas.get(replica)
        if record is None or record.phase not in (ReplicaPhase.READY, ReplicaPhase.DRAINING):
            if record is not None:
                self.queue.add(record.endpoint)
            return None
        return self._forget_dead(record, text)

    async def close(self) -> None:
        """Cancel running steps; replicas go on."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    # -- steps ---------------------------------------------------------------------------------------

    async def _at_once(self, endpoint: EndpointRecord, step: Step) -> None:
        match step:
            case Add(version, entity, count, reason):
                await self._add(endpoint, version, entity, count, reason)
            case Move(replica, ReplicaPhase.READY):
                await self._take_back(endpoint, self._store.replicas[replica])
            case Move(replica, to):
                await self._store.amend(self._store.replicas[replica], partial(self._moved, to))
            case Hold(version, why):
                await self.updates.hold(endpoint, version, why)
            case Promote(version):
                await self.updates.promote(endpoint, version)
            case Fail(version, message):
                await self.updates.fail(endpoint, version, message)
            case EndReload(""):
                await self._maintenance.done(endpoint)
            case EndReload(why):
                await self._maintenance.skipped(endpoint, why)
            case Forget():
                await self._store.forget_endpoint(endpoint)
                self._scaling.drop(set(self._scaling.of(endpoint.id)))
                self._journal.remove(endpoint.id)

    async def _take_back(self, endpoint: EndpointRecord, record: ReplicaRecord) -> None:
        """Let a draining replica serve again: it has not been told to end, and what proved it empty holds no more."""
        text = f"Replica {record.id} of {record.entity} takes requests again: it was needed while it was drained."
        event = self._journal.event(endpoint, "REPLICA_TAKEN_BACK", text, record.entity)
        await self._store.amend(record, partial(self._moved, ReplicaPhase.READY), event)
        self.drained.discard(record.id)
        # At once: should it drain again, that must be news to the gateway, which then proves it anew.
        self._publish(endpoint.id)

    def _moved(self, to: ReplicaPhase, record: ReplicaRecord) -> ReplicaRecord:
        draining = to is ReplicaPhase.DRAINING
        since = int(self._clock() * 1000) if draining else record.draining_since
        return replace(record, phase=move_replica(record, to), draining_since=since)

    async def _add(
        self, endpoint: EndpointRecord, version: int, entity: str, count: int, why: str
    ) -> None:
        spec = self._store.configs[endpoint.id, version].entity(entity).spec
        key = entity_key(endpoint.id, version, entity)
        reason, held_at = (why, None) if why else self._reason(endpoint, version, key)
        now = int(self._clock() * 1000)
        fresh = [
            ReplicaRecord(
                id=secrets.token_hex(6),
                endpoint=endpoint.id,
                version=version,
                entity=entity,
                phase=ReplicaPhase.STARTING,
                backend="process",
                slots=capacity_of(spec).slots_per_replica,
                reason=reason,
                created=now,
                held_at=held_at,
            )
            for _ in range(count)
        ]
        names = ", ".join(r.id for r in fresh)
        text = f"Starting {count} replica(s) of {entity} ({reason.replace('_', ' ')}): {names}."
        await self._store.put(
            *fresh, self._journal.event(endpoint, "REPLICA_STARTING", text, entity)
        )

    def _reason(self, endpoint: EndpointRecord, version: int, key: str) -> tuple[str, float | None]:
        """Why a replica is started, and since when a request has been held for it."""
        if version == endpoint.pending:
            return "deploy", None
        state = self._scaling.entities[key]
        if state.held_since is not None:
            return "wake", state.held_since
        if key in self._died or self.setbacks.why(key):
            self._died.discard(key)
            return "replace", None
        return "scale_up", None

    def _start(self, endpoint: EndpointRecord, steps: list[LongStep]) -> None:
        for step in steps:
            key = (endpoint.id, step)
            if key not in self._running:
                task = asyncio.create_task(
                    self._long(endpoint, step), name=f"{endpoint.name} {step}"
                )
                self._running[key] = task
                task.add_done_callback(partial(self._ended, key))

    async def _long(self, endpoint: EndpointRecord, step: LongStep) -> None:
        match step:
            case Fetch(version, entity):
                work = self._steps.fetch(endpoint, version, entity)
                await self._succeeds(entity_key(endpoint.id, version, entity), work)
            case Stage(version, entity):
                work = self._steps.stage(endpoint, version, entity)
                await self._succeeds(entity_key(endpoint.id, version, entity), work)
            case Place(replica):
                await self._place(endpoint, self._store.replicas[replica])
            case Try(version):
                await self.updates.attempt(endpoint, version)
            case Stop(replica):
                await self._settled((endpoint.id, Place(replica)))
                await self._steps.stop(endpoint, self._store.replicas[replica])
                self.drained.discard(replica)

    async def _place(self, endpoint: EndpointRecord, record: ReplicaRecord) -> None:
        """Start a replica. One that a reload wanted is not missed where it fails: the old one is there."""
        work = self._steps.place(endpoint, record)
        if record.reason == "reload":
            try:
                await work
            except ServingError as error:
                await self._maintenance.failed(self._store.endpoints[endpoint.id], str(error))
            else:
                await self._maintenance.fresh(self._store.endpoints[endpoint.id])
        elif await self._succeeds(record.key, work):
            self.setbacks.forget([record.key])

    async def _settled(self, key: tuple[str, LongStep]) -> None:
        """Wait for the end of a step that has been cancelled."""
        task = self._running.get(key)
        if task is not None:
            await asyncio.wait([task])

    async def _succeeds(self, key: str, work: Coroutine[Any, Any, None]) -> bool:
        """Do a step towards a start; one that fails puts off the next try."""
        try:
            await work
        except ServingError as error:
            self.setbacks.failed(key, str(error))
            return False
        return True

    def _ended(self, key: tuple[str, LongStep], task: asyncio.Task[None]) -> None:
        self._running.pop(key, None)
        failed = not task.cancelled() and task.exception() is not None
        if failed:
            log.error("step %s failed", key, exc_info=task.exception())
        self.queue.add(key[0], after=1.0 if failed else 0.0)

    def _cancel_unplanned(self, endpoint: str, steps: list[Step]) -> None:
        for (owner, step), task in list(self._running.items()):
            if owner == endpoint and step not in steps:
                task.cancel()

    async def _forget_dead(self, record: ReplicaRecord, text: str) -> None:
        endpoint = self._store.endpoints[record.endpoint]
        self._died.add(record.key)
        event = self._journal.event(endpoint, "REPLICA_DIED", text, record.entity)
        await self._store.forget_replica(record, event)
        self.queue.add(record.endpoint)

    def _come_back(self, endpoint: str) -> None:
        """Look again when a time limit will have passed."""
        record = self._store.endpoints.get(endpoint)
        dates = self._survey.due(record) if record is not None else []
        if dates:
            self.queue.add(endpoint, max(0.05, min(dates) - self._clock()))
