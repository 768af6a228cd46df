from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.errors import BadRequest, NotFound, Unavailable
from jupyter_serving.gateway.endpoint import Endpoint, Entity, Share
from jupyter_serving.gateway.routes import Table, cycle_of
from jupyter_serving.gateway.targets import Target


@st.composite
def splits(draw: st.DrawFn) -> list[int]:
    cuts = draw(st.lists(st.integers(min_value=0, max_value=100), max_size=5))
    edges = [0, *sorted(cuts), 100]
    return [high - low for low, high in pairwise(edges)]


def endpoint(
    percents: list[int], *, state: str = "OPEN", name: str = "iris", **more: object
) -> Endpoint:
    return Endpoint(
        name=name,
        id="1",
        config_version=1,
        state=state,  # type: ignore[arg-type]
        routes=tuple(Share(f"e{n}", percent) for n, percent in enumerate(percents)),
        entities=tuple(Entity(f"e{n}", f"1:1:e{n}") for n, _ in enumerate(percents)),
        **more,  # type: ignore[arg-type]
    )


@given(splits(), st.integers(min_value=0, max_value=250))
def test_any_hundred_consecutive_requests_are_split_exactly(percents: list[int], skip: int) -> None:
    table = Table([endpoint(percents)])
    for _ in range(skip):
        table.route(Target("invocations", "iris"))
    seen = Counter(table.route(Target("invocations", "iris")).entity.name for _ in range(100))
    assert seen == {f"e{n}": percent for n, percent in enumerate(percents) if percent}


@given(splits())
def test_the_cycle_is_as_short_as_the_split_allows(percents: list[int]) -> None:
    assert 100 % len(cycle_of(Share(str(n), p) for n, p in enumerate(percents))) == 0


def test_a_small_share_is_spread_and_not_sent_in_a_row() -> None:
    cycle = cycle_of([Share("a", 80), Share("b", 20)])
    assert cycle.count("b") == 1 and len(cycle) == 5


def test_a_membership_change_does_not_restart_the_split() -> None:
    table, seen = Table([endpoint([99, 1])]), Counter()
    for version in range(100):
        seen[table.route(Target("invocations", "iris")).entity.name] += 1
        table.put(endpoint([99, 1], message=str(version)))
    assert seen == {"e0": 99, "e1": 1}


def test_a_named_served_entity_does_not_move_the_split() -> None:
    table = Table([endpoint([50, 50])])
    first = table.route(Target("invocations", "iris")).entity.name
    assert table.route(Target("invocations", "iris", first)).entity.name == first
    assert table.route(Target("invocations", "iris")).entity.name != first


def test_a_single_entity_without_routes_gets_everything() -> None:
    table = Table([Endpoint("a", "1", 1, "OPEN", entities=(Entity("only", "k"),))])
    assert {table.route(Target("invocations", "a")).entity.name for _ in range(5)} == {"only"}


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"state": "STOPPED"}, BadRequest, "stopped"),
        ({"state": "STOPPED", "message": "Parked by bob."}, BadRequest, "Parked by bob."),
        ({"state": "FAILED", "message": "No module named x"}, BadRequest, "No module named x"),
    ],
)
def test_a_closed_endpoint_says_why(changed: dict[str, str], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        Table([endpoint([100], **changed)]).route(Target("invocations", "iris"))  # type: ignore[arg-type]


def test_an_endpoint_that_is_being_created_holds_once_it_has_entities() -> None:
    assert (
        Table([endpoint([100], state="CREATING")]).route(Target("invocations", "iris")).entity.name
        == "e0"
    )
    with pytest.raises(Unavailable) as caught:
        Table([endpoint([], state="CREATING")]).route(Target("invocations", "iris"))
    assert caught.value.retry_after


def test_an_unavailable_entity_says_why() -> None:
    entity = Entity("e", "k", unavailable="its model file is damaged.")
    table = Table([Endpoint("a", "1", 1, "OPEN", entities=(entity,))])
    with pytest.raises(Unavailable, match="its model file is damaged"):
        table.route(Target("invocations", "a"))


def test_unknown_names_are_not_found() -> None:
    table = Table([endpoint([100])])
    for name, entity in (("nobody", None), ("iris", "e9")):
        with pytest.raises(NotFound):
            table.route(Target("invocations", name, entity))


def test_the_same_closed_endpoint_raises_a_fresh_error_each_time() -> None:
    table, caught = Table([endpoint([100], state="STOPPED")]), []
    for _ in range(2):
        with pytest.raises(BadRequest) as info:
            table.route(Target("invocations", "iris"))
        caught.append(info.value)
    assert caught[0] is not caught[1]


def test_tokens_of_forgotten_endpoints_are_forgotten() -> None:
    table = Table([endpoint([100], tokens=("aa",)), endpoint([100], name="b", tokens=("bb",))])
    assert table.knows_token("aa") and table.knows_token("bb")
    table.forget("iris")
    assert not table.knows_token("aa") and table.knows_token("bb")
    table.replace([])
    assert not table.knows_token("bb")
