"""The controller: wires store, reconciler, scaling, gateway link and backend, and answers questions about them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from .. import processes
from ..api import EndpointDetailed, Registry
from ..backends.base import Backend
from ..environments.stage import Stager
from ..places import Places
from ..settings import Settings
from ..version import Installation
from .advising import Advising
from .answers import Answers
from .certificates import Certificates
from .changes import Changes
from .decisions import Decisions
from .endpoints import Endpoints
from .history import History, States
from .inbox import Inbox
from .journal import Journal
from .link import GatewayLink
from .maintenance import Maintenance
from .measures import Measures
from .models import Models
from .notes import notes
from .reconcile import Reconciler
from .records import EndpointRecord, EntityRecord, ReplicaPhase, ReplicaRecord, TokenRecord
from .recovery import recover
from .registrar import Registrar
from .replay import Replay
from .resources import Resources
from .routetable import RouteTable
from .scaling import Scaling
from .setbacks import Setbacks
from .starts import Starts
from .steps import Steps
from .store import Store
from .survey import Survey
from .updates import Updates
from .upgrade import Upgrade
from .uploads import Upload

log = logging.getLogger(__name__)
WORKERS = 4
TICK = 0.5


class Controller:
    """One data directory's control plane. ``run`` serves until ``end`` is called."""

    def __init__(
        self, places: Places, settings: Settings, store: Store, backend: Backend, stager: Stager
    ) -> None:
        self.places, self.settings, self.store, self.backend = places, settings, store, backend
        self.journal = Journal(places.logs, settings.log_max_bytes)
        self.registrar = Registrar(settings.registry_idle_seconds)
        self.models = Models(
            places.models,
            settings.allow_unsigned_models,
            default_registry(places),
            self.registrar,
        )
        self.decisions = Decisions(store)
        self.scaling = Scaling(time.time, self._limits, self.decisions.record)
        self.history = History(places.history, self._states)
        self.certificates = Certificates(store, self.history.between)
        self.table = RouteTable(store, settings, self._address, self._short_of, self._metadata)
        self.link = GatewayLink(places, self.table.entries, self.table.draining, self._said)
        measures = Measures(store, backend, self.models.bytes_of)
        self.resources = Resources(store, self.journal, backend, settings, measures, self._publish)
        self.starts = Starts(store, settings, self.history.cold_start, measures.largest)
        self.advising = Advising(store, self.history, self.resources.holds)
        self.steps = Steps(
            store,
            self.journal,
            places,
            settings,
            backend,
            stager,
            self.models,
            self.resources,
            self.starts,
        )
        setbacks = Setbacks()
        self.survey = Survey(
            store, self.scaling, self.models, setbacks, settings, self.resources.fits
        )
        replay = Replay(
            store,
            places.gateway_socket,
            self._address,
            settings.request_deadline_seconds,
            self.certificates.replayed,
        )
        self.updates = Updates(store, self.journal, self.certificates, gate=replay.gate)
        self.reconciler = Reconciler(
            store,
            self.journal,
            self.steps,
            self.scaling,
            self.survey,
            self.updates,
            Maintenance(store, self.journal),
            setbacks,
            self._publish,
        )
        enqueue = self.reconciler.queue.add
        self.endpoints = Endpoints(
            store,
            self.journal,
            self.models,
            self.survey,
            lambda key: setbacks.why(key) is None,
            enqueue,
            self.resources,
        )
        self.changes = Changes(store, self.journal, self.endpoints, enqueue)
        self.answers = Answers(
            store,
            self.journal,
            self.scaling,
            self.reconciler,
            self.link,
            self.endpoints,
            self.models,
            self.survey,
            self.resources,
            self.starts,
            places,
            settings,
        )
        self.inbox = Inbox(
            store,
            self.journal,
            self.scaling,
            self.history,
            self.certificates,
            self.starts,
            self.reconciler,
            self.link,
            self._publish,
        )
        self.upgrade = Upgrade(Installation(), self.leave)
        self.keep_replicas = False
        self._leaving = False
        self._stager = stager
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then work until ``end``."""
        self.reconciler.checking.update(self.store.endpoints)
        await self.history.recover(self.store.endpoints)
        await self.resources.refresh()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.link.run()),
                group.create_task(self._watch_exits()),
                group.create_task(self._tick()),
                group.create_task(self.resources.watch()),
                group.create_task(self.upgrade.run()),
                group.create_task(self._recover()),
                group.create_task(self.history.sweep()),
                *(group.create_task(self.reconciler.work()) for _ in range(WORKERS)),
            ]
            await self._ended.wait()
            await self._wind_down(tasks)

    async def _recover(self) -> None:
        """Records and reality first; then what makes the next cold start of endpoints that serve fast."""
        await recover(
            self.store, self.journal, self.backend, self.reconciler, self.places.environments
        )
        await self.certificates.resume()
        for endpoint in list(self.store.endpoints.values()):
            config = self.store.config(endpoint.id, endpoint.active)
            if endpoint.wanted == "RUNNING" and config is not None:
                for entity in config.entities:
                    await self.steps.prepare(endpoint, config.version, entity.name)

    def end(self, keep_replicas: bool) -> None:
        """Let ``run`` return: gateway and replicas end too, the replicas unless they are kept."""
        self.keep_replicas = keep_replicas
        self._ended.set()

    def leave(self) -> None:
        """Let ``run`` return as if killed: everything else goes on, and the gateway starts a new controller."""
        self._leaving = True
        self._ended.set()

    async def _wind_down(self, tasks: list[asyncio.Task[None]]) -> None:
        gateway = None if self._leaving else await self.link.dismiss()
        for task in tasks:
            task.cancel()
        if gateway is not None:
            await asyncio.to_thread(processes.end, gateway)
        await self.reconciler.close()
        if not self._leaving and not self.keep_replicas:
            replicas = [r for r in self.store.replicas.values() if r.handle]
            await asyncio.gather(*(self._stop_for_good(r) for r in replicas))
            await self.backend.release()
        await self.backend.close()
        await self._stager.close()
        await self.certificates.close()
        await self.history.close()
        await self.registrar.close()
        self.models.close()

    async def _stop_for_good(self, replica: ReplicaRecord) -> None:
        await self.backend.stop(replica.handle, min(10.0, self.settings.drain_grace_seconds))
        await self.store.forget_replica(replica)

    # -- from outside --------------------------------------------------------------------------------

    def _address(self, replica: ReplicaRecord) -> str:
        return self.backend.address(replica.handle)

    def _short_of(self, key: str) -> str | None:
        """Why callers of an entity should not wait: its starts fail, or there is no room; None where they should."""
        return self.reconciler.setbacks.lasting(key) or self.resources.lasting(key)

    def _metadata(self, entity: EntityRecord) -> dict[str, Any] | None:
        return self.models.metadata(entity.digest)

    def _limits(self, key: str) -> tuple[float, float]:
        return self.resources.limits(key)

    def _states(self, endpoint: str) -> States | None:
        """Replicas of an endpoint, over all its configs: ready, starting, wanted; None where there is none."""
        if endpoint not in self.store.endpoints:
            return None
        phases = Counter(r.phase for r in self.store.replicas_of(endpoint))
        wanted = sum(self.scaling.wanted(endpoint).values())
        return phases[ReplicaPhase.READY], phases[ReplicaPhase.STARTING], wanted

    def _publish(self, endpoint: str) -> None:
        """An endpoint has changed or is gone: whoever keeps something of it is told."""
        self.history.changed(endpoint)
        if endpoint not in self.store.endpoints:
            self.history.forget(endpoint)
            self.advising.forget(endpoint)
        routed, revision = self.table.publish(endpoint, self.link)
        self.reconciler.drained.difference_update(routed)
        self.starts.published(routed, revision)

    def _said(self, message: dict[str, Any]) -> None:
        self.inbox.take(message)

    async def _watch_exits(self) -> None:
        async for ended in self.backend.watch():
            text = f"Replica {ended.replica_id} died: {ended.reason}."
            forget = self.reconciler.replica_ended(ended.replica_id, text)
            if forget is not None:
                self._spawn(forget)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for key in self.scaling.tick():
                self.reconciler.queue.add(key.split(":", 1)[0])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- given to routes -----------------------------------------------------------------------------

    async def deployed(self, endpoint: EndpointRecord) -> EndpointDetailed:
        """The answer to a deployment: the endpoint, and the notes on its new config, which are kept as an event."""
        detail = await self.answers.detailed(endpoint)
        config = self.store.config(endpoint.id, endpoint.pending)
        if config is not None:
            detail.notes = notes(config, self.settings, endpoint.last_cold_start)
        for text in detail.notes:
            await self.store.put(self.journal.event(endpoint, "NOTE", text))
        return detail

    async def add_token(self, name: str, comment: str) -> tuple[str, TokenRecord]:
        """Make a query token; the gateway knows it before this returns, so that it works at once."""
        clear, token = await self.endpoints.add_token(name, comment)
        self._publish(token.endpoint)
        await self.link.settled()
        return clear, token

    def prepare(self) -> None:
        """A deploy is coming (its model is being logged, say): do what it will need of us meanwhile."""
        self._spawn(self.models.warm())

    def new_upload(self, digest: str) -> Upload:
        """Begin to receive a model."""
        return Upload(lambda pieces: self.models.receive(digest, pieces))


def default_registry(places: Places) -> Registry:
    """The registry for deployments that name none: MLflow's variables, else a SQLite file in the data directory."""
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{places.data / 'mlflow.db'}"
    return Registry(
        tracking_uri=tracking, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or tracking
    )
