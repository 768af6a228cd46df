"""The verbs on an endpoint's updates and versions: cancel, roll back, reload, list."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from ..api import ConfigState, ConfigUpdate, Route, TrafficConfig
from ..errors import BadRequest, Conflict, NotFound
from ..observed import ConfigVersion
from . import versions
from .endpoints import Endpoints, refuse_busy
from .journal import Journal
from .phases import move_update
from .records import ConfigRecord, EndpointRecord, EntityRecord, Wanted
from .store import Store


class Changes:
    """As ``Endpoints``: each verb stores what is wanted and answers at once; the reconciler does the rest."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        endpoints: Endpoints,
        enqueue: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._journal, self._endpoints = store, journal, endpoints
        self._enqueue, self._clock = enqueue, clock

    async def cancel(self, name: str, user: str) -> EndpointRecord:
        """End the update that is in progress; the config that serves goes on, everything of the new one is removed.

        Raises:
            BadRequest: there is none.
        """
        endpoint = self._endpoints.get(name)
        version, now = endpoint.pending, int(self._clock() * 1000)
        if version is None:
            raise _nothing_to_cancel(name)
        text = f"{user} canceled the update to config version {version}."
        config = self._store.configs[endpoint.id, version]
        ended = replace(config, outcome=ConfigState.CANCELED, ended=now, message=text)

        def canceled(present: EndpointRecord) -> EndpointRecord:
            if present.pending != version:
                raise _nothing_to_cancel(name)
            return replace(
                present,
                update=move_update(present.update, ConfigUpdate.UPDATE_CANCELED),
                pending=None,
                failed=version,
                swap_since=0,
                message=text,
                updated=now,
            )

        event = self._journal.event(endpoint, "UPDATE_CANCELED", text)
        self._journal.progress.pop(endpoint.id, None)
        present = await self._store.amend(endpoint, canceled, ended, event)
        self._enqueue(present.id)
        return present

    async def rollback(self, name: str, version: int | None, user: str) -> EndpointRecord:
        """Make a new config version with the content of an earlier one; what is still here of it is used as it is.

        Args:
            name: the endpoint.
            version: default: the last one before the active one that worked.
            user: who asks.

        Raises:
            NotFound: no such version is kept. BadRequest: it serves already, or none is left to go back to.
            Conflict: an update is in progress.
        """
        endpoint = self._endpoints.get(name)
        refuse_busy(endpoint)
        base = self._base(endpoint, version)
        active = self._store.config(endpoint.id, endpoint.active)
        update = replace(base.update, gate=None) if base.update else None  # it has passed before
        record = replace(
            base,
            version=endpoint.last_version + 1,
            created=int(self._clock() * 1000),
            creator=user,
            entities=self._endpoints.carried(endpoint, active, self._whole(base)),
            update=update,
            outcome=None,
            message="",
            ended=0,
            content_of=base.version,
            verdict=None,
        )
        text = f"{user} rolled back to config version {base.version}."
        return await self._endpoints.apply(name, record, text, "CONFIG_ROLLED_BACK")

    def _base(self, endpoint: EndpointRecord, version: int | None) -> ConfigRecord:
        known = self._store.configs_of(endpoint.id)
        serves = endpoint.active if endpoint.wanted is Wanted.RUNNING else None
        if version is None:
            base = versions.last_good(endpoint, known)
            if base is None:
                raise BadRequest(
                    f"The endpoint {endpoint.name!r} has no config version before the active one that worked.",
                    hint="Name one: GET …/configs lists them.",
                )
            return base
        if version == serves:
            raise BadRequest(
                f"Config version {version} serves already.",
                hint="To start its replicas anew use config:reload.",
            )
        base = next((c for c in known if c.version == version), None)
        if base is None:
            there = ", ".join(str(c.version) for c in known)
            raise NotFound(
                f"The endpoint {endpoint.name!r} has no config version {version}.",
                hint=f"Kept are {there} (the last {versions.KEPT}).",
            )
        return base

    def _whole(self, base: ConfigRecord) -> list[EntityRecord]:
        """Entities of a version with what preparing them produced, wherever that is recorded."""
        return [self._endpoints.prepared(base, entity) for entity in base.entities]

    async def reload(self, name: str, user: str) -> EndpointRecord:
        """Replace every replica by a fresh one of the same config, one at a time; the old one serves until then.

        Raises:
            Conflict: an update is in progress. BadRequest: nothing serves.
        """
        endpoint = self._endpoints.get(name)
        now = int(self._clock() * 1000)

        def asked(present: EndpointRecord) -> EndpointRecord:
            refuse_busy(present)
            if present.wanted is not Wanted.RUNNING or present.active is None:
                raise BadRequest(
                    f"The endpoint {name!r} serves nothing, so there is nothing to reload.",
                    hint="Start it, or give it a config.",
                )
            if present.reload_asked:
                raise Conflict(
                    f"The endpoint {name!r} is being reloaded already.",
                    hint="Its live.replicas.stale tells how many replicas are left.",
                )
            return replace(present, reload_asked=now, updated=now)

        event = self._journal.event(endpoint, "RELOAD_ASKED", f"{user} asked for fresh replicas.")
        present = await self._store.amend(endpoint, asked, event)
        self._enqueue(present.id)
        return present

    def listed(self, name: str) -> list[ConfigVersion]:
        """Config versions that are kept, oldest first."""
        endpoint = self._endpoints.get(name)
        return [_told(endpoint, config) for config in self._store.configs_of(endpoint.id)]


def _told(endpoint: EndpointRecord, config: ConfigRecord) -> ConfigVersion:
    failure = next((e.failure for e in config.entities if e.failure), "")
    return ConfigVersion(
        config_version=config.version,
        state=versions.state(endpoint, config),
        creator=config.creator or endpoint.creator,
        creation_timestamp=config.created,
        end_timestamp=config.ended or None,
        message=config.message or failure,
        content_of=config.content_of,
        served_entities=[
            {
                "name": e.name,
                "entity_name": e.spec.entity_name,
                "entity_version": e.spec.entity_version,
                "model_digest": e.digest or None,
                "since": config.origin(e),
            }
            for e in config.entities
        ],
        traffic_config=TrafficConfig(
            routes=[Route(traffic_percentage=p, served_entity_name=e) for e, p in config.routes]
        ),
    )


def _nothing_to_cancel(name: str) -> BadRequest:
    return BadRequest(
        f"The endpoint {name!r} is not being updated, so there is nothing to cancel.",
        hint="To go back to an earlier config use config:rollback.",
    )
