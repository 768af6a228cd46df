"""The plan in a world that does what it says, in any order and with any failure: updates and reloads end well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_serving.api import ConfigUpdate, Registry, ServedEntityInput, UpdatePolicy
from jupyter_serving.controller.phases import move_replica, move_update
from jupyter_serving.controller.plan import (
    Add,
    EndReload,
    Fail,
    Fetch,
    Hold,
    LongStep,
    Move,
    Place,
    Promote,
    Stage,
    Step,
    Stop,
    Try,
    View,
    plan,
)
from jupyter_serving.controller.records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
    entity_key,
)

SERVING = EndpointRecord(id="e", name="iris", creator="me", created=0, updated=0, active=1)
UPDATING = replace(SERVING, pending=2, update=ConfigUpdate.IN_PROGRESS)


def entity(name: str, since: int = 0) -> EntityRecord:
    return EntityRecord(
        name=name,
        spec=ServedEntityInput(entity_name="iris", entity_version="1"),
        source={},
        registry=Registry(tracking_uri="sqlite:///x"),
        created=0,
        creator="me",
        since=since,
    )


def config(version: int, entities: Iterable[EntityRecord], **more: Any) -> ConfigRecord:
    return ConfigRecord(
        endpoint="e", version=version, created=0, entities=tuple(entities), routes=(), **more
    )


@dataclass
class World:
    """Records of one endpoint, and a host with room for ``room`` replicas."""

    endpoint: EndpointRecord
    configs: dict[int, ConfigRecord]
    wanted: dict[str, int]
    needs: dict[str, int]
    room: int = 99
    good: bool = True  # replicas of the new version, or fresh ones of a reload, can start
    stale: set[str] = field(default_factory=set)
    replicas: dict[str, ReplicaRecord] = field(default_factory=dict)
    prepared: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)
    log: list[Step] = field(default_factory=list)

    def view(self) -> View:
        endpoint = self.endpoint
        pending = self.configs.get(endpoint.pending or 0)
        present = set(self.configs[1].entity_keys())
        needs = self.needs if pending else {}
        fresh = [k for k in (pending.entity_keys() if pending else ()) if k not in present]
        own = [r.key for r in self.replicas.values()]
        missing = sum(max(0, needs[k] - own.count(k)) for k in fresh)
        full = len(own) + missing > self.room and missing
        live = [c for v, c in self.configs.items() if v in (endpoint.active, endpoint.pending)]
        crowded = set(self.configs[1].entity_keys()) if len(own) >= self.room else set()
        return View(
            endpoint=endpoint,
            configs={c.version: c for c in live},
            replicas=list(self.replicas.values()),
            wanted=self.wanted,
            fetched=self.prepared,
            staged=self.prepared,
            held_off=set(),
            drained=self.drained,
            in_flight={},
            now=1000,
            drain_grace=300_000,
            deploy_deadline=3_600_000,
            needs=needs,
            short=dict.fromkeys(fresh, "2 needed, 1 free") if full else {},
            stale=set() if pending else self.stale & set(self.replicas),
            crowded=dict.fromkeys(crowded, "full"),
        )

    def add(self, version: int, name: str, phase: ReplicaPhase, reason: str = "deploy") -> str:
        number = f"r{len(self.log)}-{len(self.replicas)}"
        self.replicas[number] = ReplicaRecord(
            id=number,
            endpoint="e",
            version=version,
            entity=name,
            phase=phase,
            backend="process",
            slots=4,
            reason=reason,
            created=len(self.log),
        )
        return number

    def do(self, step: Step) -> None:
        """The effect of a step, as the reconciler has it."""
        self.log.append(step)
        match step:
            case Fetch(version, name) | Stage(version, name):
                self.prepared.add(entity_key("e", version, name))
            case Add(version, name, count, reason):
                for _ in range(count):
                    self.add(version, name, ReplicaPhase.STARTING, reason or "deploy")
            case Place(replica):
                self._place(replica)
            case Stop(replica):
                del self.replicas[replica]
            case Move(replica, to):
                record = self.replicas[replica]
                self.replicas[replica] = replace(record, phase=move_replica(record, to))
                self.drained.discard(replica)
            case Try(version):
                verdict = {"passed": self.good, "text": "differs"}
                self.configs[version] = replace(self.configs[version], verdict=verdict)
            case Hold():
                self.endpoint = replace(self.endpoint, swap_since=500)
            case Promote(version):
                self.end(ConfigUpdate.NOT_UPDATING, active=version)
            case Fail():
                self.end(ConfigUpdate.UPDATE_FAILED)
            case EndReload():
                self.stale = set()
                self.endpoint = replace(self.endpoint, reload_asked=0)

    def _place(self, replica: str) -> None:
        record = self.replicas[replica]
        probed = record.reason == "reload" or record.version == self.endpoint.pending
        if not probed or self.good:
            self.replicas[replica] = replace(record, phase=ReplicaPhase.READY)
            return
        del self.replicas[replica]
        if record.reason == "reload":
            self.stale = set()
            self.endpoint = replace(self.endpoint, reload_asked=0)
        else:
            known = self.configs[record.version]
            bad = replace(known.entity(record.entity), failure="no xgboost")
            self.configs[record.version] = known.with_entity(bad)

    def end(self, to: ConfigUpdate, active: int = 1) -> None:
        update = move_update(self.endpoint.update, to)
        self.endpoint = replace(
            self.endpoint, update=update, pending=None, active=active, swap_since=0
        )

    def ready(self, version: int) -> int:
        found = [r for r in self.replicas.values() if r.version == version]
        return sum(r.phase is ReplicaPhase.READY for r in found)

    def run(self, data: st.DataObject, check: Any, limit: int = 300) -> None:
        """Follow the plan to its end: short steps first, of the long ones any; what is drained is told at any time."""
        for _ in range(limit):
            steps = plan(self.view())
            assert len(set(steps)) == len(steps)
            draining = {r.id for r in self.replicas.values() if r.phase is ReplicaPhase.DRAINING}
            waiting = sorted(draining - self.drained)
            short = [s for s in steps if not isinstance(s, LongStep)]
            if short:
                self.do(short[0])
            elif steps and not (waiting and data.draw(st.booleans())):
                self.do(data.draw(st.sampled_from(steps)))
            elif waiting:
                self.drained.add(waiting[0])
            else:
                return
            check(self)
        raise AssertionError(f"no end: {self.log[-20:]}")


@st.composite
def updates(draw: st.DrawFn) -> World:
    """An update from one to three replicas of ``a`` to a config that has ``a`` anew, carried on, or with ``b``."""
    policy = UpdatePolicy(
        when_no_room=draw(st.sampled_from(["refuse", "hold"])),
        gate={} if draw(st.booleans()) else None,
    )
    new = draw(
        st.sampled_from(
            [
                [entity("a")],
                [entity("a", since=1)],
                [entity("a"), entity("b")],
                [entity("a", since=1), entity("b")],
                [entity("b")],
            ]
        )
    )
    configs = {1: config(1, [entity("a")]), 2: config(2, new, update=policy)}
    count = draw(st.integers(0, 3))
    needs = {key: draw(st.integers(1, 3)) for key in configs[2].entity_keys()}
    if "e:1:a" in needs:
        needs["e:1:a"] = draw(st.integers(0, 3))
    wanted = {"e:1:a": count} | {k: n for k, n in needs.items() if k != "e:1:a"}
    world = World(
        UPDATING,
        configs,
        wanted,
        needs,
        room=draw(st.integers(max(1, count), 8)),
        good=draw(st.booleans()),
        prepared={"e:1:a"},
    )
    for _ in range(count):
        world.add(1, "a", ReplicaPhase.READY)
    return world


@given(updates(), st.data())
def test_an_update_ends_and_the_old_config_keeps_its_replicas_until_the_new_one_is_ready(
    world: World, data: st.DataObject
) -> None:
    had = world.ready(1)
    carried = "e:1:a" in world.needs

    def check(now: World) -> None:
        pending = now.endpoint.pending is not None
        if pending and not now.endpoint.swap_since:
            assert now.ready(1) >= had, "the active config lost a replica"
        if now.endpoint.swap_since:
            assert now.configs[2].update.when_no_room == "hold"  # type: ignore[union-attr]
        if now.endpoint.active == 2 and now.log[-1] == Promote(2):
            for key, count in now.needs.items():
                up = [r for r in now.replicas.values() if r.key == key]
                assert sum(r.phase is ReplicaPhase.READY for r in up) >= count

    world.run(data, check)
    assert world.endpoint.pending is None
    if world.endpoint.active == 2:
        assert carried or world.ready(1) == 0, "the old replicas are gone"
        assert len(world.replicas) == sum(max(world.wanted[k], 0) for k in world.needs)
    else:
        assert world.ready(1) == world.wanted["e:1:a"], "the old config serves as before"
        assert all(r.version == 1 for r in world.replicas.values()), "nothing of the new is left"
    fails = [s for s in world.log if isinstance(s, Fail)]
    assert bool(fails) == (world.endpoint.active == 1)


@given(updates(), st.data(), st.integers(0, 30))
def test_a_cancel_at_any_moment_leaves_the_old_config_serving(
    world: World, data: st.DataObject, moment: int
) -> None:
    def check(now: World) -> None:
        if len(now.log) >= moment and now.endpoint.pending is not None:
            now.end(ConfigUpdate.UPDATE_CANCELED)

    world.run(data, check)
    if world.endpoint.update is ConfigUpdate.UPDATE_CANCELED:
        assert world.ready(1) == world.wanted["e:1:a"]
        assert all(r.version == 1 for r in world.replicas.values())


@given(st.integers(0, 4), st.integers(0, 6), st.booleans(), st.data())
def test_a_reload_replaces_one_at_a_time_and_never_takes_what_is_ready_before(
    count: int, room: int, good: bool, data: st.DataObject
) -> None:
    world = World(
        replace(SERVING, reload_asked=900),
        {1: config(1, [entity("a")])},
        {"e:1:a": count},
        {},
        room=room,
        good=good,
        prepared={"e:1:a"},
    )
    old = {world.add(1, "a", ReplicaPhase.READY) for _ in range(count)}
    world.stale = set(old)

    def check(now: World) -> None:
        assert now.ready(1) >= count, "fresh first"
        assert len(now.replicas) <= count + 1, "one at a time"

    world.run(data, check)
    assert world.endpoint.reload_asked == 0
    assert world.ready(1) == count
    replaced = not old & set(world.replicas)
    assert replaced == ((good and room > count) or count == 0)


@given(st.integers(1, 4), st.lists(st.integers(1, 4), max_size=6), st.data())
def test_a_reload_ends_and_keeps_the_capacity_while_the_load_goes_up_and_down(
    count: int, loads: list[int], data: st.DataObject
) -> None:
    world = World(
        replace(SERVING, reload_asked=900),
        {1: config(1, [entity("a")])},
        {"e:1:a": count},
        {},
        prepared={"e:1:a"},
    )
    old = {world.add(1, "a", ReplicaPhase.READY) for _ in range(count)}
    world.stale = set(old)
    before = [count]

    def check(now: World) -> None:
        assert now.ready(1) >= min(before[0], now.wanted["e:1:a"])
        if loads and data.draw(st.booleans()):
            now.wanted["e:1:a"] = loads.pop()
        before[0] = now.ready(1)

    world.run(data, check)
    assert world.endpoint.reload_asked == 0
    assert world.ready(1) == len(world.replicas) == world.wanted["e:1:a"]
    assert not old & set(world.replicas)


def test_what_an_update_carries_on_is_promoted_without_a_step_in_between() -> None:
    configs = {1: config(1, [entity("a")]), 2: config(2, [entity("a", since=1)])}
    world = World(UPDATING, configs, {"e:1:a": 1}, {"e:1:a": 1}, prepared={"e:1:a"})
    world.add(1, "a", ReplicaPhase.READY)
    assert plan(world.view()) == [Promote(2)]
    world.do(Promote(2))
    assert plan(world.view()) == []


def test_a_traffic_split_that_moves_to_a_carried_entity_waits_for_its_capacity() -> None:
    both = [entity("a", since=1), entity("b", since=1)]
    configs = {1: config(1, [entity("a"), entity("b")]), 2: config(2, both)}
    wanted = {"e:1:a": 2, "e:1:b": 1}
    world = World(UPDATING, configs, wanted, {"e:1:a": 0, "e:1:b": 2}, prepared=set(wanted))
    for name in "aab":
        world.add(1, name, ReplicaPhase.READY)
    assert plan(world.view()) == [Add(1, "b", 1)]


def test_a_gate_is_tried_once_everything_is_ready_and_decides() -> None:
    gated = config(2, [entity("a")], update=UpdatePolicy(gate={}))
    world = World(
        UPDATING,
        {1: config(1, [entity("a")]), 2: gated},
        {"e:1:a": 0, "e:2:a": 1},
        {"e:2:a": 1},
        prepared={"e:1:a", "e:2:a"},
    )
    world.add(2, "a", ReplicaPhase.READY)
    assert plan(world.view()) == [Try(2)]
    world.configs[2] = replace(gated, verdict={"passed": True})
    assert plan(world.view()) == [Promote(2)]
    world.configs[2] = replace(gated, verdict={"passed": False, "text": "3 rows differ"})
    assert plan(world.view()) == [Fail(2, "3 rows differ")]
