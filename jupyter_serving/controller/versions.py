"""Config versions of an endpoint: what they have in common, what became of each, which may be forgotten. Pure.

A served entity that a new version keeps exactly as it was is carried on: its record names the version that first had
it (``since``), so its key stays the same, and with it its replicas, their queue and the autoscaler's history. Nothing
is moved, so there is no moment at which a crash could find it half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ..api import ConfigState
from .records import ConfigRecord, EndpointRecord, EntityRecord

KEPT = 50
# What may differ between two served entities that the same replicas serve: how the model is named (its resolved
# source is compared), and what only the controller heeds.
_IMMATERIAL = frozenset(
    {
        "entity_name",
        "entity_version",
        "model_uri",
        "model_digest",
        "registry",
        "scale_to_zero_enabled",
        "scale_to_zero_seconds",
        "autoscaling",
        "reload_every_seconds",
        "burst_scaling_enabled",
        "instance_profile_arn",
    }
)


def alike(one: EntityRecord, other: EntityRecord) -> bool:
    """True where the replicas of one entity serve the other just as well: same model, variables and sizes."""
    digests = {d for e in (one, other) if (d := e.digest or e.spec.model_digest)}
    return (
        one.name == other.name
        and one.source == other.source
        and one.registry == other.registry
        and len(digests) <= 1
        and _material(one) == _material(other)
    )


def _material(entity: EntityRecord) -> dict[str, Any]:
    spec = msgspec.structs.asdict(entity.spec)
    return {name: value for name, value in spec.items() if name not in _IMMATERIAL}


def carry(
    entities: Iterable[EntityRecord],
    active: ConfigRecord | None,
    prepared: Callable[[ConfigRecord, EntityRecord], EntityRecord],
    sound: Callable[[str], bool],
) -> tuple[EntityRecord, ...]:
    """Entities of a new version, those that ``active`` serves already carried on from there.

    Args:
        entities: as the new version has them.
        active: the config that serves now, None where nothing does.
        prepared: an entity with what preparing it has produced (at the version that first had it).
        sound: by key, False where its replicas cannot be started just now: a new version then starts anew.
    """
    carried = []
    for entity in entities:
        same = [e for e in active.entities if alike(e, entity)] if active else []
        fresh = replace(entity, since=0, failure="")
        if active is not None and same and sound(active.key(same[0])):
            base = prepared(active, same[0])
            fresh = replace(
                fresh,
                since=active.origin(same[0]),
                digest=base.digest,
                environment=base.environment,
            )
        carried.append(fresh)
    return tuple(carried)


def same_content(one: ConfigRecord, other: ConfigRecord) -> bool:
    """True where two versions serve the same with the same split."""
    if one.routes != other.routes or len(one.entities) != len(other.entities):
        return False
    return all(
        alike(a, b) and a.spec == b.spec for a, b in zip(one.entities, other.entities, strict=True)
    )


def state(endpoint: EndpointRecord, config: ConfigRecord) -> ConfigState:
    """What became of a version; those of before outcomes were kept are told from what else is known."""
    if config.version == endpoint.active:
        return ConfigState.ACTIVE
    if config.version == endpoint.pending:
        return ConfigState.PENDING
    if config.outcome in (ConfigState.FAILED, ConfigState.CANCELED):
        return config.outcome
    failed = config.version == endpoint.failed or any(e.failure for e in config.entities)
    return ConfigState.FAILED if failed and config.outcome is None else ConfigState.SUPERSEDED


def last_good(endpoint: EndpointRecord, configs: Sequence[ConfigRecord]) -> ConfigRecord | None:
    """The newest version before the active one that worked and is not the same once more."""
    active = next((c for c in configs if c.version == endpoint.active), None)
    good = [
        c
        for c in configs
        if active is not None
        and c.version < active.version
        and state(endpoint, c) is ConfigState.SUPERSEDED
        and not same_content(c, active)
    ]
    return max(good, key=lambda c: c.version, default=None)


def expendable(endpoint: EndpointRecord, configs: Sequence[ConfigRecord]) -> list[ConfigRecord]:
    """Versions beyond the newest ``KEPT`` that nothing refers to."""
    used = {endpoint.active, endpoint.pending, endpoint.failed}
    used |= {c.origin(e) for c in configs if c.version in used for e in c.entities}
    oldest_first = sorted(configs, key=lambda c: c.version)
    return [c for c in oldest_first[: max(0, len(configs) - KEPT)] if c.version not in used]
