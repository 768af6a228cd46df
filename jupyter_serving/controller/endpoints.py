"""The verbs: what happens to an endpoint starts here.

A verb validates, stores the desired state with a new config version, enqueues the endpoint and answers at once; the
reconciler does the rest. Resolving the model is part of validating, so that an unknown version is told at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from .. import api
from ..api import ConfigInput, ConfigUpdate, CreateEndpoint, ServedEntityInput
from ..errors import AlreadyExists, Conflict, InvalidParameter, NotFound
from . import validate, versions
from .handover import needs
from .journal import Journal
from .models import Models, source_of
from .phases import move_update
from .records import ConfigRecord, EndpointRecord, EntityRecord, TokenRecord, Wanted
from .resources import Resources
from .store import Store
from .survey import Survey, no_room

TOKENS_KEPT = 50


class Endpoints:
    """Create, update, stop, start, delete, and tokens.

    ``enqueue`` hands an endpoint id to the reconciler; ``sound`` is False for entities (by key) that cannot start now.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        models: Models,
        survey: Survey,
        sound: Callable[[str], bool],
        enqueue: Callable[[str], None],
        resources: Resources,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._journal, self._models = store, journal, models
        self._survey, self._sound, self.prepared = survey, sound, survey.prepared
        self._enqueue, self._resources, self._clock = enqueue, resources, clock
        self._naming = asyncio.Lock()

    def get(self, name: str) -> EndpointRecord:
        """The endpoint called ``name``.

        Raises:
            NotFound: there is none; the message lists those that exist.
        """
        endpoint = self._store.find(name)
        if endpoint is None:
            names = sorted(
                e.name for e in self._store.endpoints.values() if e.wanted != Wanted.DELETED
            )
            there = f"There are: {', '.join(names[:10])}." if names else "There are none yet."
            raise NotFound(f"There is no endpoint {name!r}.", hint=there)
        return endpoint

    async def create(self, body: CreateEndpoint, creator: str) -> EndpointRecord:
        """Create an endpoint; with a config its first update begins.

        Raises:
            InvalidParameter, NotFound, RegistryUnreachable: the config; AlreadyExists: the name.
        """
        api.check_name(body.name)
        self._check_free(body.name)
        config = body.config or ConfigInput()
        if not config.entities():
            raise InvalidParameter(
                "config.served_entities is empty.", hint="Name at least one model to serve."
            )
        now = self._now()
        fresh = EndpointRecord(
            id=secrets.token_hex(16),
            name=body.name,
            creator=creator,
            created=now,
            updated=now,
            description=body.description,
            tags=tuple(body.tags),
            route_optimized=body.route_optimized,
        )
        record = await self._config(fresh, config, creator)
        self._check_room(fresh, record)
        async with self._naming:
            # Somebody may have taken the name while the model was being resolved.
            self._check_free(body.name)
            endpoint = self._begin(fresh, record)
            event = self._journal.event(
                endpoint, "ENDPOINT_CREATED", f"{creator} created the endpoint."
            )
            await self._store.put(endpoint, record, event)
        self._enqueue(endpoint.id)
        return endpoint

    async def update_config(self, name: str, config: ConfigInput, user: str) -> EndpointRecord:
        """Make a new config version; the active one serves until the new one is ready.

        Raises:
            Conflict: an update is in progress. BadRequest: the endpoint is stopped.
        """
        endpoint = self._changeable(name)
        if not config.entities():
            raise InvalidParameter(
                "served_entities is empty.", hint="To stop serving use config:stop or delete."
            )
        record = await self._config(endpoint, config, user)
        return await self.apply(name, record, f"{user} updated the config.", "CONFIG_UPDATED")

    async def stop(self, name: str, user: str) -> EndpointRecord:
        """Stop serving: requests in flight finish, later ones are answered with 400."""
        endpoint = self._changeable(name)
        if endpoint.wanted is Wanted.STOPPED:
            return endpoint
        event = self._journal.event(endpoint, "ENDPOINT_STOPPED", f"{user} stopped the endpoint.")
        stopped = await self._store.amend(endpoint, self._stopped, event)
        self._enqueue(stopped.id)
        return stopped

    async def start(self, name: str, user: str) -> EndpointRecord:
        """Serve again: a new config version with the content of the last one that worked."""
        endpoint = self._changeable(name)
        if endpoint.wanted is Wanted.RUNNING and endpoint.active is not None:
            return endpoint
        version = _last_good(endpoint)
        base = self._store.configs[endpoint.id, version]
        whole = [self.prepared(base, e) for e in base.entities]
        record = replace(
            base,
            version=endpoint.last_version + 1,
            created=self._now(),
            creator=user,
            entities=self.carried(endpoint, None, whole),
            outcome=None,
            message="",
            ended=0,
            content_of=base.version,
        )
        return await self.apply(name, record, f"{user} started the endpoint.", "ENDPOINT_STARTED")

    async def delete(self, name: str, user: str) -> None:
        """Remove an endpoint: its name is free at once, its requests in flight finish."""
        endpoint = self.get(name)
        now = self._now()
        event = self._journal.event(endpoint, "ENDPOINT_DELETED", f"{user} deleted the endpoint.")
        gone = await self._store.amend(
            endpoint, lambda e: replace(e, wanted=Wanted.DELETED, updated=now), event
        )
        self._enqueue(gone.id)

    async def add_token(self, name: str, comment: str) -> tuple[str, TokenRecord]:
        """Make a query token; its clear text exists only in the return value."""
        endpoint = self.get(name)
        if len(self._store.tokens_of(endpoint.id)) >= TOKENS_KEPT:
            oldest = min(self._store.tokens_of(endpoint.id), key=lambda t: t.created)
            await self._store.forget_token(oldest)
        clear = f"jst_{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(clear.encode()).hexdigest()
        token = TokenRecord(
            id=secrets.token_hex(8),
            endpoint=endpoint.id,
            sha256=digest,
            comment=comment,
            created=self._now(),
        )
        await self._store.put(token)
        self._enqueue(endpoint.id)
        return clear, token

    # -- inside --------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _check_free(self, name: str) -> None:
        if self._store.find(name) is not None:
            raise AlreadyExists(
                f"The endpoint {name!r} exists already.",
                hint="Update its config, delete it, or choose another name.",
            )

    def carried(
        self,
        endpoint: EndpointRecord,
        active: ConfigRecord | None,
        entities: Sequence[EntityRecord],
    ) -> tuple[EntityRecord, ...]:
        """Entities of a new version, carried on from the active one where that serves them just so."""
        serves = active if endpoint.wanted is Wanted.RUNNING else None
        return versions.carry(entities, serves, self.prepared, self._sound)

    def _check_room(self, endpoint: EndpointRecord, config: ConfigRecord) -> None:
        """Refuse what can be told to find no place before anything is fetched.

        Raises:
            Conflict: it does not fit, what is there and what is needed.
        """
        active = self._store.config(endpoint.id, endpoint.active)
        serves = active if endpoint.wanted is Wanted.RUNNING else None
        present = set(serves.entity_keys()) if serves else set()
        wanted = needs(config, serves, 0.0)
        wants = [
            (e, wanted[config.key(e)]) for e in config.entities if config.key(e) not in present
        ]
        holds = config.update is not None and config.update.when_no_room == "hold"
        leaving = present - set(config.entity_keys()) if holds else set()
        freed = [r.id for r in self._store.replicas_of(endpoint.id) if r.key in leaving]
        missing = self._survey.fits(wants, freed) if wants else None
        # A config with nothing to replace waits for its room.
        if missing is not None and (serves is not None or not missing.ever):
            raise Conflict(no_room(str(missing), bool(present) and not holds))

    async def _forget_old(self, endpoint: EndpointRecord) -> None:
        gone = versions.expendable(endpoint, self._store.configs_of(endpoint.id))
        if gone:
            await self._store.forget_configs(gone)

    def _changeable(self, name: str) -> EndpointRecord:
        endpoint = self.get(name)
        refuse_busy(endpoint)
        return endpoint

    def _stopped(self, present: EndpointRecord) -> EndpointRecord:
        refuse_busy(present)
        return replace(present, wanted=Wanted.STOPPED, reload_asked=0, updated=self._now())

    def _begin(self, endpoint: EndpointRecord, config: ConfigRecord) -> EndpointRecord:
        now = self._now()
        return replace(
            endpoint,
            wanted=Wanted.RUNNING,
            pending=config.version,
            last_version=config.version,
            update=move_update(endpoint.update, ConfigUpdate.IN_PROGRESS),
            update_started=now,
            updated=now,
            message="",
            swap_since=0,
            reload_asked=0,
        )

    async def apply(self, name: str, config: ConfigRecord, text: str, kind: str) -> EndpointRecord:
        """Begin the update to ``config``, unless another one has begun while this one was being validated.

        Raises:
            Conflict: one has, or the config finds no place.
        """
        self._check_room(self.get(name), config)
        event = self._journal.event(self.get(name), kind, text)

        def begun(present: EndpointRecord) -> EndpointRecord:
            refuse_busy(present)
            if present.wanted is Wanted.DELETED or config.version != present.last_version + 1:
                raise Conflict(
                    f"The endpoint {name!r} was changed meanwhile.", hint="Look at it, then repeat."
                )
            if present.wanted is Wanted.STOPPED:
                # Nothing serves now, so there is no old config to keep until the new one is ready.
                present = replace(present, active=None)
            return self._begin(present, config)

        endpoint = await self._store.amend(self.get(name), begun, config, event)
        await self._forget_old(endpoint)
        self._enqueue(endpoint.id)
        return endpoint

    async def _config(
        self, endpoint: EndpointRecord, config: ConfigInput, creator: str
    ) -> ConfigRecord:
        specs = config.entities()
        validate.entities(specs, self._resources.host.gpus)
        validate.capture(config.capture)
        validate.update(config.update)
        validate.period(config.reload_every_seconds, "reload_every_seconds")
        resolved = await asyncio.gather(*(self._entity(spec, creator) for spec in specs))
        active = self._store.config(endpoint.id, endpoint.active)
        entities = self.carried(endpoint, active, _named(resolved))
        await self._resources.admissible(entities)
        return ConfigRecord(
            endpoint=endpoint.id,
            version=endpoint.last_version + 1,
            created=self._now(),
            entities=entities,
            routes=validate.routes(config.traffic_config, [e.name for e in entities]),
            capture=config.capture,
            creator=creator,
            update=config.update,
            reload_every_seconds=config.reload_every_seconds,
        )

    async def _entity(self, spec: ServedEntityInput, creator: str) -> EntityRecord:
        found = await self._models.resolve(spec)
        name = spec.name or validate.entity_name(found.name, found.version)
        known = spec.model_digest or ""
        plain = replace(spec, name=name, entity_name=found.name, entity_version=found.version or "")
        return EntityRecord(
            name=name,
            spec=plain,
            source=source_of(found),
            registry=self._models.registry(spec),
            created=self._now(),
            creator=creator,
            digest=known,
        )


def refuse_busy(endpoint: EndpointRecord) -> None:
    """Refuse a change while an update is in progress.

    Raises:
        Conflict: one is.
    """
    if endpoint.update is ConfigUpdate.IN_PROGRESS and endpoint.wanted is Wanted.RUNNING:
        raise Conflict(
            f"The endpoint {endpoint.name!r} is being updated to config version {endpoint.pending};"
            " another change cannot be made now.",
            hint="Wait until config_update is not IN_PROGRESS, or cancel the update (config:cancel).",
        )


def _last_good(endpoint: EndpointRecord) -> int:
    """The config version to start again: the active one, else the last that there was."""
    known = (endpoint.active, endpoint.failed, endpoint.last_version)
    return next(version for version in known if version is not None)


def _named(entities: Sequence[EntityRecord]) -> tuple[EntityRecord, ...]:
    names = [e.name for e in entities]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InvalidParameter(
            f"Two served entities are called {twice[0]!r}.", hint="Give each a name of its own."
        )
    return tuple(entities)
