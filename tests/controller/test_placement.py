"""Where replicas find place: reservations, what is left, and what is said where it is not enough."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.backends.base import HostCapacity
from jupyter_serving.controller import placement
from jupyter_serving.controller.placement import SMALLEST, Need, Placed, Space
from jupyter_serving.workloads import GB, WORKLOAD_TYPES

CPU = WORKLOAD_TYPES["CPU"]
HOST = HostCapacity(4.0, 16 * GB, 8 * GB)
bytes_ = st.integers(0, 20 * GB)
needs = st.builds(Need, st.integers(1, 8 * GB), st.booleans(), st.integers(0, 4))
placed = st.lists(st.builds(Placed, needs, bytes_), max_size=6)
hosts = st.builds(
    lambda total, available, gpus: HostCapacity(4.0, total, min(total, available), gpus),
    st.integers(1, 64 * GB),
    bytes_,
    st.integers(0, 8),
)


def test_what_was_measured_is_reserved_with_a_margin() -> None:
    assert placement.need(CPU, 300, 0, 0.2) == Need(360, True)


def test_the_first_guess_grows_with_the_model() -> None:
    small, large = placement.need(CPU, 0, 0, 0.2), placement.need(CPU, 0, GB, 0.2)
    assert (small.memory_bytes, small.measured) == (SMALLEST, False)
    assert large.memory_bytes >= 2 * GB


def test_the_ceiling_bounds_the_reservation() -> None:
    assert placement.need(CPU, 5 * GB, 0, 0.2, ceiling=4 * GB).memory_bytes == 4 * GB


def test_gpus_of_a_workload_type_are_needed() -> None:
    found = placement.need(WORKLOAD_TYPES["GPU_LARGE_2"], 0, 0, 0.2)
    assert (found.gpus, found.gpu_memory) == (2, 80 * GB)


def test_what_replicas_will_grow_to_is_not_free() -> None:
    fresh = Placed(Need(3 * GB), used=GB)
    assert placement.space(HOST, [fresh]).memory_free == 6 * GB


def test_a_budget_bounds_what_is_left() -> None:
    left = placement.space(HOST, [Placed(Need(GB), GB)], budget=2 * GB)
    assert (left.memory_bytes, left.memory_free) == (2 * GB, GB)


def test_a_shortage_shows_its_arithmetic() -> None:
    left = Space(4 * GB, GB, replicas=1)
    found = placement.shortage(left, [(Need(900_000_000, True), 2)])
    assert found is not None
    assert found.ever
    assert str(found) == (
        "2 x 900 MB (measured) = 1.8 GB of memory needed, 1.0 GB free of 4.0 GB that replicas may take."
    )


def test_what_is_measured_above_all_there_is_never_fits() -> None:
    found = placement.shortage(Space(4 * GB, 4 * GB), [(Need(5 * GB, True), 1)])
    assert found is not None
    assert not found.ever


def test_a_guess_is_worth_a_try_where_nothing_else_runs() -> None:
    large = [(Need(5 * GB), 1)]
    assert placement.shortage(Space(4 * GB, 4 * GB), large) is None
    found = placement.shortage(Space(4 * GB, 3 * GB, replicas=1), large)
    assert found is not None
    assert found.ever


def test_gpus_in_use_are_waited_for_and_missing_ones_are_not() -> None:
    need = [(Need(1, gpus=2), 1)]
    busy = placement.shortage(Space(GB, GB, gpus=2, gpus_free=1), need)
    missing = placement.shortage(Space(GB, GB, gpus=1, gpus_free=1), need)
    assert busy is not None and busy.ever and "1 of 2 not in use" in str(busy)
    assert missing is not None and not missing.ever and "this machine has 1" in str(missing)


def test_memory_of_the_gpus_counts_where_it_is_known() -> None:
    need = [(Need(1, gpus=1, gpu_memory=16 * GB), 1)]
    small, almost = Space(GB, GB, 1, 1, 8 * GB), Space(GB, GB, 1, 1, 15 * GB)
    found = placement.shortage(small, need)
    assert found is not None
    assert not found.ever
    assert placement.shortage(almost, need) is None
    assert placement.shortage(Space(GB, GB, 1, 1, 0), need) is None


def test_pressure_forbids_growth_from_its_limit_on() -> None:
    busy = HostCapacity(4.0, GB, GB, cpu_pressure=0.95)
    assert placement.pressed(busy, 0.9)
    assert not placement.pressed(busy, 1.0)
    assert not placement.pressed(HostCapacity(4.0, GB, GB, cpu_pressure=0.5), 0.9)
    assert placement.pressed(HostCapacity(4.0, GB, GB, memory_pressure=0.5), 1.0)


@given(hosts, placed, bytes_)
def test_what_is_left_is_within_what_there_is(
    host: HostCapacity, replicas: list[Placed], budget: int
) -> None:
    left = placement.space(host, replicas, budget)
    assert 0 <= left.memory_free <= left.memory_bytes <= host.memory_bytes
    assert left.memory_free <= host.memory_available
    assert 0 <= left.gpus_free <= left.gpus


@given(hosts, placed, needs)
def test_a_replica_more_leaves_no_more(
    host: HostCapacity, replicas: list[Placed], one: Need
) -> None:
    before, after = (placement.space(host, r) for r in (replicas, [*replicas, Placed(one)]))
    assert after.memory_free <= before.memory_free
    assert after.gpus_free <= before.gpus_free


@given(hosts, placed, needs)
def test_room_is_what_can_be_placed_one_after_the_other(
    host: HostCapacity, replicas: list[Placed], one: Need
) -> None:
    room = placement.room(placement.space(host, replicas), one, 0)
    fitted = 0
    while fitted <= min(room, 40):
        left = placement.space(host, [*replicas, *[Placed(one)] * fitted])
        if one.memory_bytes > left.memory_free or one.gpus > left.gpus_free:
            break
        fitted += 1
    assert min(room, 41) == fitted


@given(hosts, placed, needs, st.integers(1, 5))
def test_what_fits_fits_within_what_is_left(
    host: HostCapacity, replicas: list[Placed], one: Need, count: int
) -> None:
    left = placement.space(host, replicas)
    found = placement.shortage(left, [(one, count)])
    enough = one.memory_bytes * count <= left.memory_free and one.gpus * count <= left.gpus_free
    guess = not one.measured and not replicas and one.gpus * count <= left.gpus_free
    assert (found is None) >= enough
    if found is None:
        assert enough or guess
    else:
        assert found.text
        assert found.ever or placement.unfit(left, [(one, count)]) is not None


def test_room_without_a_need_is_not_bounded() -> None:
    assert placement.room(Space(GB, 0), Need(0), 2) == math.inf
