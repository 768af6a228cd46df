"""What a plan may know of one endpoint, gathered from records, live figures and the host."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any

from ..autoscale.rules import rules_of
from ..environments.environment import Environment
from ..settings import Settings
from . import reloads
from .handover import needs
from .models import Models
from .placement import Shortage
from .plan import View
from .records import ConfigRecord, EndpointRecord, EntityRecord, ReplicaPhase, ReplicaRecord
from .scaling import Scaling
from .setbacks import Setbacks
from .sizing import capacity_of, idle_limit_of
from .store import Store

# So many more replicas of each entity, once the replicas named (ids) are gone: what is missing for them, or None.
Fits = Callable[[Sequence[tuple[EntityRecord, int]], Collection[str]], Shortage | None]


def everything_fits(_: Sequence[tuple[EntityRecord, int]], __: Collection[str]) -> None:
    """A host without bounds."""


class Survey:
    """Makes the view of an endpoint. ``drained`` holds replicas out of the routing without a request in flight."""

    def __init__(
        self,
        store: Store,
        scaling: Scaling,
        models: Models,
        setbacks: Setbacks,
        settings: Settings,
        fits: Fits = everything_fits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._scaling, self._models = store, scaling, models
        self._setbacks, self._settings, self._clock = setbacks, settings, clock
        self.fits = fits
        self.drained: set[str] = set()

    def view(self, endpoint: EndpointRecord) -> View:
        """Everything about an endpoint as it is now; its entities are tracked by the autoscaler from here on."""
        active = self._store.config(endpoint.id, endpoint.active)
        pending = self._store.config(endpoint.id, endpoint.pending)
        configs = [c for c in (active, pending) if c is not None]
        replicas = self._store.replicas_of(endpoint.id)
        needed = self._needed(endpoint, active, pending, replicas)
        self._track(endpoint, configs, replicas, needed)
        now = self._clock()
        stale = reloads.stale(endpoint, active, replicas, now)
        keys = [key for config in configs for key in config.entity_keys()]
        return View(
            endpoint=endpoint,
            configs={c.version: c for c in configs},
            replicas=replicas,
            wanted=self._scaling.wanted(endpoint.id),
            fetched=self.fetched(configs),
            staged=self.staged(configs),
            held_off={key for key in keys if self._setbacks.held_off(key)},
            drained=self.drained,
            in_flight=self._scaling.in_flight(endpoint.id),
            now=int(now * 1000),
            drain_grace=int(self._settings.drain_grace_seconds * 1000),
            deploy_deadline=int(self.deadline(pending) * 1000),
            needs=needed,
            short=self._short(active, pending, replicas, needed),
            stale=stale,
            crowded=self._crowded(active, replicas, stale),
        )

    def fetched(self, configs: Sequence[ConfigRecord]) -> Set[str]:
        """Keys of entities whose model is here."""
        return {
            c.key(e)
            for c in configs
            for e in c.entities
            if self._models.has(self.prepared(c, e).digest)
        }

    def staged(self, configs: Sequence[ConfigRecord]) -> Set[str]:
        """Keys of entities whose environment is here."""
        return {
            c.key(e)
            for c in configs
            for e in c.entities
            if _usable(self.prepared(c, e).environment)
        }

    def prepared(self, config: ConfigRecord, entity: EntityRecord) -> EntityRecord:
        """An entity with what preparing it has produced, which is recorded at the version that first had it."""
        first = self._store.config(config.endpoint, config.origin(entity))
        return entity if first is None else first.entity(entity.name)

    def deadline(self, pending: ConfigRecord | None) -> float:
        """Seconds within which an update has to be ready: its own, else the setting."""
        own = pending.update.deadline_seconds if pending and pending.update else None
        return self._settings.deploy_deadline_seconds if own is None else own

    def needs(self, endpoint: EndpointRecord) -> Mapping[str, int]:
        """Replicas that the pending config must have ready, by entity key; empty without one."""
        active = self._store.config(endpoint.id, endpoint.active)
        pending = self._store.config(endpoint.id, endpoint.pending)
        return self._needed(endpoint, active, pending, self._store.replicas_of(endpoint.id))

    def due(self, endpoint: EndpointRecord) -> list[float]:
        """When a time limit of an endpoint will have passed, in epoch seconds."""
        dates = self._setbacks.due(endpoint.id)
        replicas = self._store.replicas_of(endpoint.id)
        active = self._store.config(endpoint.id, endpoint.active)
        pending = self._store.config(endpoint.id, endpoint.pending)
        if pending is not None:
            dates.append(endpoint.update_started / 1000 + self.deadline(pending) + 0.1)
        elif active is not None:
            now = self._clock()
            # What is due already is planned, or waits for something that will be told.
            dates += [at for at in reloads.due(endpoint, active, replicas).values() if at > now]
        grace = self._settings.drain_grace_seconds
        dates += [
            r.draining_since / 1000 + grace + 0.1
            for r in replicas
            if r.phase is ReplicaPhase.DRAINING
        ]
        return dates

    # -- inside --------------------------------------------------------------------------------------

    def _needed(
        self,
        endpoint: EndpointRecord,
        active: ConfigRecord | None,
        pending: ConfigRecord | None,
        replicas: Sequence[ReplicaRecord],
    ) -> Mapping[str, int]:
        if pending is None:
            return {}
        load = sum(self._scaling.load(key) for key in (active.entity_keys() if active else ()))
        found = needs(pending, active, load)
        if endpoint.swap_since and self._missing(active, pending, replicas, found) is not None:
            # Requests wait: what fits has to do, and the autoscaler goes on from there.
            return needs(pending, active, 0.0)
        return found

    def _missing(
        self,
        active: ConfigRecord | None,
        pending: ConfigRecord,
        replicas: Sequence[ReplicaRecord],
        needed: Mapping[str, int],
    ) -> Shortage | None:
        """What is missing for the replicas that the pending config still has to get, beside all that there are."""
        present = set(active.entity_keys()) if active else set()
        wants = []
        for entity in pending.entities:
            key = pending.key(entity)
            more = needed[key] - sum(r.key == key for r in replicas)
            if key not in present and more > 0:
                wants.append((self.prepared(pending, entity), more))
        found = self.fits(wants, ()) if wants else None
        # Where nothing serves there is nothing to keep: its replicas wait for room.
        return found if found is not None and (active is not None or not found.ever) else None

    def _short(
        self,
        active: ConfigRecord | None,
        pending: ConfigRecord | None,
        replicas: Sequence[ReplicaRecord],
        needed: Mapping[str, int],
    ) -> dict[str, str]:
        if pending is None:
            return {}
        missing = self._missing(active, pending, replicas, needed)
        if missing is None:
            return {}
        present = set(active.entity_keys()) if active else set()
        return {
            key: no_room(str(missing), active is not None)
            for key in pending.entity_keys()
            if key not in present
        }

    def _crowded(
        self, active: ConfigRecord | None, replicas: Sequence[ReplicaRecord], stale: Set[str]
    ) -> dict[str, str]:
        if active is None or not stale:
            return {}
        keys = {r.key for r in replicas if r.id in stale}
        told = {
            active.key(e): self.fits([(self.prepared(active, e), 1)], ())
            for e in active.entities
            if active.key(e) in keys
        }
        return {key: str(why) for key, why in told.items() if why is not None}

    def _track(
        self,
        endpoint: EndpointRecord,
        configs: Sequence[ConfigRecord],
        replicas: Sequence[ReplicaRecord],
        needed: Mapping[str, int],
    ) -> None:
        # The active config comes first: what an update carries on keeps its rules until it is promoted.
        entities: dict[str, EntityRecord] = {}
        for config in configs:
            for entity in config.entities:
                entities.setdefault(config.key(entity), entity)
        for key, entity in entities.items():
            up = sum(r.key == key and r.phase is ReplicaPhase.READY for r in replicas)
            limit = idle_limit_of(entity.spec, self._settings)
            rules = rules_of(entity.spec.autoscaling, self._settings)
            bounds = capacity_of(entity.spec)
            self._scaling.track(key, bounds, limit, up, needed.get(key, 0), rules)
        known = set(self._scaling.of(endpoint.id))
        self._scaling.drop(known - entities.keys())
        # Where nothing is wanted any more, the next request is worth a try again.
        wanted = self._scaling.wanted(endpoint.id)
        self._setbacks.forget(known - entities.keys() | {k for k in entities if not wanted[k]})


def no_room(missing: str, beside: bool) -> str:
    """Why an update cannot go on, and the way out."""
    where = " beside the config that serves" if beside else ""
    way = (
        " Next step: free some, give it smaller bounds, or send update.when_no_room = hold: requests then wait while"
        " the old config makes room."
        if beside
        else " Next step: free some, or give it smaller bounds."
    )
    return f"The new config finds no place{where}: {missing}{way}"


def _usable(environment: dict[str, Any] | None) -> bool:
    return environment is not None and Environment.from_json(environment).python.exists()
