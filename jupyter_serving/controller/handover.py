"""How many replicas of a new config must be ready before it gets the traffic. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..workloads import Capacity
from .records import ConfigRecord
from .sizing import capacity_of


def needs(pending: ConfigRecord, active: ConfigRecord | None, load: float) -> Mapping[str, int]:
    """Replicas by entity key.

    A new entity has to show that it starts, so it is at least one, and at least its lower bound; beyond that it is what
    its share of the present load asks for. One that is carried on has shown it, so only its share counts.

    Args:
        pending: the new config.
        active: the one that serves now, None where nothing does.
        load: slots that the active config's load asks for now, all its entities together.
    """
    shares = dict(pending.routes)
    present = set(active.entity_keys()) if active else set()
    found = {}
    for entity in pending.entities:
        key = pending.key(entity)
        share = load * shares.get(entity.name, 0) / 100
        found[key] = _replicas(capacity_of(entity.spec), share, fresh=key not in present)
    return found


def _replicas(bounds: Capacity, slots: float, *, fresh: bool) -> int:
    # Rounding errors of the share must not ask for a replica more.
    asked = math.ceil(slots / bounds.slots_per_replica - 1e-9)
    least = max(1, bounds.min_replicas) if fresh else 0
    return min(bounds.max_replicas, max(least, asked))
