"""Sizes of a served entity: slots, replicas and idle time, from its spec."""

from __future__ import annotations

import math

from ..api import ServedEntityInput
from ..settings import Settings
from ..workloads import Capacity, capacity


def capacity_of(spec: ServedEntityInput) -> Capacity:
    """Bounds of provisioned concurrency of ``spec``; InvalidParameter as ``workloads.capacity``."""
    return capacity(
        spec.workload_size,
        spec.min_provisioned_concurrency,
        spec.max_provisioned_concurrency,
        spec.scale_to_zero_enabled,
    )


def idle_limit_of(spec: ServedEntityInput, settings: Settings) -> float:
    """Idle seconds after which the entity goes to zero; inf where it never does."""
    if not spec.scale_to_zero_enabled:
        return math.inf
    own = spec.scale_to_zero_seconds
    return settings.scale_to_zero_seconds if own is None else own
