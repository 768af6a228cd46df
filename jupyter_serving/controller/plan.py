"""What to do next for one endpoint: a pure function from desired and observed state to steps.

The reconciler calls ``plan`` again after every step, so a step is planned as long as its effect is missing: a crash
anywhere resumes, and a step that is no longer planned is cancelled. Steps that only change the store (``Add``,
``Move``, ``Promote``, ``Fail``, ``Forget``) are done at once; the others run beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from .records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
    Wanted,
    entity_key,
)


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring the model of an entity into the models directory."""

    version: int
    entity: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Make the environment of an entity."""

    version: int
    entity: str


@dataclass(frozen=True, slots=True)
class Place:
    """Start a replica and wait until it is ready."""

    replica: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop what is left of a replica and forget it."""

    replica: str


@dataclass(frozen=True, slots=True)
class Add:
    """Record ``count`` more replicas of an entity, to be placed."""

    version: int
    entity: str
    count: int


@dataclass(frozen=True, slots=True)
class Move:
    """Move a replica towards its end."""

    replica: str
    to: ReplicaPhase


@dataclass(frozen=True, slots=True)
class Promote:
    """Give the traffic to the pending config, which is ready."""

    version: int


@dataclass(frozen=True, slots=True)
class Fail:
    """End the update; the active config goes on."""

    version: int
    message: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the endpoint from the store: nothing of it is left."""


Step = Fetch | Stage | Place | Stop | Add | Move | Promote | Fail | Forget
LongStep = Fetch | Stage | Place | Stop


@dataclass(frozen=True, slots=True)
class View:
    """Everything that ``plan`` may know about one endpoint. Times are epoch milliseconds.

    ``wanted``, ``fetched``, ``staged`` and ``held_off`` are by entity key; ``held_off`` holds entities whose last start
    failed a moment ago. ``drained`` holds replicas without a request in flight that are out of the routing.
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


def plan(view: View) -> list[Step]:
    """Return the steps that are missing, in the order of their urgency."""
    if view.endpoint.wanted is not Wanted.RUNNING:
        steps = list(_retire(view, view.replicas))
        if not view.replicas and view.endpoint.wanted is Wanted.DELETED:
            steps.append(Forget())
        return steps
    live = {v for v in (view.endpoint.active, view.endpoint.pending) if v is not None}
    steps = list(_retire(view, [r for r in view.replicas if r.version not in live]))
    if view.endpoint.active is not None:
        for entity in view.configs[view.endpoint.active].entities:
            steps += _serve(view, view.endpoint.active, entity)
    if view.endpoint.pending is not None:
        steps += _advance(view, view.endpoint.pending)
    return steps


def _advance(view: View, version: int) -> list[Step]:
    """Steps of an update: fail it, prepare its entities, or promote it."""
    config = view.configs[version]
    failed = [e for e in config.entities if e.failure]
    if failed:
        return [Fail(version, failed[0].failure)]
    if view.now - view.endpoint.update_started > view.deploy_deadline:
        seconds = view.deploy_deadline // 1000
        text = f"The config did not become ready within {seconds} s (deploy_deadline_seconds)."
        return [Fail(version, text)]
    steps = [step for entity in config.entities for step in _serve(view, version, entity)]
    ready = all(_ready(view, version, e) >= _wanted(view, version, e) for e in config.entities)
    return [Promote(version)] if ready and not _preparing(steps) else steps


def _preparing(steps: Sequence[Step]) -> bool:
    return any(isinstance(step, Fetch | Stage | Add) for step in steps)


def _wanted(view: View, version: int, entity: EntityRecord) -> int:
    return view.wanted.get(entity_key(view.endpoint.id, version, entity.name), 0)


def _own(view: View, version: int, entity: EntityRecord) -> list[ReplicaRecord]:
    return [r for r in view.replicas if r.version == version and r.entity == entity.name]


def _ready(view: View, version: int, entity: EntityRecord) -> int:
    return sum(r.phase is ReplicaPhase.READY for r in _own(view, version, entity))


def _serve(view: View, version: int, entity: EntityRecord) -> Iterator[Step]:
    """Steps that bring an entity to the wanted number of replicas."""
    key = entity_key(view.endpoint.id, version, entity.name)
    own = _own(view, version, entity)
    up = [r for r in own if r.phase in (ReplicaPhase.STARTING, ReplicaPhase.READY)]
    wanted = _wanted(view, version, entity)
    yield from _retire(view, [r for r in own if r not in up])
    if len(up) > wanted:
        yield from _retire(view, _surplus(view, up, len(up) - wanted))
    kept = (
        up
        if len(up) <= wanted
        else [r for r in up if r not in _surplus(view, up, len(up) - wanted)]
    )
    if wanted and key not in view.fetched:
        if key not in view.held_off:
            yield Fetch(version, entity.name)
    elif wanted and key not in view.staged:
        if key not in view.held_off:
            yield Stage(version, entity.name)
    else:
        yield from (Place(r.id) for r in kept if r.phase is ReplicaPhase.STARTING)
        if len(up) < wanted and key not in view.held_off:
            yield Add(version, entity.name, wanted - len(up))


def _surplus(view: View, up: Sequence[ReplicaRecord], count: int) -> list[ReplicaRecord]:
    """The replicas to give up first: those still starting, then the emptiest, then the youngest."""

    def rank(replica: ReplicaRecord) -> tuple[bool, int, int]:
        starting = replica.phase is ReplicaPhase.STARTING
        return (not starting, view.in_flight.get(replica.id, 0), -replica.created)

    return sorted(up, key=rank)[:count]


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
