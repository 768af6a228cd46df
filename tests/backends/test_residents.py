"""Zygotes within a budget: those that were not used for longest end first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.backends import residents
from jupyter_serving.backends.base import Spare

GB = 10**9


def spare(key: str, idle: float, bytes_: int = GB, replicas: int = 0) -> Spare:
    return Spare(key, "env", 1, bytes_, replicas, idle)


def test_a_budget_that_holds_all_ends_none() -> None:
    assert residents.surplus([spare("a", 100), spare("b", 200)], 2 * GB) == []


def test_the_longest_unused_goes_first_and_no_more_than_needed() -> None:
    spares = [spare("a", 100), spare("b", 300), spare("c", 200)]
    assert residents.surplus(spares, 2 * GB) == ["b"]
    assert residents.surplus(spares, GB) == ["b", "c"]


def test_one_with_living_replicas_goes_last() -> None:
    assert residents.surplus([spare("a", 300, replicas=1), spare("b", 100)], GB) == ["b"]


def test_one_that_is_in_use_stays() -> None:
    assert residents.surplus([spare("a", 1.0)], 1) == []


def test_default_budget() -> None:
    assert residents.budget(0, 4 * GB) == GB
    assert residents.budget(0, 64 * GB) == 6.4 * GB
    assert residents.budget(5, 64 * GB) == 5


@given(
    st.lists(st.tuples(st.integers(0, 4 * GB), st.floats(0, 1e4), st.integers(0, 2)), max_size=8),
    st.integers(0, 10 * GB),
)
def test_what_stays_is_within_the_budget_or_in_use(
    facts: list[tuple[int, float, int]], budget: int
) -> None:
    spares = [spare(str(n), idle, held, kids) for n, (held, idle, kids) in enumerate(facts)]
    gone = set(residents.surplus(spares, budget))
    stay = [s for s in spares if s.key not in gone]
    idle = [s for s in stay if s.idle_seconds >= residents.IN_USE]
    assert not idle or sum(s.memory_bytes for s in stay) <= budget
