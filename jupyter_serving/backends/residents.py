"""Which of the processes kept ready for later starts may stay: within a budget, least recently used go first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Spare

# A zygote that has just been asked for is about to fork (seconds).
IN_USE = 10.0
_LEAST = 1_000_000_000
_SHARE = 10


def budget(setting: int, host_bytes: int) -> int:
    """Bytes that all of them may hold: the setting, else a tenth of the host's memory, at least 1 GB."""
    return setting or max(_LEAST, host_bytes // _SHARE)


def surplus(spares: Sequence[Spare], budget: int) -> list[str]:
    """Keys of those to end, so that the others hold at most ``budget`` bytes together.

    Those without living replicas first (ending another frees only what it does not share with them), then by how long
    ago they were used. One that was used within ``IN_USE`` seconds stays.
    """
    held = sum(spare.memory_bytes for spare in spares)
    idle = [spare for spare in spares if spare.idle_seconds >= IN_USE]
    gone = []
    for spare in sorted(idle, key=lambda s: (s.replicas > 0, -s.idle_seconds)):
        if held <= budget:
            break
        held -= spare.memory_bytes
        gone.append(spare.key)
    return gone
