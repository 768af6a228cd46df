"""How many replicas a new config must have ready before it gets the traffic."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.api import Registry, ServedEntityInput
from jupyter_serving.controller.handover import needs
from jupyter_serving.controller.records import ConfigRecord, EntityRecord
from jupyter_serving.controller.sizing import capacity_of


def entity(name: str, since: int = 0, **spec: Any) -> EntityRecord:
    return EntityRecord(
        name=name,
        spec=ServedEntityInput(entity_name="iris", entity_version="1", **spec),
        source={},
        registry=Registry(tracking_uri="sqlite:///x"),
        created=0,
        creator="me",
        since=since,
    )


def config(version: int, routes: dict[str, int], *entities: EntityRecord) -> ConfigRecord:
    return ConfigRecord(
        endpoint="e",
        version=version,
        created=0,
        entities=entities,
        routes=tuple(routes.items()),
    )


RANGE = {"min_provisioned_concurrency": 0, "max_provisioned_concurrency": 16}
OLD = config(1, {"a": 100}, entity("a", **RANGE))


def test_the_present_load_is_split_by_the_new_routes() -> None:
    new = config(2, {"a": 25, "b": 75}, entity("a", **RANGE), entity("b", **RANGE))
    assert needs(new, OLD, 8.0) == {"e:2:a": 1, "e:2:b": 2}
    assert needs(new, OLD, 100.0) == {"e:2:a": 4, "e:2:b": 4}, "within its own bounds"


def test_a_new_entity_has_to_show_that_it_starts_and_one_carried_on_has() -> None:
    new = config(2, {"a": 100, "b": 0}, entity("a", since=1, **RANGE), entity("b", **RANGE))
    assert needs(new, OLD, 0.0) == {"e:1:a": 0, "e:2:b": 1}
    assert needs(new, OLD, 5.0) == {"e:1:a": 2, "e:2:b": 1}


def test_the_lower_bound_counts() -> None:
    bounds = {"min_provisioned_concurrency": 8, "max_provisioned_concurrency": 16}
    assert needs(config(2, {"a": 100}, entity("a", **bounds)), OLD, 0.0) == {"e:2:a": 2}


@given(st.floats(0, 1000), st.integers(0, 100), st.integers(1, 40), st.integers(0, 40))
def test_it_is_enough_for_the_share_and_within_the_bounds(
    load: float, share: int, high: int, low: int
) -> None:
    bounds = {"min_provisioned_concurrency": min(low, high), "max_provisioned_concurrency": high}
    new = config(2, {"a": share, "b": 100 - share}, entity("a", **bounds), entity("b", **RANGE))
    found = needs(new, OLD, load)["e:2:a"]
    capacity = capacity_of(new.entities[0].spec)
    assert max(1, capacity.min_replicas) <= found <= capacity.max_replicas
    enough = found * capacity.slots_per_replica >= load * share / 100 - 1e-6
    assert enough or found == capacity.max_replicas
