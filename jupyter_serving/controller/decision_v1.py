"""The autoscaling decision: one pure function of recorded inputs.

Concurrency-based, after Knative's autoscaler: wanted = ceil(busy / (target utilisation x slots per replica)). Up at
once; down by the maximum wanted over the scale-down window; to zero when idle for the idle time. A decision carries its
inputs and a sentence, so it can be stored, explained and replayed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..workloads import Capacity


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a decision depends on.

    Attributes:
        capacity: bounds in slots, and the slots of one replica.
        busy: requests in flight and queued, averaged over the last second.
        held: requests that wait because no replica is ready.
        current: replicas wanted so far.
        peak: the largest number of replicas wanted within the scale-down window.
        idle: seconds since the last request arrived or finished.
        idle_limit: idle seconds after which the endpoint goes to zero; inf keeps it up.
        target_utilisation: share of slots to keep busy, in (0, 1].
    """

    capacity: Capacity
    busy: float
    held: int
    current: int
    peak: int
    idle: float
    idle_limit: float
    target_utilisation: float = 0.7


@dataclass(frozen=True, slots=True)
class Decision:
    """Replicas wanted from now on, and why."""

    wanted: int
    reason: str


def needed(busy: float, slots: int, target_utilisation: float) -> int:
    """Replicas that keep ``busy`` requests at the target utilisation; 0 for none."""
    return math.ceil(busy / (slots * target_utilisation)) if busy > 0 else 0


def decide(inputs: Inputs) -> Decision:
    """Return how many replicas are wanted now.

    Never outside ``capacity.min_replicas .. capacity.max_replicas``; held requests always get at least one replica,
    max(1, ceil(held / slots)) of them at once.
    """
    capacity = inputs.capacity
    low, high = capacity.min_replicas, capacity.max_replicas
    slots = capacity.slots_per_replica
    load = needed(inputs.busy, slots, inputs.target_utilisation)
    # With one replica of all the slots that the endpoint may have, utilisation above target cannot be helped.
    woken = max(1, math.ceil(inputs.held / slots)) if inputs.held else 0
    wish = min(high, max(low, load, woken))
    if wish > inputs.current:
        cause = f"{inputs.held} held requests" if woken >= load else f"{inputs.busy:.1f} busy slots"
        return Decision(wish, f"up from {inputs.current} to {wish}: {cause}")
    if low == 0 and not inputs.held and inputs.busy == 0 and inputs.idle >= inputs.idle_limit:
        if inputs.current == 0:
            return Decision(0, "at zero: no request has arrived")
        return Decision(0, f"down to zero: idle for {inputs.idle:.0f} s")
    floor = max(low, min(1, inputs.current))
    down = min(inputs.current, max(wish, min(inputs.peak, high), floor))
    if down < inputs.current:
        return Decision(down, f"down from {inputs.current} to {down}: the window's maximum")
    return Decision(inputs.current, f"{inputs.current} kept")
