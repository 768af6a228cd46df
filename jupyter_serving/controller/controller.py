"""The controller: wires store, reconciler, scaling, gateway link and backend, and answers questions about them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from .. import processes
from ..api import EndpointDetailed, EndpointSummary, Event, Registry, Start
from ..backends.base import Backend
from ..environments.stage import Stager
from ..errors import NotFound
from ..places import Places
from ..settings import Settings
from ..version import version
from . import view
from .endpoints import Endpoints
from .journal import Journal
from .link import GatewayLink
from .models import Models
from .reconcile import Reconciler
from .records import EndpointRecord, ReplicaRecord, TokenRecord, entity_key
from .recovery import recover
from .routing import routing
from .scaling import Scaling
from .steps import Steps
from .store import Store
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
        self.models = Models(
            places.models, settings.allow_unsigned_models, default_registry(places)
        )
        self.scaling = Scaling(
            time.time, settings.target_utilisation, settings.scale_down_window_seconds
        )
        self.link = GatewayLink(places, self._table, self._from_gateway)
        self.steps = Steps(store, self.journal, places, settings, backend, stager, self.models)
        self.reconciler = Reconciler(
            store, self.journal, settings, self.steps, self.models, self.scaling, self._publish
        )
        self.endpoints = Endpoints(
            store, self.journal, self.models, self.reconciler.queue.add, lambda: self._gpus
        )
        self.started = int(time.time() * 1000)
        self.keep_replicas = False
        self._leaving = False
        self._stager = stager
        self._gpus = 0
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cold: dict[str, float] = {}

    # -- life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then work until ``end``."""
        self.reconciler.checking.update(self.store.endpoints)
        self._gpus = (await self.backend.capacity()).gpus
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.link.run()),
                group.create_task(self._watch_exits()),
                group.create_task(self._tick()),
                group.create_task(self._recover()),
                *(group.create_task(self.reconciler.work()) for _ in range(WORKERS)),
            ]
            await self._ended.wait()
            await self._wind_down(tasks)

    async def _recover(self) -> None:
        """Records and reality first; then what makes the next cold start of endpoints that serve fast."""
        await recover(self.store, self.journal, self.backend, self.reconciler)
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
        self.models.close()

    async def _stop_for_good(self, replica: ReplicaRecord) -> None:
        await self.backend.stop(replica.handle, min(10.0, self.settings.drain_grace_seconds))
        await self.store.forget_replica(replica)

    # -- from outside --------------------------------------------------------------------------------

    def _from_gateway(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "wake":
                key = message["key"]
                if self.scaling.wake(key, message["held"], message["at"]):
                    self._enqueue_key(key)
            case "stats":
                for key, figures in message["entities"].items():
                    if self.scaling.observe(key, figures):
                        self._enqueue_key(key)
            case "drained":
                self._drained(message["replica"])
            case "first_response":
                self._spawn(self._first_response(message["replica"], message["at"]))
            case "replica_failed":
                # The backend's watch decides whether it is dead; this only makes us look at once.
                log.info(
                    "the gateway cannot reach replica %s: %s", message["replica"], message["reason"]
                )

    def _drained(self, replica: str) -> None:
        record = self.store.replicas.get(replica)
        if record is not None:
            self.reconciler.drained.add(replica)
            self.reconciler.queue.add(record.endpoint)

    def _enqueue_key(self, key: str) -> None:
        self.reconciler.queue.add(key.split(":", 1)[0])

    async def _first_response(self, replica: str, at: float) -> None:
        """Complete the waterfall of a start that a request has waited for."""
        record = self.store.replicas.get(replica)
        if record is None:
            return
        for start in await self.store.starts(record.endpoint):
            if (
                start.replica == replica
                and start.reason == "wake"
                and "first_byte" not in start.phases
            ):
                total = at - start.started_at / 1000
                known = start.total_seconds or 0.0
                phases = start.phases | {"first_byte": round(max(0.0, total - known), 4)}
                self._cold[record.endpoint] = round(total, 4)
                await self.store.put(replace(start, total_seconds=round(total, 4), phases=phases))

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
                self._enqueue_key(key)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- routes --------------------------------------------------------------------------------------

    def _publish(self, endpoint: str) -> None:
        record = self.store.endpoints.get(endpoint)
        if record is None:
            self._forget_unknown()
        elif record.wanted == "DELETED":
            if self.store.find(record.name) is None:
                self.link.publish(None, record.name)
        else:
            self.link.publish(self._entry(record), record.name)

    def _forget_unknown(self) -> None:
        names = {e.name for e in self.store.endpoints.values() if e.wanted != "DELETED"}
        for name in self.link.known() - names:
            self.link.publish(None, name)

    def _table(self) -> list[dict[str, Any]]:
        return [self._entry(e) for e in self.store.endpoints.values() if e.wanted != "DELETED"]

    def _entry(self, endpoint: EndpointRecord) -> dict[str, Any]:
        version = endpoint.active if endpoint.active is not None else endpoint.pending
        return routing(
            endpoint,
            self.store.config(endpoint.id, version),
            self.store.replicas_of(endpoint.id),
            self.store.tokens_of(endpoint.id),
            self.settings,
            lambda replica: self.backend.address(replica.handle),
            self.reconciler.unavailable,
        )

    # -- answers -------------------------------------------------------------------------------------

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway; "" while it is not known."""
        hello = self.link.hello
        return f"http://{hello['host']}:{hello['port']}" if hello.get("port") else ""

    async def summaries(self) -> list[EndpointSummary]:
        """The list, by name."""
        shown = [e for e in self.store.endpoints.values() if e.wanted != "DELETED"]
        return [view.summary(self._facts(e)) for e in sorted(shown, key=lambda e: e.name)]

    async def detailed(self, endpoint: EndpointRecord) -> EndpointDetailed:
        """One endpoint as it is now."""
        return view.detailed(self._facts(self.store.endpoints.get(endpoint.id, endpoint)))

    def _facts(self, endpoint: EndpointRecord) -> view.Facts:
        active = self.store.config(endpoint.id, endpoint.active)
        shown = endpoint.pending if endpoint.pending is not None else endpoint.failed
        entities = active.entities if active else ()
        keys = [entity_key(endpoint.id, endpoint.active or 0, e.name) for e in entities]
        return view.Facts(
            endpoint=endpoint,
            active=active,
            pending=self.store.config(endpoint.id, shown),
            replicas=self.store.replicas_of(endpoint.id),
            figures=[self.scaling.entities[k] for k in keys if k in self.scaling.entities],
            checking=endpoint.id in self.reconciler.checking,
            progress=self.journal.progress.get(endpoint.id, ""),
            last_cold_start=self._cold.get(endpoint.id),
            base_url=self.gateway_url,
            now=time.time(),
        )

    async def service_log(self, name: str, entity: str) -> str:
        """End of the log of an entity's replicas."""
        endpoint = self.endpoints.get(name)
        self._known_entity(endpoint, entity)
        return await asyncio.to_thread(self.journal.read_service, endpoint.id, entity)

    async def build_log(self, name: str, entity: str, number: int | None) -> str:
        """End of the build log of an entity, of the newest config version that has it unless one is given."""
        endpoint = self.endpoints.get(name)
        versions = self._known_entity(endpoint, entity)
        chosen = number if number is not None else max(versions)
        return await asyncio.to_thread(self.journal.read_build, endpoint.id, entity, chosen)

    def _known_entity(self, endpoint: EndpointRecord, entity: str) -> list[int]:
        configs = [c for (owner, _), c in self.store.configs.items() if owner == endpoint.id]
        versions = [c.version for c in configs if any(e.name == entity for e in c.entities)]
        if not versions:
            names = sorted({e.name for c in configs for e in c.entities})
            raise NotFound(
                f"The endpoint {endpoint.name!r} has no served entity {entity!r}.",
                hint=f"It has: {', '.join(names)}.",
            )
        return versions

    async def events(self, name: str, after: int, limit: int) -> list[Event]:
        """Events of an endpoint, oldest first."""
        endpoint = self.endpoints.get(name)
        return [
            Event(
                id=e.id,
                timestamp=e.timestamp,
                type=e.type,
                message=e.message,
                endpoint=endpoint.name,
                served_entity=e.served_entity,
                details=e.details,
            )
            for e in await self.store.events(endpoint.id, after, limit)
        ]

    async def starts(self, name: str) -> list[Start]:
        """Starts of an endpoint's replicas, oldest first."""
        endpoint = self.endpoints.get(name)
        return [
            Start(
                replica=s.replica,
                served_entity=s.entity,
                reason=s.reason,
                started_at=s.started_at,
                total_seconds=s.total_seconds,
                phases=s.phases,
            )
            for s in await self.store.starts(endpoint.id)
        ]

    async def add_token(self, name: str, comment: str) -> tuple[str, TokenRecord]:
        """Make a query token and tell the gateway before the answer, so that it works at once."""
        clear, token = await self.endpoints.add_token(name, comment)
        self._publish(token.endpoint)
        return clear, token

    def new_upload(self, digest: str) -> Upload:
        """Begin to receive a model."""
        return Upload(lambda pieces: self.models.receive(digest, pieces))

    def _problems(self) -> list[str]:
        recorded = _recorded_problem(self.places.gateway_state)
        if recorded is not None:
            return [recorded]
        return [] if self.link.connected else ["The gateway is not connected."]

    async def status(self) -> dict[str, Any]:
        """The services as they are."""
        gateway = self.link.hello
        return {
            "version": version(),
            "pid": os.getpid(),
            "data_dir": str(self.places.data),
            "runtime_dir": str(self.places.runtime),
            "started_at": self.started,
            "gateway": {
                "pid": gateway.get("pid"),
                "url": self.gateway_url,
                "port": gateway.get("port"),
                "alive": self.link.connected,
            },
            "endpoints": len([e for e in self.store.endpoints.values() if e.wanted != "DELETED"]),
            "replicas": len(self.store.replicas),
            "problems": await asyncio.to_thread(self._problems),
        }


def _recorded_problem(state: Path) -> str | None:
    """What the gateway wrote down as the reason why it cannot be reached."""
    try:
        problem = json.loads(state.read_bytes()).get("problem")
    except (OSError, ValueError):
        return None
    return str(problem) if problem else None


def default_registry(places: Places) -> Registry:
    """The registry for deployments that name none: MLflow's variables, else a SQLite file in the data directory."""
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{places.data / 'mlflow.db'}"
    return Registry(
        tracking_uri=tracking, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or tracking
    )
