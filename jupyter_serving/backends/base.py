"""What a backend is: it starts, stops and observes replicas somewhere, and nothing else.

A new backend registers under the entry point group ``jupyter_serving.backends``. The contract suite in
``tests/contract`` runs against every one of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ..environments.environment import Environment
from ..errors import StartFailed
from .making import Import, Making

# What must be remembered to find a replica again; plain JSON, opaque to everyone but its backend.
Handle = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HostCapacity:
    """What a backend has in all, and what is free now (bytes).

    ``gpu_memory`` and ``gpu_free`` are of each device, 0 where not known. ``cpu_pressure`` and ``memory_pressure``:
    share of the last 10 s in which some task waited for it, 0 to 1; 0 where the system does not tell. ``disk_bytes``
    and ``disk_free`` are of the data directory's.
    """

    cpus: float
    memory_bytes: int
    memory_available: int
    gpus: int = 0
    gpu_memory: tuple[int, ...] = ()
    gpu_free: tuple[int, ...] = ()
    cpu_pressure: float = 0.0
    memory_pressure: float = 0.0
    disk_bytes: int = 0
    disk_free: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """One replica to start.

    Attributes:
        id: unique for ever, letters, digits and ``-``, at most 16 characters (it names a socket).
        model: model directory on this machine.
        slots: requests served at a time. ``threads``: BLAS and OpenMP threads of each slot.
        environment_vars: the user's, with secrets resolved.
        deadline: longest time of one request, seconds.
        log: file that standard output and error are appended to.
        batching: ``mode`` and ``max_size`` as in ``api.Batching``. ``bare_nan``, ``max_body_bytes``: see the settings.
        memory_bytes: ceiling that placement reserved. ``gpus``: devices asked for.
    """

    id: str
    endpoint: str
    entity: str
    config_version: int
    model: Path
    environment: Environment
    slots: int
    threads: int
    environment_vars: Mapping[str, str]
    deadline: float
    stack_trace: bool
    log: Path
    batching: Mapping[str, Any] = field(default_factory=dict)
    bare_nan: bool = False
    max_body_bytes: int = 0
    memory_bytes: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """One step of a start; everything after ``phase`` is known when ready.

    ``phases`` are seconds by name; ``capacity`` is how many requests it takes at a time (more than ``slots`` where it
    batches); ``details`` say how it serves (``batch``, ``fast_path``, ``workers``). ``making`` is known from
    ``spawned`` on; ``imports`` are the slowest, the zygote's included where it was started for this replica.
    """

    handle: Handle
    phase: Literal["spawning", "spawned", "ready"]
    slots: int = 0
    phases: dict[str, float] = field(default_factory=dict)
    capacity: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    making: Making = field(default_factory=Making)
    imports: tuple[Import, ...] = ()


class Unready(StartFailed):
    """A start that failed at a known place: ``reached`` holds the phases before, ``phase`` is the one it failed in."""

    def __init__(self, message: str, *, hint: str = "", reached: Started, phase: str) -> None:
        super().__init__(message, hint=hint)
        self.reached, self.phase = reached, phase


@dataclass(frozen=True, slots=True)
class Observed:
    """A replica as it was found; ``handle`` is enough to stop it."""

    state: Literal["running", "paused", "gone"]
    handle: Handle


@dataclass(frozen=True, slots=True)
class Exit:
    """A replica ended: exit code, minus the signal's number, or None where nobody could tell."""

    replica_id: str
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Spare:
    """Something kept ready for later starts (a zygote, a standby): the price of fast cold starts.

    ``environment`` is the key of the environment it is of, ``endpoints`` those whose replicas it started since the
    controller did, ``memory_bytes`` its share of memory, ``replicas`` how many of its replicas live, ``idle_seconds``
    since the last start.
    """

    key: str
    environment: str
    pid: int
    memory_bytes: int
    replicas: int
    idle_seconds: float
    endpoints: tuple[str, ...] = ()


class Backend(Protocol):
    """Where replicas run."""

    name: str

    async def capacity(self) -> HostCapacity:
        """CPUs, memory and GPUs of this place, now."""
        ...

    def start(self, spec: ReplicaSpec) -> AsyncIterator[Started]:
        """Start a replica: an async generator of ``spawning``, ``spawned`` and ``ready``.

        The first item comes before anything exists and its handle is enough to find and stop what may come to
        exist, so a caller that stores every handle before it asks for the next item can crash anywhere.

        Raises:
            StartFailed: with the useful line; everything that was started has been removed.
        """
        ...

    async def prepare(self, spec: ReplicaSpec) -> None:
        """Do what makes a later start of such a replica fast; starts none.

        Raises:
            StartFailed: it cannot be done; a start would fail too.
        """
        ...

    async def stop(self, handle: Handle, grace: float) -> None:
        """End a replica: asked first, killed after ``grace`` seconds. Unknown or gone is success."""
        ...

    async def observe(self) -> dict[str, Observed]:
        """Everything alive that belongs to this data directory, by replica id; orphans included."""
        ...

    def watch(self) -> AsyncIterator[Exit]:
        """Ends of ready and adopted replicas as they happen, but for those that ``stop`` brought about.

        For one listener; ends with ``close``.
        """
        ...

    async def adopt(self, replica_id: str, handle: Handle) -> Started | None:
        """Verify a replica of an earlier controller and watch it again; None if it cannot be verified."""
        ...

    def address(self, handle: Handle) -> str:
        """Where it answers: ``unix:/path`` or ``tcp:host:port``."""
        ...

    async def memory(self, handles: Mapping[str, Handle]) -> dict[str, int]:
        """Bytes that replicas hold now, by replica id, shared memory counted by its share; without those unknown."""
        ...

    async def spare(self) -> list[Spare]:
        """What is kept ready for later starts, and what it costs."""
        ...

    async def shrink(self, bytes_: int) -> None:
        """Free so much of what is kept ready for later starts, as far as it is not in use: memory is short."""
        ...

    async def release(self) -> None:
        """Free what is kept ready for later starts (zygotes, standbys): when everything was stopped for good."""
        ...

    async def close(self) -> None:
        """Stop watching; replicas go on."""
        ...
