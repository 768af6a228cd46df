"""Sizes of a served entity."""

from __future__ import annotations

import pytest

from jupyter_serving.api import ServedEntityInput
from jupyter_serving.controller.sizing import memory_of, threads_of

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("kind", "slots", "bytes_"),
    [(None, 1, 4 * GB), ("CPU", 4, 16 * GB), ("CPU_LARGE", 2, 32 * GB), ("GPU_SMALL", 4, 0)],
)
def test_memory_goes_with_the_slots_and_is_unlimited_with_a_gpu(
    kind: str | None, slots: int, bytes_: int
) -> None:
    assert memory_of(ServedEntityInput(workload_type=kind), slots) == bytes_


@pytest.mark.parametrize(
    ("cpus", "most", "threads"), [(8.0, 4, 2), (2.0, 1, 2), (2.0, 4, 1), (1.5, 1, 1)]
)
def test_a_slot_gets_its_share_of_the_cpus(cpus: float, most: int, threads: int) -> None:
    spec = ServedEntityInput(min_provisioned_concurrency=1, max_provisioned_concurrency=most)
    assert threads_of(spec, cpus) == threads
