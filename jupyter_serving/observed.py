"""Wire types of what was observed (all ours): events, starts, versions.

Times are epoch milliseconds, durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .api import ConfigState, TrafficConfig, Wire


class Event(Wire):
    """Ours: one transition; ``id`` grows within the store, ``timestamp`` is epoch milliseconds."""

    id: int
    timestamp: int
    type: str
    message: str
    endpoint: str
    served_entity: str = ""
    details: dict[str, Any] = msgspec.field(default_factory=dict)


# Phases of a start that are not part of getting ready: waits before it, and the first answer after it.
NOT_STARTING = ("held", "decision", "first_byte")


def ready_seconds(phases: Mapping[str, float]) -> float:
    """Seconds of a start from the decision to a replica in the routing."""
    return sum(seconds for name, seconds in phases.items() if name not in NOT_STARTING)


class Start(Wire):
    """Ours: one start of a replica as a waterfall; all phases in seconds.

    ``imports``: the slowest ten (package, its own seconds); ``imports_whole``: the same packages with what they brought
    along. ``zygote``: ``resident``, ``started`` (for this start) or ``none``. ``memory_bytes``: the most that a replica
    of its model was measured to hold (proportional; 0: not yet). ``remedy``: what would save most. ``failed``: the
    phase it failed in, ``error`` why; both empty where it did not.
    """

    replica: str
    served_entity: str
    reason: str
    started_at: int
    total_seconds: float | None = None
    phases: dict[str, float] = msgspec.field(default_factory=dict)
    config_version: int = 0
    imports: list[tuple[str, float]] = msgspec.field(default_factory=list)
    imports_whole: dict[str, float] = msgspec.field(default_factory=dict)
    zygote: str = ""
    memory_bytes: int = 0
    model_bytes: int = 0
    remedy: str = ""
    failed: str = ""
    error: str = ""


class ConfigVersion(Wire):
    """Ours: one config version: when and by whom it was made, what became of it, what it serves.

    ``end_timestamp``: when its update ended; ``content_of``: version that a rollback or a start made it from. Each
    served entity has ``since``, the version whose replicas serve it.
    """

    config_version: int
    state: ConfigState
    creator: str
    creation_timestamp: int
    end_timestamp: int | None = None
    message: str = ""
    content_of: int | None = None
    served_entities: list[dict[str, Any]] = msgspec.field(default_factory=list)
    traffic_config: TrafficConfig | None = None


class Decision(Wire, omit_defaults=False):
    """Ours: one decision of the autoscaler that changed the wanted replicas, or met another bound than before.

    ``inputs`` are those of ``autoscale.policy.Inputs``; infinite ones are left out.
    """

    served_entity: str
    config_version: int
    at: int
    wanted_before: int
    wanted: int
    inputs: dict[str, float]
    reason: str


class Scaled(Wire):
    """Ours: how one served entity is scaled just now.

    ``last`` has ``at``, ``wanted``, ``ready``, ``inputs`` and ``reason``, a sentence; ``advice`` what would fit better.
    """

    served_entity: str
    config_version: int
    rules: dict[str, float] = msgspec.field(default_factory=dict)
    bounds: dict[str, Any] = msgspec.field(default_factory=dict)
    last: dict[str, Any] = msgspec.field(default_factory=dict)
    advice: dict[str, Any] | None = None


class Autoscaling(Wire, omit_defaults=False):
    """Ours: why so many replicas: served entities as they are, and the last decisions, oldest first."""

    served_entities: list[Scaled]
    decisions: list[Decision]
