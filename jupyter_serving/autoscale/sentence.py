"""A decision of the autoscaler in one sentence with its numbers, for a reader who does not know the algorithm."""

from __future__ import annotations

import math

from .policy import Cause, Decision, Inputs


def explain(inputs: Inputs, decision: Decision) -> str:
    """Say what was decided and what it followed from; floats only, not arrays."""
    return f"{_change(inputs, decision)}: {_because(inputs, decision)}."


def load_in_words(inputs: Inputs, decision: Decision) -> str:
    """The load that asks for ``decision.desired`` replicas: which figure it is, and what one replica is to carry."""
    i = inputs
    share = i.slots * i.target
    carries = (
        f"one replica is to carry {_n(share)} of its {_slots(i.slots)} (target {i.target:.0%})"
    )
    if i.held > 0 and max(1.0, math.ceil(i.held / i.slots)) >= decision.desired:
        return (
            f"requests for {_slots(i.held)} are held while no replica is ready, and one replica has "
            f"{_slots(i.slots)}"
        )
    if i.waiting > 0 and math.ceil((i.busy + i.waiting) / i.slots - 1e-6) >= decision.desired:
        return (
            f"requests for {_slots(i.waiting)} wait and for {_slots(i.busy)} run just now, and one replica has "
            f"{_slots(i.slots)}"
        )
    window, mean = (i.panic_window, i.panic) if i.panic > i.stable else (i.stable_window, i.stable)
    return f"the mean load of the last {_seconds(window)} was {_slots(mean)}, and {carries}"


def _change(i: Inputs, d: Decision) -> str:
    if d.wanted > i.current:
        return f"Up from {_n(i.current)} to {_replicas(d.wanted)}"
    if d.wanted < i.current:
        return f"Down from {_n(i.current)} to {_replicas(d.wanted)}"
    return f"{_replicas(d.wanted)} kept" if d.wanted else "No replica is wanted"


def _because(i: Inputs, d: Decision) -> str:
    asks = f"the load asks for {_n(d.desired)}"
    seen = f"{asks} ({load_in_words(i, d)})"
    match Cause(int(d.cause)):
        case Cause.LOAD | Cause.BURST | Cause.WAITING | Cause.HELD:
            return load_in_words(i, d)
        case Cause.FITS:
            return f"that is what the load asks for ({load_in_words(i, d)})"
        case Cause.LESS:
            at_most = max(i.peak, d.desired)
            return f"within the last {_seconds(i.scale_down_window)} the load asked for at most {_n(at_most)}"
        case Cause.IDLE:
            limit = _seconds(i.idle_limit)
            return f"no request for {_seconds(i.idle)}, and after {limit} without one the endpoint goes to zero"
        case Cause.AT_ZERO:
            last = (
                "none has come yet" if math.isinf(i.idle) else f"the last one came {_ago(i.idle)}"
            )
            return f"no request runs or waits, {last}"
        case Cause.MINIMUM:
            least = (
                f"at least {_n(i.min_replicas)} (the minimum, or what an update under way needs)"
            )
            return f"{least}, {asks}"
        case Cause.MAXIMUM if d.desired > i.max_replicas:
            return f"{_n(i.max_replicas)} is the most that is allowed, though {seen}"
        case Cause.MAXIMUM:
            return f"{_n(i.max_replicas)} is the most that is allowed now, {asks}"
        case Cause.UP_RATE:
            factor = f"{_n(i.max_up_rate)} times the {_n(max(i.ready, 1))} ready"
            return f"one step goes to at most {factor} (or what there is), though {seen}"
        case Cause.DOWN_RATE:
            return f"one step down divides by at most {_n(i.max_down_rate)}, {asks}"
        case Cause.ROOM:
            return f"the host has room for {_n(i.room)} (one is tried and what is ready stays), though {_goal(i, d)}"
        case Cause.PRESSURE:
            return (
                f"the host is contended (CPU or memory), so nothing is added, though {_goal(i, d)}"
            )
        case Cause.RESTARTED:
            rest = f"the controller began to watch {_seconds(i.age)} ago and gives nothing up for"
            return f"{rest} {_seconds(i.stable_window)}, {asks} so far"
        case Cause.PANIC:
            burst = f"a burst asked for {_n(i.panic_threshold)} times what was ready or more {_ago(i.calm)}"
            if d.alarm:
                burst = f"a burst asks for {_n(i.panic_threshold)} times what is ready or more"
            return f"{burst}, and nothing is given up for {_seconds(i.stable_window)} after that, {asks} now"
        case Cause.PEAK:
            window = _seconds(i.scale_down_window)
            return f"within the last {window} the load asked for {_n(i.peak)}, {asks} now"
        case Cause.NOT_IDLE_YET:
            return (
                f"the last one goes after {_idle_rule(i)}, and the last request was {_ago(i.idle)}"
            )


def _goal(i: Inputs, d: Decision) -> str:
    if d.desired >= i.min_replicas:
        return f"the load asks for {_n(d.desired)} ({load_in_words(i, d)})"
    return f"{_n(i.min_replicas)} is the least that is wanted"


def _idle_rule(i: Inputs) -> str:
    if math.isinf(i.idle_limit):
        return "no idle time at all (scale to zero is off)"
    return f"{_seconds(i.idle_limit)} without a request"


def _ago(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{_seconds(seconds)} ago"


def _seconds(value: float) -> str:
    return "ever" if math.isinf(value) else f"{_n(value)} s"


def _slots(value: float) -> str:
    return f"{_n(value)} slot{'' if _n(value) == '1' else 's'}"


def _replicas(value: float) -> str:
    return f"{_n(value)} replica{'' if value == 1 else 's'}"


def _n(value: float) -> str:
    if value == round(value) or value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 0.01 else "under 0.01"
