"""Inputs of decisions for property tests: anything that the controller could see."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from jupyter_serving.autoscale.policy import Inputs

LOADS = st.one_of(st.just(0.0), st.integers(0, 40).map(float), st.floats(0, 500))
COUNTS = st.integers(0, 60).map(float)
SECONDS = st.one_of(st.just(math.inf), st.just(0.0), st.floats(0, 4000))


@st.composite
def inputs(draw: st.DrawFn) -> Inputs:
    """One consistent set: held requests wait while nothing is ready, others while something is."""
    low = draw(st.integers(0, 5))
    ready = draw(COUNTS)
    queued = draw(LOADS)
    return Inputs(
        min_replicas=float(low),
        max_replicas=float(low + draw(st.integers(0 if low else 1, 30))),
        slots=draw(st.sampled_from([1.0, 4.0])),
        target=draw(st.sampled_from([0.05, 0.3, 0.7, 1.0])),
        stable=draw(LOADS),
        panic=draw(LOADS),
        waiting=queued if ready else 0.0,
        busy=draw(LOADS),
        held=0.0 if ready else queued,
        ready=ready,
        current=draw(COUNTS),
        peak=draw(COUNTS),
        idle=draw(SECONDS),
        idle_limit=draw(st.sampled_from([0.5, 1800.0, math.inf])),
        calm=draw(SECONDS),
        age=draw(SECONDS),
        stable_window=draw(st.sampled_from([6.0, 60.0])),
        panic_threshold=draw(st.sampled_from([1.1, 2.0, 10.0])),
        max_up_rate=draw(st.sampled_from([1.1, 2.0, 1000.0])),
        max_down_rate=draw(st.sampled_from([1.1, 2.0, 1000.0])),
        room=draw(st.one_of(st.just(math.inf), COUNTS)),
        pressed=draw(st.sampled_from([0.0, 1.0])),
    )
