"""Sizes of a served entity: slots, replicas and idle time, from its spec."""

from __future__ import annotations

import math

from ..api import ServedEntityInput
from ..settings import Settings
from ..workloads import Capacity, capacity, workload_type


def capacity_of(spec: ServedEntityInput) -> Capacity:
    """Bounds of provisioned concurrency of ``spec``; InvalidParameter as ``workloads.capacity``."""
    return capacity(
        spec.workload_size,
        spec.min_provisioned_concurrency,
        spec.max_provisioned_concurrency,
        spec.scale_to_zero_enabled,
    )


def memory_of(spec: ServedEntityInput, slots: int) -> int:
    """Bytes that a replica with so many slots may hold; 0, no limit, where a GPU's driver maps memory of its own."""
    kind = workload_type(spec.workload_type)
    return 0 if kind.gpus else kind.memory_per_slot * slots


def threads_of(spec: ServedEntityInput, cpus: float) -> int:
    """BLAS and OpenMP threads of each slot: its share of the CPUs when the entity is scaled up fully, at least one."""
    return max(1, int(cpus) // capacity_of(spec).maximum)


def idle_limit_of(spec: ServedEntityInput, settings: Settings) -> float:
    """Idle seconds after which the entity goes to zero; inf where it never does."""
    if not spec.scale_to_zero_enabled:
        return math.inf
    own = spec.scale_to_zero_seconds
    return settings.scale_to_zero_seconds if own is None else own
