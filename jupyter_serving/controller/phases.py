"""Legal transitions and derived states; pure.

A replica moves along ``REPLICA_MOVES`` only. What a person sees of an endpoint (``Phase``, ``ready``, deployment state
of an entity) is derived from its records and replicas, so that it can never contradict them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..api import ConfigUpdate, Deployment, LiveReplicas, Phase, Ready
from .records import EndpointRecord, EntityRecord, ReplicaPhase, ReplicaRecord, Wanted

# From -> to. A replica record leaves the store from STARTING (start failed), READY (it died) or STOPPING (it is gone).
REPLICA_MOVES: dict[ReplicaPhase, frozenset[ReplicaPhase]] = {
    ReplicaPhase.STARTING: frozenset({ReplicaPhase.READY, ReplicaPhase.STOPPING}),
    ReplicaPhase.READY: frozenset({ReplicaPhase.DRAINING, ReplicaPhase.STOPPING}),
    # Back to READY: it has not been told to end, so a request that came meanwhile need not wait for a new one.
    ReplicaPhase.DRAINING: frozenset({ReplicaPhase.READY, ReplicaPhase.STOPPING}),
    ReplicaPhase.STOPPING: frozenset(),
}

# A config update moves along these; IN_PROGRESS to itself is refused (one update at a time). A reload fails without
# one, and is well again without one.
UPDATE_MOVES: dict[ConfigUpdate, frozenset[ConfigUpdate]] = {
    ConfigUpdate.NOT_UPDATING: frozenset({ConfigUpdate.IN_PROGRESS, ConfigUpdate.UPDATE_FAILED}),
    ConfigUpdate.IN_PROGRESS: frozenset(
        {ConfigUpdate.NOT_UPDATING, ConfigUpdate.UPDATE_FAILED, ConfigUpdate.UPDATE_CANCELED}
    ),
    ConfigUpdate.UPDATE_FAILED: frozenset(
        {ConfigUpdate.IN_PROGRESS, ConfigUpdate.UPDATE_FAILED, ConfigUpdate.NOT_UPDATING}
    ),
    ConfigUpdate.UPDATE_CANCELED: frozenset({ConfigUpdate.IN_PROGRESS, ConfigUpdate.UPDATE_FAILED}),
}


class IllegalMove(Exception):
    """A transition that the tables do not allow: a defect of ours, never a user's fault."""


def move_replica(record: ReplicaRecord, to: ReplicaPhase) -> ReplicaPhase:
    """Return ``to`` if the replica may go there.

    Raises:
        IllegalMove: it may not.
    """
    if to not in REPLICA_MOVES[record.phase]:
        raise IllegalMove(f"replica {record.id}: {record.phase} -> {to}")
    return to


def move_update(now: ConfigUpdate, to: ConfigUpdate) -> ConfigUpdate:
    """Return ``to`` if the update state may go there.

    Raises:
        IllegalMove: it may not.
    """
    if to not in UPDATE_MOVES[now]:
        raise IllegalMove(f"config update: {now} -> {to}")
    return to


def count(replicas: Iterable[ReplicaRecord], keys: Collection[str], wanted: int) -> LiveReplicas:
    """Replicas by state; of those that are ready only the ones with these entity keys (the active config's) count."""
    tally = LiveReplicas(wanted=wanted)
    for replica in replicas:
        if replica.phase in (ReplicaPhase.DRAINING, ReplicaPhase.STOPPING):
            tally.draining += 1
        elif replica.phase is ReplicaPhase.STARTING:
            tally.starting += 1
        elif replica.key in keys:
            tally.ready += 1
    return tally


def endpoint_phase(
    endpoint: EndpointRecord,
    replicas: Collection[ReplicaRecord],
    keys: Collection[str],
    wanted: int,
    checking: bool,
) -> Phase:
    """The one word for what the endpoint does.

    Args:
        endpoint: its record.
        replicas: all its replicas, of any config version.
        keys: entity keys of the active config.
        wanted: replicas that the autoscaler wants for the active config.
        checking: the controller has restarted and not yet verified this endpoint's replicas.
    """
    if endpoint.wanted is Wanted.DELETED:
        return Phase.DELETING
    if endpoint.wanted is Wanted.STOPPED:
        return Phase.STOPPING if replicas else Phase.STOPPED
    if checking:
        return Phase.CHECKING
    if endpoint.active is None:
        return Phase.CREATING if endpoint.pending is not None else Phase.FAILED
    if endpoint.pending is not None:
        return Phase.UPDATING
    if endpoint.update is ConfigUpdate.UPDATE_FAILED:
        return Phase.UPDATE_FAILED
    tally = count(replicas, keys, wanted)
    if tally.ready:
        return Phase.READY
    return Phase.STARTING if wanted or tally.starting else Phase.SCALED_TO_ZERO


def readiness(endpoint: EndpointRecord) -> Ready:
    """READY: the active config has been ready and is not stopped; scaled to zero counts as ready."""
    runs = endpoint.wanted is Wanted.RUNNING and endpoint.active is not None
    return Ready.READY if runs else Ready.NOT_READY


def deployment(
    entity: EntityRecord, active: bool, replicas: Collection[ReplicaRecord], aborted: bool
) -> Deployment:
    """Deployment state of one served entity; ``replicas`` are its own; ``aborted``: its update was ended."""
    if entity.failure:
        return Deployment.FAILED
    if aborted:
        return Deployment.ABORTED
    if not active:
        return Deployment.CREATING
    ready = any(r.phase is ReplicaPhase.READY for r in replicas)
    return Deployment.RECOVERING if not ready and _replacing(replicas) else Deployment.READY


def _replacing(replicas: Collection[ReplicaRecord]) -> bool:
    return any(r.phase is ReplicaPhase.STARTING and r.reason == "replace" for r in replicas)
