"""Derived states: no combination of records is without a phase, and the waiter's contract holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_serving.api import ConfigUpdate, Phase, Ready
from jupyter_serving.controller import phases
from jupyter_serving.controller.records import EndpointRecord, ReplicaPhase, ReplicaRecord, Wanted

BASE = EndpointRecord(id="e", name="iris", creator="me", created=0, updated=0)
READY = ReplicaRecord(
    id="r",
    endpoint="e",
    version=1,
    entity="a",
    phase=ReplicaPhase.READY,
    backend="process",
    slots=4,
    reason="deploy",
    created=0,
)


@pytest.mark.parametrize(
    ("endpoint", "replicas", "wanted", "phase"),
    [
        (replace(BASE, pending=1), [], 1, Phase.CREATING),
        (replace(BASE, failed=1), [], 0, Phase.FAILED),
        (replace(BASE, active=1), [READY], 1, Phase.READY),
        (replace(BASE, active=1), [], 0, Phase.SCALED_TO_ZERO),
        (replace(BASE, active=1), [], 1, Phase.STARTING),
        (replace(BASE, active=1, pending=2), [READY], 1, Phase.UPDATING),
        (
            replace(BASE, active=1, update=ConfigUpdate.UPDATE_FAILED),
            [READY],
            1,
            Phase.UPDATE_FAILED,
        ),
        (replace(BASE, active=1, wanted=Wanted.STOPPED), [READY], 1, Phase.STOPPING),
        (replace(BASE, active=1, wanted=Wanted.STOPPED), [], 0, Phase.STOPPED),
        (replace(BASE, active=1, wanted=Wanted.DELETED), [], 0, Phase.DELETING),
    ],
)
def test_the_phase_of_an_endpoint(
    endpoint: EndpointRecord, replicas: list[ReplicaRecord], wanted: int, phase: Phase
) -> None:
    assert phases.endpoint_phase(endpoint, replicas, {READY.key}, wanted, checking=False) is phase


def test_after_a_restart_an_endpoint_is_being_checked() -> None:
    assert (
        phases.endpoint_phase(replace(BASE, active=1), [], (), 0, checking=True) is Phase.CHECKING
    )


def test_scaled_to_zero_is_ready_and_stopped_is_not() -> None:
    assert phases.readiness(replace(BASE, active=1)) is Ready.READY
    assert phases.readiness(replace(BASE, active=1, wanted=Wanted.STOPPED)) is Ready.NOT_READY
    assert phases.readiness(replace(BASE, pending=1)) is Ready.NOT_READY


@given(st.sampled_from(list(ReplicaPhase)), st.sampled_from(list(ReplicaPhase)))
def test_a_replica_goes_back_only_from_draining(now: ReplicaPhase, to: ReplicaPhase) -> None:
    order = list(ReplicaPhase)
    if to in phases.REPLICA_MOVES[now]:
        back = (now, to) == (ReplicaPhase.DRAINING, ReplicaPhase.READY)
        assert back or order.index(to) > order.index(now)
        assert phases.move_replica(replace(READY, phase=now), to) is to
    else:
        with pytest.raises(phases.IllegalMove):
            phases.move_replica(replace(READY, phase=now), to)


def test_a_second_update_cannot_begin_while_one_runs() -> None:
    with pytest.raises(phases.IllegalMove):
        phases.move_update(ConfigUpdate.IN_PROGRESS, ConfigUpdate.IN_PROGRESS)
