"""Wire types of what was observed (all ours): events, starts. Times are epoch milliseconds, durations seconds."""

from __future__ import annotations

from typing import Any

import msgspec

from .api import Wire


class Event(Wire):
    """Ours: one transition; ``id`` grows within the store, ``timestamp`` is epoch milliseconds."""

    id: int
    timestamp: int
    type: str
    message: str
    endpoint: str
    served_entity: str = ""
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class Start(Wire):
    """Ours: one start of a replica as a waterfall; all phases in seconds."""

    replica: str
    served_entity: str
    reason: str
    started_at: int
    total_seconds: float | None = None
    phases: dict[str, float] = msgspec.field(default_factory=dict)
