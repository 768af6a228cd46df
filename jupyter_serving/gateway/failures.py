"""What a client is told when its request cannot be answered after all (pure)."""

from __future__ import annotations

import math
from typing import Literal

from ..errors import DeadlineExceeded, Overloaded, ReplicaLost
from .queue import QueueFull
from .routes import Routed

RETRY_COLD_SECONDS = 5.0


def lost(routed: Routed, reason: str) -> ReplicaLost:
    """The replica is gone and may have run the request."""
    return ReplicaLost(
        f"The replica of served entity {routed.entity.name!r} of endpoint {routed.endpoint.name!r} died while it held "
        f"the request: {reason}.",
        hint="The request may have run, so it was not sent to another replica. The replica's log says more.",
    )


def late(routed: Routed, where: Literal["cold", "queue", "model"]) -> DeadlineExceeded:
    """The deadline passed: before a first replica was ready, in the queue, or at the replica."""
    name, limit = routed.endpoint.name, f"{routed.endpoint.deadline:g} s"
    said = {
        "cold": f"No replica of endpoint {name!r} became ready within the deadline of {limit}.",
        "queue": f"The request waited for a free slot of endpoint {name!r} until the deadline of {limit}.",
        "model": f"The model of endpoint {name!r} did not answer within the deadline of {limit}.",
    }
    hint = {
        "cold": "The endpoint's events and logs say how far its start is.",
        "queue": "Allow more concurrency, or send fewer requests at once.",
        "model": "Send fewer rows per request, or raise the setting request_deadline_seconds.",
    }
    return DeadlineExceeded(said[where], hint=hint[where])


def retry_after(waiting: int, rate: float, longest: float) -> float:
    """Whole seconds until ``waiting`` requests are worked off at ``rate`` per second: 1 … ``longest``, 5 at rate 0."""
    seconds = math.ceil(waiting / rate) if rate else RETRY_COLD_SECONDS
    return max(1.0, min(seconds, math.ceil(longest)))


def overloaded(routed: Routed, full: QueueFull, rate: float) -> Overloaded:
    """The queue is full; told with the time after which it will have been worked off at ``rate`` per second."""
    endpoint = routed.endpoint
    return Overloaded(
        f"Too many requests: {full.waiting} wait already for served entity {routed.entity.name!r} of "
        f"endpoint {endpoint.name!r} (limit {full.limit}).",
        hint="Send fewer at once, or allow more concurrency.",
        retry_after=retry_after(full.waiting, rate, endpoint.deadline),
    )
