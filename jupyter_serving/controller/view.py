"""From records to the answers of the API; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from ..api import (
    ConfigOutput,
    ConfigUpdate,
    EndpointDetailed,
    EndpointState,
    EndpointSummary,
    EntityState,
    Live,
    Route,
    ServedEntityOutput,
    TrafficConfig,
)
from .phases import count, deployment, endpoint_phase, readiness
from .records import ConfigRecord, EndpointRecord, EntityRecord, ReplicaPhase, ReplicaRecord, Wanted
from .scaled import Entity


@dataclass(frozen=True, slots=True)
class Facts:
    """What an answer about one endpoint is made of.

    ``figures`` are the live entities of the active config; ``base_url`` is the gateway's, without a slash at its end;
    ``default_idle`` are the seconds before zero of entities that do not say; ``stale``: replicas to be reloaded.
    """

    endpoint: EndpointRecord
    active: ConfigRecord | None
    pending: ConfigRecord | None
    replicas: Sequence[ReplicaRecord]
    figures: Sequence[Entity]
    checking: bool
    progress: str
    last_cold_start: float | None
    base_url: str
    default_idle: float
    now: float
    stale: int = 0


def detailed(facts: Facts) -> EndpointDetailed:
    """The endpoint object."""
    endpoint = facts.endpoint
    url = invocations_url(facts)
    return EndpointDetailed(
        name=endpoint.name,
        id=endpoint.id,
        creator=endpoint.creator,
        creation_timestamp=endpoint.created,
        last_updated_timestamp=endpoint.updated,
        state=EndpointState(ready=readiness(endpoint), config_update=endpoint.update),
        description=endpoint.description,
        config=_config(facts, facts.active) if facts.active else None,
        pending_config=_config(facts, facts.pending) if facts.pending else None,
        tags=list(endpoint.tags),
        permission_level="CAN_MANAGE",
        route_optimized=endpoint.route_optimized,
        endpoint_url=url if endpoint.route_optimized else "",
        endpoint_type="CUSTOM_MODEL",
        live=live(facts),
        invocations_url=url,
    )


def summary(facts: Facts) -> EndpointSummary:
    """An item of the list: made of its own, for a list holds a thousand of them."""
    endpoint = facts.endpoint
    config = facts.active or facts.pending
    entities = config.entities if config else ()
    served = [
        {"name": e.name, "entity_name": e.spec.entity_name, "entity_version": e.spec.entity_version}
        for e in entities
    ]
    models = [
        {"name": e.name, "model_name": e.spec.entity_name, "model_version": e.spec.entity_version}
        for e in entities
    ]
    return EndpointSummary(
        name=endpoint.name,
        id=endpoint.id,
        creator=endpoint.creator,
        creation_timestamp=endpoint.created,
        last_updated_timestamp=endpoint.updated,
        state=EndpointState(ready=readiness(endpoint), config_update=endpoint.update),
        config={"served_entities": served, "served_models": models},
        description=endpoint.description,
        tags=list(endpoint.tags),
        live=live(facts),
        invocations_url=invocations_url(facts),
    )


def live(facts: Facts) -> Live:
    """What the endpoint does just now."""
    endpoint = facts.endpoint
    wanted = _wanted(facts)
    keys = facts.active.entity_keys() if facts.active else ()
    tally = count(facts.replicas, keys, wanted)
    tally.stale = facts.stale
    if facts.checking:
        # Nothing is decided before the replicas are verified: what was up is held.
        tally.wanted = tally.ready + tally.starting
    ready = [r for r in facts.replicas if r.phase is ReplicaPhase.READY and r.key in keys]
    return Live(
        phase=endpoint_phase(endpoint, facts.replicas, keys, wanted, facts.checking),
        message=endpoint.message or facts.progress,
        replicas=tally,
        in_flight=sum(f.in_flight for f in facts.figures),
        queued=sum(f.queued for f in facts.figures),
        requests_per_second=round(sum(f.rate(facts.now) for f in facts.figures), 2),
        provisioned_concurrency=sum(r.slots for r in ready),
        last_cold_start_seconds=UNSET if facts.last_cold_start is None else facts.last_cold_start,
    )


def _wanted(facts: Facts) -> int:
    """Replicas that are wanted; while a new controller still looks at what runs, those that are ready."""
    endpoint = facts.endpoint
    if endpoint.wanted is not Wanted.RUNNING:
        return 0
    if facts.checking and not facts.figures:
        return sum(r.phase is ReplicaPhase.READY for r in facts.replicas)
    return sum(f.wanted for f in facts.figures)


def invocations_url(facts: Facts) -> str:
    """Where programs send predictions; "" while the gateway's port is not known."""
    if not facts.base_url:
        return ""
    return f"{facts.base_url}/serving-endpoints/{quote(facts.endpoint.name)}/invocations"


def _config(facts: Facts, config: ConfigRecord) -> ConfigOutput:
    pending = config.version != facts.endpoint.active
    return ConfigOutput(
        config_version=config.version,
        served_entities=[_entity(facts, config, e) for e in config.entities],
        served_models=[_model(facts, config, e) for e in config.entities],
        traffic_config=TrafficConfig(
            routes=[
                Route(traffic_percentage=p, served_entity_name=e, served_model_name=e)
                for e, p in config.routes
            ]
        ),
        start_time=facts.endpoint.update_started if pending else None,
        capture=config.capture,
        update=config.update,
        reload_every_seconds=config.reload_every_seconds,
        verdict=config.verdict,
    )


def _state(facts: Facts, config: ConfigRecord, entity: EntityRecord) -> EntityState:
    own = [r for r in facts.replicas if r.key == config.key(entity)]
    active = config.version == facts.endpoint.active
    aborted = not active and facts.endpoint.update is not ConfigUpdate.IN_PROGRESS
    message = entity.failure or (config.message if aborted else "" if active else facts.progress)
    return EntityState(
        deployment=deployment(entity, active, own, aborted), deployment_state_message=message
    )


def _entity(facts: Facts, config: ConfigRecord, entity: EntityRecord) -> ServedEntityOutput:
    fields = {f: getattr(entity.spec, f) for f in entity.spec.__struct_fields__}
    ranged = entity.spec.max_provisioned_concurrency or entity.spec.min_provisioned_concurrency
    size = None if ranged else entity.spec.workload_size or "Small"
    return ServedEntityOutput(
        **fields
        | {
            "workload_size": size,
            "workload_type": entity.spec.workload_type or "CPU",
            "scale_to_zero_seconds": _idle(facts, entity),
            "model_digest": entity.digest or None,
            "burst_scaling_enabled": None,
            "state": _state(facts, config, entity),
            "creator": entity.creator,
            "creation_timestamp": entity.created,
        }
    )


def _idle(facts: Facts, entity: EntityRecord) -> float | None:
    """Idle seconds before zero; None where it never goes there."""
    if not entity.spec.scale_to_zero_enabled:
        return None
    own = entity.spec.scale_to_zero_seconds
    return facts.default_idle if own is None else own


def _model(facts: Facts, config: ConfigRecord, entity: EntityRecord) -> dict[str, Any]:
    """The deprecated spelling of a served entity, which older clients read."""
    full = msgspec.to_builtins(_entity(facts, config, entity))
    full["model_name"] = full.pop("entity_name", None)
    full["model_version"] = str(full.pop("entity_version", ""))
    return dict(full)
