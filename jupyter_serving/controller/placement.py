"""Where a replica finds place: reservations by measured use, what is left of the host, whether it is enough. Pure.

A replica reserves what replicas of its model have been seen to hold at most, and a margin; before the first was
measured a guess from the size of its model. Memory limits are ceilings, no reservations: their sum may exceed the host.

``resources.Resources`` feeds these functions with what the host and the store tell. For an update that must know
whether old and new can stand side by side::

    shortage = resources.fits([(entity, replicas), ...])          # EntityRecord, how many more of it
    if shortage is not None:                                       # refuse: str(shortage) is the reason
        resources.fits([...], freed=[replica ids that go first])   # hold: would it fit once these are gone?

``shortage.ever`` is False where waiting is no use: it does not fit this host at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..backends.base import HostCapacity
from ..workloads import WorkloadType, size

MB = 1_000_000
# A replica of a small model of common packages that was forked from its environment's zygote holds about so much.
SMALLEST = 150 * MB
# A pickled model takes more memory than its files take disk; once read, and once built.
SWELLING = 2.0
# Devices of 16 GB have between 15 and 16: error correction and the driver keep some.
GPU_TOLERANCE = 0.9
# Share of the time in which something waits for memory beyond which no replica is added: the host is thrashing.
MEMORY_STALL = 0.2


@dataclass(frozen=True, slots=True)
class Need:
    """What one replica takes: bytes reserved (``measured``, or guessed), devices and the memory of each in bytes."""

    memory_bytes: int
    measured: bool = False
    gpus: int = 0
    gpu_memory: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """A replica that has its place: what it reserves, and the bytes that it holds now (0 where not known yet)."""

    need: Need
    used: int = 0


@dataclass(frozen=True, slots=True)
class Space:
    """What replicas may take in all, and what of it is left: bytes, and devices. ``replicas`` have their place."""

    memory_bytes: int
    memory_free: int
    gpus: int = 0
    gpus_free: int = 0
    gpu_memory: int = 0
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why replicas find no place; ``ever`` is False where they cannot on this host, whatever ends."""

    what: str
    text: str
    ever: bool = True

    def __str__(self) -> str:
        return self.text


def need(
    kind: WorkloadType, measured: int, model_bytes: int, margin: float, ceiling: int = 0
) -> Need:
    """Reservation of one replica.

    Args:
        kind: its workload type.
        measured: most bytes that a replica of this model and size held; 0 where none was measured.
        model_bytes: size of the model's files, for a first guess.
        margin: share that is added to what was measured.
        ceiling: bytes that it may never exceed; 0 for none.
    """
    bytes_ = measured * (1 + margin) if measured else SMALLEST + SWELLING * model_bytes
    bytes_ = min(bytes_, ceiling) if ceiling else bytes_
    return Need(int(bytes_), measured > 0, kind.gpus, kind.gpu_memory)


def space(host: HostCapacity, placed: Iterable[Placed], budget: int = 0) -> Space:
    """What is left for more replicas.

    A replica that has not grown to what it reserves will: the difference is not free, though the system says so.

    Args:
        host: as it is now.
        placed: replicas that have their place.
        budget: most bytes that all replicas may take together; 0 for the host's memory.
    """
    replicas = list(placed)
    total = min(budget, host.memory_bytes) if budget else host.memory_bytes
    reserved = sum(max(r.need.memory_bytes, r.used) for r in replicas)
    to_grow = sum(max(0, r.need.memory_bytes - r.used) for r in replicas)
    free = min(total - reserved, host.memory_available - to_grow)
    gpus = sum(r.need.gpus for r in replicas)
    largest = min(host.gpu_memory, default=0)
    return Space(total, max(0, free), host.gpus, max(0, host.gpus - gpus), largest, len(replicas))


def shortage(space: Space, wants: Sequence[tuple[Need, int]]) -> Shortage | None:
    """What is missing for so many replicas of each need, None where they all find place."""
    never = unfit(space, wants)
    if never is not None:
        return never
    gpus = sum(n.gpus * count for n, count in wants)
    if gpus > space.gpus_free:
        text = (
            f"{gpus} GPU(s) needed, {space.gpus_free} of {space.gpus} not in use by other replicas."
        )
        return Shortage("gpu", text)
    memory = sum(n.memory_bytes * count for n, count in wants)
    guessed = not all(n.measured for n, count in wants if count)
    # A guess may be wrong: where nothing else runs it is worth a try.
    if memory > space.memory_free and not (guessed and not space.replicas):
        text = f"{_sum(wants)} of memory needed, {size(space.memory_free)} free of {size(space.memory_bytes)}"
        return Shortage("memory", f"{text} that replicas may take.")
    return None


def unfit(space: Space, wants: Sequence[tuple[Need, int]]) -> Shortage | None:
    """The same for a host on which nothing else runs: what does not fit then never will. Guesses count least."""
    wants = [(_least(n), count) for n, count in wants]
    memory = sum(n.memory_bytes * count for n, count in wants)
    gpus = sum(n.gpus * count for n, count in wants)
    if gpus > space.gpus:
        text = f"{gpus} GPU(s) needed; this machine has {space.gpus}."
        return Shortage("gpu", text, ever=False)
    asked = max((n.gpu_memory for n, count in wants if n.gpus and count), default=0)
    if space.gpu_memory and asked * GPU_TOLERANCE > space.gpu_memory:
        text = f"GPUs of {size(asked)} needed; this machine's have {size(space.gpu_memory)}."
        return Shortage("gpu_memory", text, ever=False)
    if memory > space.memory_bytes:
        text = f"{_sum(wants)} of memory needed; replicas may take {size(space.memory_bytes)} here."
        return Shortage("memory", text, ever=False)
    return None


def _least(need: Need) -> Need:
    return need if need.measured else replace(need, memory_bytes=min(SMALLEST, need.memory_bytes))


def room(space: Space, need: Need, placed: int) -> float:
    """How many replicas of an entity the host can take in all, given that ``placed`` of them have their place."""
    more = math.inf if need.memory_bytes <= 0 else space.memory_free // need.memory_bytes
    if need.gpus:
        more = min(more, space.gpus_free // need.gpus)
    return placed + more


def pressed(host: HostCapacity, cpu_limit: float) -> bool:
    """True where the host is so contended that more replicas would only take from others; a limit of 1.0 is off."""
    cpu = cpu_limit < 1.0 and host.cpu_pressure >= cpu_limit
    return cpu or host.memory_pressure >= MEMORY_STALL


def _sum(wants: Sequence[tuple[Need, int]]) -> str:
    """The arithmetic: ``4 x 300 MB (measured) = 1.2 GB``."""
    parts = [(n, count) for n, count in wants if count]
    total = sum(n.memory_bytes * count for n, count in parts)
    each = " + ".join(
        f"{f'{count} x ' if count > 1 else ''}{size(n.memory_bytes)} ({'measured' if n.measured else 'guessed'})"
        for n, count in parts
    )
    several = len(parts) > 1 or any(count > 1 for _, count in parts)
    return f"{each} = {size(total)}" if several else each
