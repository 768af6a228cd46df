"""What is counted per served entity: deltas and time integrals; time is injected."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.gateway.meter import Meter
from jupyter_serving.gateway.queue import Lane
from jupyter_serving.metrics.window import Histogram

LANE: Lane[Any] = Lane("k", 10)


def test_the_integrals_are_those_of_what_ran_and_waited() -> None:
    meter = Meter()
    meter.arrived(0.0)
    meter.started(100.0, 0.0)
    meter.arrived(0.0)
    meter.queued(101.0)
    meter.finished(200, 3.0, 103.0)
    meter.unqueued(103.0)
    meter.started(103.0, 2.0)
    first = meter.report(LANE, 104.0, 1.0)
    assert first is not None
    assert (first["busy_seconds"], first["waiting_seconds"]) == (4.0, 2.0)
    waits = Histogram(first["waits"])
    assert waits.count == 2
    assert waits.quantile(1.0) == pytest.approx(2.0, rel=0.05)
    meter.finished(200, 4.0, 105.0)
    second = meter.report(LANE, 105.5, 1.5)
    assert second is not None
    assert (second["busy_seconds"], second["waiting_seconds"], second["waits"]) == (1.0, 0.0, [])
    assert second["seconds"] == 1.5
    assert meter.report(LANE, 106.5, 1.0) is None


def test_a_request_that_lost_its_slot_ran_until_then_and_waits_again() -> None:
    meter = Meter()
    meter.started(10.0, 0.0)
    meter.stopped(12.0)
    meter.queued(12.0)
    told = meter.report(LANE, 13.0, 3.0)
    assert told is not None
    assert (told["busy_seconds"], told["waiting_seconds"], told["in_flight"]) == (2.0, 1.0, 0)


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 3), st.floats(0, 3)), max_size=30),
    st.floats(0.1, 2.0),
)
def test_reports_add_up_to_the_sums_over_the_requests(
    requests: list[tuple[float, float, float]], period: float
) -> None:
    """Each request: seconds after the one before, seconds of waiting, seconds of running."""
    events: list[tuple[float, int, str, float]] = []
    at = 0.0
    for number, (gap, waits, runs) in enumerate(requests):
        at += gap
        for offset, event, argument in (
            (0.0, "queued", 0.0),
            (waits, "started", waits),
            (waits + runs, "finished", waits + runs),
        ):
            events.append((at + offset, number, event, argument))
    meter, busy, waiting, due = Meter(), 0.0, 0.0, period
    for moment, _, event, argument in [*sorted(events), (at + 10.0, 0, "end", 0.0)]:
        while due <= moment:
            told = meter.report(LANE, due, period) or {"busy_seconds": 0, "waiting_seconds": 0}
            busy += told["busy_seconds"]
            waiting += told["waiting_seconds"]
            due += period
        match event:
            case "queued":
                meter.queued(moment)
            case "started":
                meter.unqueued(moment)
                meter.started(moment, argument)
            case "finished":
                meter.finished(200, argument, moment)
    told = meter.report(LANE, at + 10.0, period) or {"busy_seconds": 0, "waiting_seconds": 0}
    slack = 1e-5 * (1 + len(requests) * 10)
    assert busy + told["busy_seconds"] == pytest.approx(sum(r for _, _, r in requests), abs=slack)
    assert waiting + told["waiting_seconds"] == pytest.approx(
        sum(w for _, w, _ in requests), abs=slack
    )
