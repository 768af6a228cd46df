"""Answers of the API about what there is; nothing here changes anything."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import processes
from ..api import EndpointDetailed, EndpointSummary
from ..errors import BadRequest, NotFound
from ..observed import Event, Start
from ..places import Places
from ..settings import Settings
from ..version import version
from . import progress, reloads, view
from .endpoints import Endpoints
from .journal import Journal
from .link import GatewayLink
from .models import Models
from .openapi import document
from .phases import readiness
from .reconcile import Reconciler
from .records import ConfigRecord, EndpointRecord, ReplicaRecord, StartRecord
from .resources import Resources
from .scaling import Scaling
from .starts import Starts
from .store import Store
from .survey import Survey


class Answers:
    """Reads records, live figures and logs."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        scaling: Scaling,
        reconciler: Reconciler,
        link: GatewayLink,
        endpoints: Endpoints,
        models: Models,
        survey: Survey,
        resources: Resources,
        starts: Starts,
        places: Places,
        settings: Settings,
    ) -> None:
        self._store, self._journal, self._scaling = store, journal, scaling
        self._reconciler, self._link, self._endpoints = reconciler, link, endpoints
        self._models, self._places, self._settings = models, places, settings
        self._survey = survey
        self._resources, self._starts = resources, starts
        self._started = int(time.time() * 1000)

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway; "" while none is known to run. One that is not linked yet wrote its port down."""
        known = self._link.hello or _running(self._places.gateway_state)
        return f"http://{known['host']}:{known['port']}" if known.get("port") else ""

    async def summaries(self) -> list[EndpointSummary]:
        """The list, by name."""
        shown = [e for e in self._store.endpoints.values() if e.wanted != "DELETED"]
        return [view.summary(self._facts(e)) for e in sorted(shown, key=lambda e: e.name)]

    async def detailed(self, endpoint: EndpointRecord) -> EndpointDetailed:
        """One endpoint as it is now."""
        return view.detailed(self._facts(self._store.endpoints.get(endpoint.id, endpoint)))

    def _facts(self, endpoint: EndpointRecord) -> view.Facts:
        active = self._store.config(endpoint.id, endpoint.active)
        shown = endpoint.pending if endpoint.pending is not None else endpoint.failed
        keys = active.entity_keys() if active else []
        replicas, now = self._store.replicas_of(endpoint.id), time.time()
        return view.Facts(
            endpoint=endpoint,
            active=active,
            pending=self._store.config(endpoint.id, shown),
            replicas=replicas,
            figures=[self._scaling.entities[k] for k in keys if k in self._scaling.entities],
            checking=endpoint.id in self._reconciler.checking,
            progress=self._resources.said(endpoint.id)
            or self._progress(endpoint, active, replicas, now)
            or self._journal.progress.get(endpoint.id)
            or self._trouble(keys),
            last_cold_start=endpoint.last_cold_start,
            base_url=self.gateway_url,
            default_idle=self._settings.scale_to_zero_seconds,
            now=now,
            stale=len(reloads.stale(endpoint, active, replicas, now)),
        )

    def _progress(
        self,
        endpoint: EndpointRecord,
        active: ConfigRecord | None,
        replicas: Sequence[ReplicaRecord],
        now: float,
    ) -> str:
        if endpoint.pending is None and not replicas:
            return ""  # at rest: the list asks this of every endpoint
        pending = self._store.config(endpoint.id, endpoint.pending)
        configs = [pending] if pending else []
        return progress.told(
            endpoint,
            active,
            pending,
            replicas,
            self._survey.needs(endpoint),
            self._survey.fetched(configs),
            self._survey.staged(configs),
            self._journal.progress.get(endpoint.id, ""),
            now,
        )

    def _trouble(self, keys: Sequence[str]) -> str:
        """Why starts of active entities fail just now; "" where none does."""
        return next((why for key in keys if (why := self._reconciler.setbacks.why(key))), "")

    async def service_log(self, name: str, entity: str) -> str:
        """End of the log of an entity's replicas."""
        endpoint = self._endpoints.get(name)
        self._known_entity(endpoint, entity)
        return await asyncio.to_thread(self._journal.read_service, endpoint.id, entity)

    async def build_log(self, name: str, entity: str, number: int | None) -> str:
        """End of the build log of an entity: of the config version given, else of the newest that built anything."""
        endpoint = self._endpoints.get(name)
        known = self._known_entity(endpoint, entity)
        # A version that took over what an earlier one had built wrote nothing.
        for built in sorted(known, reverse=True) if number is None else [number]:
            text = await asyncio.to_thread(self._journal.read_build, endpoint.id, entity, built)
            if text:
                return text
        return ""

    def _known_entity(self, endpoint: EndpointRecord, entity: str) -> list[int]:
        configs = self._store.configs_of(endpoint.id)
        versions = [c.version for c in configs if any(e.name == entity for e in c.entities)]
        if not versions:
            names = sorted({e.name for c in configs for e in c.entities})
            raise NotFound(
                f"The endpoint {endpoint.name!r} has no served entity {entity!r}.",
                hint=f"It has: {', '.join(names)}.",
            )
        return versions

    async def openapi(self, name: str) -> dict[str, Any]:
        """The OpenAPI document of an endpoint.

        Raises:
            BadRequest: the endpoint is not ready, or one of its models has no signature.
        """
        endpoint = self._endpoints.get(name)
        config = self._store.config(endpoint.id, endpoint.active)
        if config is None or readiness(endpoint) != "READY":
            raise BadRequest(
                f"The endpoint {name!r} is not ready, so there is nothing to describe yet.",
                hint="Wait until its state.ready is READY, or start it.",
            )
        served = [await self._models.served(entity) for entity in config.entities]
        return document(name, config.version, self.gateway_url, served)

    async def events(self, name: str, after: int, limit: int) -> list[Event]:
        """Events of an endpoint, oldest first."""
        endpoint = self._endpoints.get(name)
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
            for e in await self._store.events(endpoint.id, after, limit)
        ]

    async def starts(self, name: str, limit: int, reason: str) -> list[Start]:
        """The last starts of an endpoint's replicas, oldest first; with a ``reason`` those that have it."""
        endpoint = self._endpoints.get(name)
        found = await self._store.recent(StartRecord, endpoint.id)
        chosen = [s for s in found if reason in ("", s.reason)]
        return [_start(self._starts.weighed(s)) for s in chosen[max(0, len(chosen) - limit) :]]

    def _problems(self) -> list[str]:
        recorded = _recorded_problem(self._places.gateway_state)
        if recorded is not None:
            return [recorded]
        return [] if self._link.connected else ["The gateway is not connected."]

    async def status(self) -> dict[str, Any]:
        """The services as they are."""
        gateway = self._link.hello
        return {
            "version": version(),
            "pid": os.getpid(),
            "data_dir": str(self._places.data),
            "runtime_dir": str(self._places.runtime),
            "started_at": self._started,
            "gateway": {
                "pid": gateway.get("pid"),
                "version": gateway.get("version"),
                "url": self.gateway_url,
                "port": gateway.get("port"),
                "alive": self._link.connected,
            },
            "endpoints": len([e for e in self._store.endpoints.values() if e.wanted != "DELETED"]),
            "replicas": len(self._store.replicas),
            "problems": await asyncio.to_thread(self._problems) + self._resources.problems(),
            **await self._resources.facts(),
        }


def _start(record: StartRecord) -> Start:
    shared = set(Start.__struct_fields__) & set(record.__struct_fields__)
    fields = {name: getattr(record, name) for name in shared}
    return Start(**fields | {"served_entity": record.entity, "imports": list(record.imports)})


def _recorded(state: Path) -> dict[str, Any]:
    """What the gateway wrote down about itself; empty where it has not, or it cannot be read."""
    try:
        found = json.loads(state.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _running(state: Path) -> dict[str, Any]:
    """The same of a gateway whose process lives; empty where it does not."""
    found = _recorded(state)
    return found if found.get("pid") and processes.start_ticks(int(found["pid"])) else {}


def _recorded_problem(state: Path) -> str | None:
    """What the gateway wrote down as the reason why it cannot be reached."""
    problem = _recorded(state).get("problem")
    return str(problem) if problem else None
