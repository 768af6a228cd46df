"""What to do next for one endpoint: a pure function from desired and observed state to steps.

The reconciler calls ``plan`` again after every step, so a step is planned as long as its effect is missing: a crash
anywhere resumes, and a step that is no longer planned is cancelled. Steps that only change the store are done at once;
the others run beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from .planned import (
    Add,
    EndReload,
    Fail,
    Fetch,
    Forget,
    Hold,
    LongStep,
    Move,
    Place,
    Promote,
    Stage,
    Step,
    Stop,
    Try,
)
from .records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
    Wanted,
)

__all__ = [
    "Add",
    "EndReload",
    "Fail",
    "Fetch",
    "Forget",
    "Hold",
    "LongStep",
    "Move",
    "Place",
    "Promote",
    "Stage",
    "Step",
    "Stop",
    "Try",
    "View",
    "plan",
]


@dataclass(frozen=True, slots=True)
class View:
    """Everything that ``plan`` may know about one endpoint. Times are epoch milliseconds.

    ``wanted``, ``fetched``, ``staged`` and ``held_off`` are by entity key; ``held_off`` holds entities whose last start
    failed a moment ago. ``drained`` holds replicas without a request in flight that are out of the routing. ``needs``:
    replicas that the pending config must have ready before it gets the traffic; ``short``: why those do not fit beside
    what is there, where they do not. ``stale``: replicas to be replaced by fresh ones; ``crowded``: why there is no
    room for one more of an entity. All of these by entity key, but ``stale`` by replica.
    """

    endpoint: EndpointRecord
    configs: Mapping[int, ConfigRecord]
    replicas: Sequence[ReplicaRecord]
    wanted: Mapping[str, int]
    fetched: Set[str]
    staged: Set[str]
    held_off: Set[str]
    drained: Set[str]
    in_flight: Mapping[str, int]
    now: int
    drain_grace: int
    deploy_deadline: int
    needs: Mapping[str, int] = field(default_factory=dict)
    short: Mapping[str, str] = field(default_factory=dict)
    stale: Set[str] = frozenset()
    crowded: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> ConfigRecord | None:
        """The config that has the traffic."""
        return None if self.endpoint.active is None else self.configs[self.endpoint.active]

    @property
    def pending(self) -> ConfigRecord | None:
        """The config that is to get it."""
        return None if self.endpoint.pending is None else self.configs[self.endpoint.pending]


def plan(view: View) -> list[Step]:
    """Return the steps that are missing, in the order of their urgency."""
    if view.endpoint.wanted is not Wanted.RUNNING:
        steps = list(_retire(view, view.replicas))
        if not view.replicas and view.endpoint.wanted is Wanted.DELETED:
            steps.append(Forget())
        return steps
    active, pending = view.active, view.pending
    present = set(active.entity_keys() if active else ())
    coming = set(pending.entity_keys() if pending else ())
    steps = list(_retire(view, [r for r in view.replicas if r.key not in present | coming]))
    for entity in active.entities if active else ():
        assert active is not None
        if view.endpoint.swap_since and pending and active.key(entity) not in coming:
            steps += _retire(view, _own(view, active.key(entity)))
        else:
            steps += _serve(view, active, entity)
    if pending is not None:
        steps += _advance(view, pending, present)
    elif active is not None:
        steps += _reloaded(view)
    return steps


# -- update ------------------------------------------------------------------------------------------------


def _advance(view: View, config: ConfigRecord, present: Set[str]) -> list[Step]:
    """Steps of an update: fail it, prepare all its entities, start them, try the gate, promote it.

    ``present``: keys of the active config; what the update carries on of it is served already.
    """
    fresh = [e for e in config.entities if config.key(e) not in present]
    failed = [e for e in fresh if e.failure]
    if failed:
        return [Fail(config.version, failed[0].failure)]
    if view.now - view.endpoint.update_started > view.deploy_deadline:
        seconds = view.deploy_deadline // 1000
        text = f"The config did not become ready within {seconds} s (update.deadline_seconds, deploy_deadline_seconds)."
        return [Fail(config.version, text)]
    missing = [step for entity in fresh for step in _prepare(view, config, entity)]
    if missing:
        return missing
    short = next((view.short[k] for k in map(config.key, fresh) if k in view.short), "")
    if short and not view.endpoint.swap_since:
        return [_no_room(view, config, short)]
    leaving = present - set(config.entity_keys())
    if view.endpoint.swap_since and any(r.key in leaving for r in view.replicas):
        return []  # the room that the old config still takes is counted on
    if short:
        return [Fail(config.version, short)]
    steps = [step for entity in fresh for step in _serve(view, config, entity)]
    if any(_ready(view, key) < view.needs.get(key, 0) for key in config.entity_keys()):
        return steps
    return _decide(view, config, steps)


def _no_room(view: View, config: ConfigRecord, why: str) -> Step:
    """Old and new do not fit side by side: the config says what happens then."""
    holds = config.update is not None and config.update.when_no_room == "hold"
    if holds and view.endpoint.active is not None:
        return Hold(config.version, why)
    return Fail(config.version, why)


def _decide(view: View, config: ConfigRecord, steps: list[Step]) -> list[Step]:
    """The pending config is ready: its gate says whether it gets the traffic."""
    if config.update is None or config.update.gate is None:
        return [Promote(config.version)]
    if config.verdict is None:
        return [*steps, Try(config.version)]
    if not config.verdict.get("passed"):
        return [Fail(config.version, str(config.verdict.get("text", "The gate was not passed.")))]
    return [Promote(config.version)]


def _prepare(view: View, config: ConfigRecord, entity: EntityRecord) -> Iterator[Step]:
    key = config.key(entity)
    if key in view.held_off:
        return
    if key not in view.fetched:
        yield Fetch(config.origin(entity), entity.name)
    elif key not in view.staged:
        yield Stage(config.origin(entity), entity.name)


# -- one served entity -------------------------------------------------------------------------------------


def _own(view: View, key: str) -> list[ReplicaRecord]:
    return [r for r in view.replicas if r.key == key]


def _ready(view: View, key: str) -> int:
    return sum(r.phase is ReplicaPhase.READY for r in _own(view, key))


def _serve(view: View, config: ConfigRecord, entity: EntityRecord) -> Iterator[Step]:
    """Steps that bring an entity to the wanted number of replicas, and fresh ones in the place of stale ones."""
    key = config.key(entity)
    own = _own(view, key)
    up = [r for r in own if r.phase in (ReplicaPhase.STARTING, ReplicaPhase.READY)]
    wanted = max(view.wanted.get(key, 0), view.needs.get(key, 0))
    back = _back(view, own, wanted - len(up))
    yield from (Move(r.id, ReplicaPhase.READY) for r in back)
    extra = _surge(view, key, own, up, wanted)
    surplus = _surplus(view, up, len(up) - wanted - extra)
    yield from _retire(view, [r for r in own if (r not in up and r not in back) or r in surplus])
    if wanted and not (key in view.fetched and key in view.staged):
        yield from _prepare(view, config, entity)
        return
    yield from (Place(r.id) for r in up if r.phase is ReplicaPhase.STARTING and r not in surplus)
    if key in view.held_off:
        return
    if len(up) + len(back) < wanted:
        yield Add(config.origin(entity), entity.name, wanted - len(up) - len(back))
    elif not back and len(up) < wanted + extra:
        # One surge at a time: with one under way, it is the load that asks for another.
        reason = "" if any(map(_surging, up)) else "reload"
        yield Add(config.origin(entity), entity.name, 1, reason)


def _back(view: View, own: Sequence[ReplicaRecord], missing: int) -> list[ReplicaRecord]:
    """Replicas to take back instead of starting others: those that have been draining for the shortest time."""
    draining = [r for r in own if r.phase is ReplicaPhase.DRAINING and r.id not in view.stale]
    return sorted(draining, key=lambda r: -r.draining_since)[: max(0, missing)]


def _surplus(view: View, up: Sequence[ReplicaRecord], count: int) -> list[ReplicaRecord]:
    """The replicas to give up first: those still starting, stale ones, then the emptiest, then the youngest.

    What a reload starts is meant for the place of a stale one, so it stays as long as there are such.
    """

    def rank(replica: ReplicaRecord) -> tuple[bool, bool, bool, int, int]:
        starting = replica.phase is ReplicaPhase.STARTING
        surge = _surging(replica)
        stale = replica.id in view.stale
        busy = view.in_flight.get(replica.id, 0)
        return (not starting or surge, not stale, not starting, busy, -replica.created)

    return sorted(up, key=rank)[: max(0, count)]


def _retire(view: View, replicas: Sequence[ReplicaRecord]) -> Iterator[Step]:
    """One step towards the end for each: out of routing, drained, stopped."""
    for replica in replicas:
        match replica.phase:
            case ReplicaPhase.STARTING:
                yield Move(replica.id, ReplicaPhase.STOPPING)
            case ReplicaPhase.READY:
                yield Move(replica.id, ReplicaPhase.DRAINING)
            case ReplicaPhase.DRAINING:
                late = view.now - replica.draining_since > view.drain_grace
                if late or replica.id in view.drained:
                    yield Move(replica.id, ReplicaPhase.STOPPING)
            case ReplicaPhase.STOPPING:
                yield Stop(replica.id)


# -- reload ------------------------------------------------------------------------------------------------


def _surge(
    view: View, key: str, own: Sequence[ReplicaRecord], up: Sequence[ReplicaRecord], wanted: int
) -> int:
    """1 while a fresh replica is to be up beside those wanted, in the place of a stale one; else 0.

    When it is ready there is one too many, and the stale one goes first.
    """
    ready = sum(r.phase is ReplicaPhase.READY for r in up)
    if not wanted or not any(r.id in view.stale for r in up):
        return 0
    if any(map(_surging, up)):
        return 1
    if ready > wanted:
        return 0
    # One at a time: the one that was replaced before has to be gone.
    return int(len(own) == len(up) and key not in view.crowded)


def _surging(replica: ReplicaRecord) -> bool:
    """True for a fresh replica of a reload that is not ready yet."""
    return replica.phase is ReplicaPhase.STARTING and replica.reason == "reload"


def _reloaded(view: View) -> Iterator[Step]:
    """End a reload that was asked for when nothing is stale any more, and any one for which there is no room."""
    stale = {r.key for r in view.replicas if r.id in view.stale}
    crowded = next((view.crowded[key] for key in sorted(stale) if key in view.crowded), "")
    # A surge that is up already has its room, and one that was replaced still gives its own back.
    moving = any(r.key in stale and r.phase is not ReplicaPhase.READY for r in view.replicas)
    if crowded and not moving:
        yield EndReload(crowded)
    elif view.endpoint.reload_asked and not stale:
        yield EndReload()
