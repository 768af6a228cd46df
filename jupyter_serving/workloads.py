"""Workload types and sizes: what a served entity asks for, in slots, memory and GPUs.

Names and figures are those of Databricks Model Serving (custom models): ``Small`` is 4 units of provisioned
concurrency, ``Medium`` 8-16, ``Large`` 16-64; one unit is one slot and serves one request at a time; a CPU slot
has 4 GB. A replica holds up to four slots, as there.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InvalidParameter

GB = 1_000_000_000
SLOTS_PER_REPLICA = 4
SIZES: dict[str, tuple[int, int]] = {"Small": (4, 4), "Medium": (8, 16), "Large": (16, 64)}


@dataclass(frozen=True, slots=True)
class WorkloadType:
    """Hardware behind one replica: memory per slot in bytes, GPUs and the memory of each in bytes."""

    name: str
    memory_per_slot: int
    gpus: int = 0
    gpu_memory: int = 0


WORKLOAD_TYPES: dict[str, WorkloadType] = {
    kind.name: kind
    for kind in (
        WorkloadType("CPU", 4 * GB),
        WorkloadType("CPU_MEDIUM", 8 * GB),
        WorkloadType("CPU_LARGE", 16 * GB),
        WorkloadType("GPU_SMALL", 4 * GB, 1, 16 * GB),
        WorkloadType("GPU_MEDIUM", 4 * GB, 1, 24 * GB),
        WorkloadType("MULTIGPU_MEDIUM", 4 * GB, 4, 24 * GB),
        WorkloadType("GPU_MEDIUM_8", 4 * GB, 8, 24 * GB),
        WorkloadType("GPU_LARGE", 4 * GB, 1, 80 * GB),
        WorkloadType("GPU_LARGE_2", 4 * GB, 2, 80 * GB),
        WorkloadType("GPU_LARGE_4", 4 * GB, 4, 80 * GB),
        WorkloadType("GPU_XLARGE", 4 * GB, 1, 80 * GB),
        WorkloadType("GPU_XLARGE_8", 4 * GB, 8, 80 * GB),
    )
}


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bounds of provisioned concurrency (slots) and how many of them one replica holds."""

    minimum: int
    maximum: int
    slots_per_replica: int

    @property
    def min_replicas(self) -> int:
        """Replicas that are always up."""
        return -(-self.minimum // self.slots_per_replica)

    @property
    def max_replicas(self) -> int:
        """Replicas that are never exceeded."""
        return -(-self.maximum // self.slots_per_replica)


def capacity(
    size: str | None, minimum: int | None, maximum: int | None, scale_to_zero: bool
) -> Capacity:
    """Turn a workload size, or a concurrency range, into bounds.

    Args:
        size: ``Small``, ``Medium`` or ``Large``; exclusive with the range. None and no range means ``Small``.
        minimum: lowest provisioned concurrency (slots), at least 0.
        maximum: highest provisioned concurrency (slots), at least 1.
        scale_to_zero: lets the lower bound become 0 when idle.

    Raises:
        InvalidParameter: unknown size, size together with a range, or an empty range.
    """
    if size is not None and (minimum is not None or maximum is not None):
        raise InvalidParameter(
            "workload_size and min/max_provisioned_concurrency exclude each other.",
            hint="Send one of the two.",
        )
    if minimum is None and maximum is None:
        if (size or "Small") not in SIZES:
            raise InvalidParameter(
                f"Unknown workload_size {size!r}.", hint=f"Use one of {', '.join(SIZES)}."
            )
        low, high = SIZES[size or "Small"]
    else:
        high = maximum if maximum is not None else max(minimum or 0, 1)
        low = minimum if minimum is not None else min(1, high)
    if low < 0 or high < 1 or low > high:
        raise InvalidParameter(
            f"Provisioned concurrency must satisfy 0 <= min <= max and max >= 1, not {low}..{high}."
        )
    slots = (
        SLOTS_PER_REPLICA if high % SLOTS_PER_REPLICA == 0 and low % SLOTS_PER_REPLICA == 0 else 1
    )
    return Capacity(0 if scale_to_zero else low, high, slots)


def size(bytes_: float) -> str:
    """Bytes as a person reads them: ``312 MB``, ``4.5 GB``."""
    return f"{bytes_ / 1e6:.0f} MB" if bytes_ < GB else f"{bytes_ / GB:.1f} GB"


def workload_type(name: str | None) -> WorkloadType:
    """Look up a workload type by its Databricks name; None means ``CPU``.

    Raises:
        InvalidParameter: the name is not one of ``WORKLOAD_TYPES``.
    """
    try:
        return WORKLOAD_TYPES[name or "CPU"]
    except KeyError:
        raise InvalidParameter(
            f"Unknown workload_type {name!r}.", hint=f"Use one of {', '.join(WORKLOAD_TYPES)}."
        ) from None
