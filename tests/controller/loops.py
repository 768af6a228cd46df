"""A reconciler with a real store and steps that take effect when a test lets them: no process is started."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from jupyter_serving.api import ConfigInput, CreateEndpoint, Registry, ServedEntityInput
from jupyter_serving.backends.base import HostCapacity
from jupyter_serving.controller.certificates import Certificates
from jupyter_serving.controller.changes import Changes
from jupyter_serving.controller.endpoints import Endpoints
from jupyter_serving.controller.journal import Journal
from jupyter_serving.controller.maintenance import Maintenance
from jupyter_serving.controller.models import Models
from jupyter_serving.controller.phases import move_replica
from jupyter_serving.controller.reconcile import Reconciler
from jupyter_serving.controller.records import (
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
)
from jupyter_serving.controller.resources import Resources
from jupyter_serving.controller.scaling import Scaling
from jupyter_serving.controller.setbacks import Setbacks
from jupyter_serving.controller.steps import Steps
from jupyter_serving.controller.store import Store
from jupyter_serving.controller.survey import Survey
from jupyter_serving.controller.updates import Updates
from jupyter_serving.errors import StartFailed
from jupyter_serving.registry.resolve import Resolved
from jupyter_serving.settings import Settings

HERE = {"key": "k", "python": sys.executable, "kind": "kernel", "fingerprint": "f"}


class KnownModels:
    """Every version of every model exists; what was fetched is here."""

    async def resolve(self, spec: ServedEntityInput) -> Resolved:
        return Resolved(
            str(spec.entity_name), str(spec.entity_version), f"models:/{spec.entity_name}"
        )

    def registry(self, spec: ServedEntityInput) -> Registry:
        return Registry(tracking_uri="sqlite:////r")

    def has(self, digest: str) -> bool:
        return bool(digest)


class RoomyHost:
    """Nothing is too large for it."""

    host = HostCapacity(2.0, 10**10, 10**10)

    async def admissible(self, entities: Sequence[EntityRecord]) -> None:
        pass


class ToldOfUpdates:
    """In the place of certificates: writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begin(self, endpoint: EndpointRecord, version: int) -> None:
        self.told.append(("begin", version))

    async def end(self, endpoint: EndpointRecord, version: int, outcome: str) -> None:
        self.told.append(("end", version, outcome))


class StepsThatWait:
    """Each kind of step waits while its name is in ``stuck``; replicas of versions in ``trouble`` cannot start."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.stuck: set[str] = set()
        self.waiting: set[str] = set()
        self.trouble: dict[int, str] = {}
        self.done: list[str] = []

    async def until_free(self, what: str) -> None:
        self.waiting.add(what)
        try:
            while what in self.stuck:  # noqa: ASYNC110 (tests set it from anywhere)
                await asyncio.sleep(0.001)
        finally:
            self.waiting.discard(what)
        self.done.append(what)

    async def fetch(self, endpoint: EndpointRecord, version: int, name: str) -> None:
        await self.until_free("fetch")
        await self._save(endpoint, version, name, digest="sha256:" + "0" * 64)

    async def stage(self, endpoint: EndpointRecord, version: int, name: str) -> None:
        await self.until_free("stage")
        await self._save(endpoint, version, name, environment=HERE)

    async def place(self, endpoint: EndpointRecord, record: ReplicaRecord) -> None:
        await self.until_free("place")
        trouble = self.trouble.get(record.version)
        if trouble is not None:
            await self._store.forget_replica(record)
            if self._store.endpoints[endpoint.id].pending == record.version:
                await self._save(endpoint, record.version, record.entity, failure=trouble)
            raise StartFailed(trouble)
        await self._store.amend(
            record, lambda r: replace(r, phase=move_replica(r, ReplicaPhase.READY))
        )

    async def stop(self, endpoint: EndpointRecord, record: ReplicaRecord) -> None:
        await self.until_free("stop")
        await self._store.forget_replica(record)

    async def _save(
        self, endpoint: EndpointRecord, version: int, name: str, **changes: Any
    ) -> None:
        config = self._store.configs[endpoint.id, version]
        await self._store.amend(config, lambda c: c.with_entity(replace(c.entity(name), **changes)))


class Loop:
    """The parts of a controller that move endpoints, wired together."""

    def __init__(self, store: Store, folder: Path) -> None:
        settings = Settings()
        self.now = 1000.0
        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        models = cast(Models, KnownModels())
        self.store, self.steps = store, StepsThatWait(store)
        self.journal = Journal(folder / "logs", 1_000_000, clock)
        self.scaling = Scaling(clock)
        setbacks = Setbacks(clock)
        self.survey = Survey(store, self.scaling, models, setbacks, settings, clock=clock)
        self.certificates = ToldOfUpdates()
        self.updates = Updates(store, self.journal, cast(Certificates, self.certificates), clock)
        self.reconciler = Reconciler(
            store,
            self.journal,
            cast(Steps, self.steps),
            self.scaling,
            self.survey,
            self.updates,
            Maintenance(store, self.journal, clock),
            setbacks,
            self._publish,
            clock,
        )
        enqueue = self.reconciler.queue.add
        self.endpoints = Endpoints(
            store,
            self.journal,
            models,
            self.survey,
            lambda key: setbacks.why(key) is None,
            enqueue,
            cast(Resources, RoomyHost()),
            clock,
        )
        self.changes = Changes(store, self.journal, self.endpoints, enqueue, clock)

    def _publish(self, endpoint: str) -> None:
        """Everything out of the routing is empty at once: the gateway holds no request here."""
        for record in self.store.replicas_of(endpoint):
            if record.phase is ReplicaPhase.DRAINING and record.id not in self.survey.drained:
                self.survey.drained.add(record.id)
                self.reconciler.queue.add(endpoint)

    @property
    def endpoint(self) -> EndpointRecord:
        """The one endpoint, as it is now."""
        (only,) = self.store.endpoints.values()
        return only

    def ready(self) -> list[str]:
        """Keys of its replicas that are ready."""
        return sorted(
            r.key.split(":", 1)[1] for r in self.replicas() if r.phase is ReplicaPhase.READY
        )

    def replicas(self) -> list[ReplicaRecord]:
        """All its replicas."""
        return self.store.replicas_of(self.endpoint.id)

    async def kinds(self) -> list[str]:
        """Types of its events."""
        return [e.type for e in await self.store.events(self.endpoint.id)]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for what the reconciler brings about; the limit guards against a hang only."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 (state that nobody signals)
                await asyncio.sleep(0.001)

    async def settled(self) -> None:
        """Wait for the end of the update, and of every replica that is on its way."""
        await self.until(lambda: self.endpoint.pending is None and not self.moving())

    def moving(self) -> bool:
        """True while a replica is on its way up or down, or has yet to begin to go."""
        active = self.store.config(self.endpoint.id, self.endpoint.active)
        keys = active.entity_keys() if active else []
        return any(r.phase is not ReplicaPhase.READY or r.key not in keys for r in self.replicas())

    async def create(self, **config: Any) -> None:
        """An endpoint ``iris`` that serves version 1 of its model."""
        first = ConfigInput(served_entities=[served("1")], **config)
        await self.endpoints.create(CreateEndpoint(name="iris", config=first), "me")
        await self.settled()

    async def update(self, version: str = "2", **config: Any) -> None:
        """Begin an update to a version of the model."""
        await self.endpoints.update_config(
            "iris", ConfigInput(served_entities=[served(version)], **config), "me"
        )


def served(version: str, **fields: Any) -> ServedEntityInput:
    """Served entity ``a`` of a version of the model."""
    bounds = {"min_provisioned_concurrency": 1, "max_provisioned_concurrency": 4}
    return ServedEntityInput(
        name="a", entity_name="iris", entity_version=version, **bounds | fields
    )


@contextlib.asynccontextmanager
async def loop_in(folder: Path) -> AsyncIterator[Loop]:
    """A loop that works, on a store of its own."""
    store = Store(folder / "store.sqlite")
    await store.open()
    loop = Loop(store, folder)
    worker = asyncio.create_task(loop.reconciler.work())
    try:
        yield loop
    finally:
        worker.cancel()
        await loop.reconciler.close()
        await store.close()
