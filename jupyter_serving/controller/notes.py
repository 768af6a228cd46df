"""What the answer to a deployment wants read: the price of scale to zero, once; pure."""

from __future__ import annotations

from ..settings import Settings
from ..workloads import workload_type
from .records import ConfigRecord
from .sizing import idle_limit_of


def notes(config: ConfigRecord, settings: Settings, last_cold_start: float | None) -> list[str]:
    """Sentences about a config that is being deployed; ``last_cold_start`` is in seconds, None where none is known."""
    asleep = [e.spec for e in config.entities if e.spec.scale_to_zero_enabled]
    if not asleep:
        return []
    idle = min(idle_limit_of(spec, settings) for spec in asleep)
    known = "" if last_cold_start is None else f" (the last one took {last_cold_start:.2f} s)"
    kept = (
        "The GPU is not kept"
        if any(workload_type(spec.workload_type).gpus for spec in asleep)
        else "GPU capacity is not kept"
    )
    return [
        f"It scales to zero after {_duration(idle)} without a request: the next one waits for a cold start{known}, so "
        f"it is not for production latency. {kept} at zero. During an update the old and the new version are both held."
    ]


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
