"""The plan: what follows from desired and observed state."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_serving.api import ConfigUpdate, Registry, ServedEntityInput
from jupyter_serving.controller.phases import REPLICA_MOVES
from jupyter_serving.controller.plan import (
    Add,
    Fail,
    Fetch,
    Forget,
    Move,
    Place,
    Promote,
    Stage,
    Stop,
    View,
    plan,
)
from jupyter_serving.controller.records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
    Wanted,
    entity_key,
)

ENDPOINT = EndpointRecord(id="e", name="iris", creator="me", created=0, updated=0)


def config(version: int, **entity: Any) -> ConfigRecord:
    record = EntityRecord(
        name="iris-1",
        spec=ServedEntityInput(entity_name="iris", entity_version="1"),
        source={},
        registry=Registry(tracking_uri="sqlite:///x"),
        created=0,
        creator="me",
        **entity,
    )
    return ConfigRecord(
        endpoint="e", version=version, created=0, entities=(record,), routes=(("iris-1", 100),)
    )


def replica(number: int, version: int, phase: ReplicaPhase, **more: Any) -> ReplicaRecord:
    return ReplicaRecord(
        id=f"r{number}",
        endpoint="e",
        version=version,
        entity="iris-1",
        phase=phase,
        backend="process",
        slots=4,
        reason="deploy",
        created=number,
        **more,
    )


def view(endpoint: EndpointRecord, configs: list[ConfigRecord], **more: Any) -> View:
    keys = {entity_key("e", c.version, "iris-1") for c in configs}
    facts: dict[str, Any] = dict(
        replicas=[],
        wanted=dict.fromkeys(keys, 1),
        fetched=keys,
        staged=keys,
        held_off=set(),
        drained=set(),
        in_flight={},
        now=1000,
        drain_grace=300_000,
        deploy_deadline=3_600_000,
        needs={} if endpoint.pending is None else {entity_key("e", endpoint.pending, "iris-1"): 1},
    )
    return View(endpoint=endpoint, configs={c.version: c for c in configs}, **facts | more)


CREATING = replace(ENDPOINT, pending=1, update=ConfigUpdate.IN_PROGRESS)
SERVING = replace(ENDPOINT, active=1)
UPDATING = replace(ENDPOINT, active=1, pending=2, update=ConfigUpdate.IN_PROGRESS)


def test_a_new_endpoint_fetches_then_stages_then_adds_then_places_then_promotes() -> None:
    first = config(1)
    assert plan(view(CREATING, [first], fetched=set(), staged=set())) == [Fetch(1, "iris-1")]
    assert plan(view(CREATING, [first], staged=set())) == [Stage(1, "iris-1")]
    assert plan(view(CREATING, [first])) == [Add(1, "iris-1", 1)]
    starting = [replica(1, 1, ReplicaPhase.STARTING)]
    assert plan(view(CREATING, [first], replicas=starting)) == [Place("r1")]
    ready = [replica(1, 1, ReplicaPhase.READY)]
    assert plan(view(CREATING, [first], replicas=ready)) == [Promote(1)]


def test_an_update_leaves_the_old_replicas_until_it_is_promoted() -> None:
    old = replica(1, 1, ReplicaPhase.READY)
    new = replica(2, 2, ReplicaPhase.STARTING)
    assert plan(view(UPDATING, [config(1), config(2)], replicas=[old, new])) == [Place("r2")]
    done = replace(UPDATING, active=2, pending=None, update=ConfigUpdate.NOT_UPDATING)
    after = plan(view(done, [config(2)], replicas=[old, replace(new, phase=ReplicaPhase.READY)]))
    assert after == [Move("r1", ReplicaPhase.DRAINING)]


def test_a_failed_entity_fails_the_update_and_nothing_else() -> None:
    old = replica(1, 1, ReplicaPhase.READY)
    configs = [config(1), config(2, failure="ModuleNotFoundError: xgboost")]
    assert plan(view(UPDATING, configs, replicas=[old])) == [
        Fail(2, "ModuleNotFoundError: xgboost")
    ]


def test_what_failed_a_moment_ago_is_not_tried_at_once() -> None:
    off = {entity_key("e", 1, "iris-1")}
    for missing in ({"fetched": set(), "staged": set()}, {"staged": set()}, {}):
        assert plan(view(SERVING, [config(1)], **missing, held_off=off)) == []
        assert plan(view(SERVING, [config(1)], **missing)) != []


def test_an_update_that_takes_too_long_fails() -> None:
    late = view(CREATING, [config(1)], fetched=set(), now=3_600_001)
    steps = plan(late)
    assert isinstance(steps[0], Fail)
    assert "3600 s" in steps[0].message


def test_draining_ends_when_the_gateway_says_so_or_the_grace_is_over() -> None:
    waiting = replica(1, 1, ReplicaPhase.DRAINING, draining_since=1000)
    zero = {entity_key("e", 1, "iris-1"): 0}
    assert plan(view(SERVING, [config(1)], replicas=[waiting], wanted=zero)) == []
    move = [Move("r1", ReplicaPhase.STOPPING)]
    assert plan(view(SERVING, [config(1)], replicas=[waiting], wanted=zero, drained={"r1"})) == move
    late = view(SERVING, [config(1)], replicas=[waiting], wanted=zero, now=302_000)
    assert plan(late) == move


def test_what_is_wanted_while_it_drains_is_taken_back() -> None:
    draining = replica(1, 1, ReplicaPhase.DRAINING, draining_since=1000)
    back = Move("r1", ReplicaPhase.READY)
    assert plan(view(SERVING, [config(1)], replicas=[draining])) == [back]
    # whatever the gateway has said meanwhile, however long it has been draining, and without its model's files
    facts: dict[str, Any] = dict(drained={"r1"}, now=999_000, fetched=set(), staged=set())
    assert plan(view(SERVING, [config(1)], replicas=[draining], **facts))[0] == back
    stopping = replica(2, 1, ReplicaPhase.STOPPING)
    both = plan(view(SERVING, [config(1)], replicas=[stopping]))
    assert both == [Stop("r2"), Add(1, "iris-1", 1)], "one that was told to end cannot come back"


def test_as_many_are_taken_back_as_are_missing_the_last_to_leave_first() -> None:
    key = entity_key("e", 1, "iris-1")
    first, second = (replica(n, 1, ReplicaPhase.DRAINING, draining_since=1000 * n) for n in (1, 2))
    one = plan(view(SERVING, [config(1)], replicas=[first, second]))
    assert one == [Move("r2", ReplicaPhase.READY)]
    three = plan(view(SERVING, [config(1)], replicas=[first, second], wanted={key: 3}))
    assert three[:2] == [Move("r2", ReplicaPhase.READY), Move("r1", ReplicaPhase.READY)]
    assert three[2:] == [Add(1, "iris-1", 1)]


def test_a_replica_of_a_config_that_is_gone_is_not_taken_back() -> None:
    old = replica(1, 1, ReplicaPhase.DRAINING, draining_since=1000)
    done = replace(SERVING, active=2)
    assert plan(view(done, [config(2)], replicas=[old])) == [Add(2, "iris-1", 1)]


def test_surplus_gives_up_starting_then_idle_then_young_replicas() -> None:
    key = entity_key("e", 1, "iris-1")
    busy = replica(1, 1, ReplicaPhase.READY)
    idle = replica(2, 1, ReplicaPhase.READY)
    starting = replica(3, 1, ReplicaPhase.STARTING)
    replicas = [busy, idle, starting]
    facts: dict[str, Any] = dict(replicas=replicas, in_flight={"r1": 2})
    one_less = plan(view(SERVING, [config(1)], wanted={key: 2}, **facts))
    assert one_less == [Move("r3", ReplicaPhase.STOPPING)]
    two_less = plan(view(SERVING, [config(1)], wanted={key: 1}, **facts))
    assert Move("r2", ReplicaPhase.DRAINING) in two_less
    assert not any(isinstance(s, Move) and s.replica == "r1" for s in two_less)


def test_an_entity_whose_start_failed_a_moment_ago_is_left_alone() -> None:
    key = entity_key("e", 1, "iris-1")
    assert plan(view(SERVING, [config(1)], held_off={key})) == []


def test_deleting_drains_stops_and_forgets() -> None:
    gone = replace(SERVING, wanted=Wanted.DELETED)
    ready, stopping = replica(1, 1, ReplicaPhase.READY), replica(2, 1, ReplicaPhase.STOPPING)
    steps = plan(view(gone, [config(1)], replicas=[ready, stopping]))
    assert steps == [Move("r1", ReplicaPhase.DRAINING), Stop("r2")]
    assert plan(view(gone, [config(1)])) == [Forget()]


def test_a_stopped_endpoint_keeps_its_record() -> None:
    assert plan(view(replace(SERVING, wanted=Wanted.STOPPED), [config(1)])) == []


@st.composite
def any_view(draw: st.DrawFn) -> View:
    endpoint = replace(
        draw(st.sampled_from([CREATING, SERVING, UPDATING])),
        wanted=draw(st.sampled_from(list(Wanted))),
    )
    versions = [v for v in (endpoint.active, endpoint.pending) if v is not None]
    replicas = [
        replica(
            n,
            draw(st.sampled_from([1, 2, 3])),
            draw(st.sampled_from(list(ReplicaPhase))),
            draining_since=draw(st.integers(0, 1000)),
        )
        for n in range(draw(st.integers(0, 6)))
    ]
    keys = [entity_key("e", v, "iris-1") for v in versions]
    return view(
        endpoint,
        [config(v) for v in versions],
        replicas=replicas,
        wanted={k: draw(st.integers(0, 3)) for k in keys},
        fetched=set(draw(st.sets(st.sampled_from(keys)))),
        staged=set(draw(st.sets(st.sampled_from(keys)))),
        drained={r.id for r in replicas if draw(st.booleans())},
    )


@given(any_view())
def test_every_move_is_legal_and_nothing_is_planned_twice(given_view: View) -> None:
    steps = plan(given_view)
    phases = {r.id: r.phase for r in given_view.replicas}
    assert len(set(steps)) == len(steps)
    for step in steps:
        if isinstance(step, Move):
            assert step.to in REPLICA_MOVES[phases[step.replica]]
        if isinstance(step, Place):
            assert phases[step.replica] is ReplicaPhase.STARTING
    touched = [s.replica for s in steps if isinstance(s, Move | Place | Stop)]
    assert len(touched) == len(set(touched))


@given(any_view())
def test_what_is_not_wanted_always_ends(given_view: View) -> None:
    """Following the plan of a deleted endpoint with everything drained leads to Forget, whatever the start."""
    current = list(given_view.replicas)
    endpoint = replace(given_view.endpoint, wanted=Wanted.DELETED)
    for _ in range(10):
        now = view(
            endpoint,
            list(given_view.configs.values()),
            replicas=current,
            drained={r.id for r in current},
        )
        steps = plan(now)
        if steps == [Forget()]:
            return
        moves = {s.replica: s.to for s in steps if isinstance(s, Move)}
        stopped = {s.replica for s in steps if isinstance(s, Stop)}
        current = [
            replace(r, phase=moves.get(r.id, r.phase)) for r in current if r.id not in stopped
        ]
    raise AssertionError(f"still there: {current}")
