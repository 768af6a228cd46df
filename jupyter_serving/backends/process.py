"""Replicas as processes of this machine, forked from a zygote of their environment.

A replica is its own session, answers on a unix socket and holds a lock file for life; both lie in the runtime
directory. It belongs to nobody: it goes on when the zygote or the controller ends, and is found again by its identity
(boot id, pid, start time), by its zygote's list or by its lock. This is no isolation: a model runs as the user.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import StartFailed
from ..places import Places
from ..processes import Identity
from ..settings import Settings
from . import exits, host, readiness, residents, tail, usage
from .base import (
    Exit,
    Handle,
    HostCapacity,
    Observed,
    ReplicaSpec,
    Spare,
    Started,
    Unready,
)
from .gpus import Devices
from .launch import Launcher, order_file
from .making import Making, slowest
from .readiness import Readiness
from .remains import Remains, identity_of
from .watches import Watches
from .zygotes import Zygotes

# An exit is known a moment before its zygote, which reaps it, tells the status (seconds).
_STATUS = 2.0
# A replica that is adopted may just be replacing a worker (seconds).
_ADOPT = 3.0
_LOOK = 0.02


class ProcessBackend:
    """The backend ``process``; one per runtime directory."""

    name = "process"

    def __init__(
        self,
        places: Places,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._places = settings, places
        self._devices = Devices()
        self._zygotes = Zygotes(
            places,
            settings.start_deadline_seconds,
            settings.zygote_idle_seconds,
            self._budget,
            clock,
        )
        self._launcher = Launcher(places, settings, self._zygotes)
        self._remains = Remains(places, self._zygotes)
        self._watches = Watches(self._status)
        self._taught: dict[str, set[str]] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def capacity(self) -> HostCapacity:
        """CPUs, memory, GPUs and disk of this machine, within the limits of our control group."""
        return await asyncio.to_thread(self._capacity)

    def _capacity(self) -> HostCapacity:
        return host.capacity(data=self._places.data, devices=self._devices.known())

    def address(self, handle: Handle) -> str:
        """``unix:/path`` of the replica's socket."""
        return f"unix:{handle['socket']}"

    async def start(self, spec: ReplicaSpec) -> AsyncIterator[Started]:
        """Start a replica; see ``Backend.start``. One that is left before it is ready is removed again."""
        began = time.monotonic()
        handle = await self._launcher.handle(spec)
        ready: Readiness | None = None
        reached = Started(handle, "spawning")
        try:
            yield reached
            log_size = tail.size(spec.log)
            launched = await self._launcher.launch(spec, handle, began)
            identity = launched.identity
            handle = handle | {"pid": identity.pid, "start": identity.start}
            reached = _reached(handle, launched.making)
            yield reached
            ready = await self._ready(spec, reached, identity, log_size)
        finally:
            if ready is None:
                await asyncio.shield(self._remains.remove(handle, 0.0))
        order_file(handle).unlink(missing_ok=True)
        self._watches.begin(spec.id, identity, handle["zygote"])
        self._teach(handle["zygote"], ready.modules)
        yield _completed(reached, ready)

    async def prepare(self, spec: ReplicaSpec) -> None:
        """Have the zygote of the replica's environment at hand, started or found."""
        await self._launcher.prepare(spec)

    async def stop(self, handle: Handle, grace: float) -> None:
        """End a replica; its end is not told by ``watch``, for it is wanted."""
        self._watches.forget(str(handle["id"]))
        await self._remains.remove(handle, grace)

    async def observe(self) -> dict[str, Observed]:
        """Every replica alive in the runtime directory, orphans included."""
        return await self._remains.observe()

    def watch(self) -> AsyncIterator[Exit]:
        """Ends of ready and adopted replicas that nobody asked for; for one listener."""
        return self._watches.stream()

    async def adopt(self, replica_id: str, handle: Handle) -> Started | None:
        """Verify identity and readiness, then watch; None for a replica that is gone, loading or mute."""
        identity = identity_of(handle)
        if identity is None or not identity.alive():
            return None
        try:
            answer = await readiness.ask(Path(handle["socket"]), _ADOPT)
        except (OSError, StartFailed):
            return None
        if not answer.ready:
            return None
        key = str(handle.get("zygote", ""))
        await self._joined(key)
        self._watches.begin(replica_id, identity, key)
        return _started(handle, answer, answer.phases)

    async def close(self) -> None:
        """Stop watching; replicas go on, and so do zygotes for a while, in case a controller comes back."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._watches.close()
        await self._zygotes.close()

    async def memory(self, handles: Mapping[str, Handle]) -> dict[str, int]:
        """Bytes that the processes of each replica hold, shared pages by their share."""
        sessions = {
            replica: int(handle["pid"]) for replica, handle in handles.items() if handle.get("pid")
        }
        held = await asyncio.to_thread(usage.of_sessions, set(sessions.values()))
        return {replica: held[pid] for replica, pid in sessions.items() if held.get(pid)}

    async def spare(self) -> list[Spare]:
        """The zygotes that we are connected to."""
        return await self._zygotes.spare()

    async def shrink(self, bytes_: int) -> None:
        """End zygotes that hold so many bytes, if there are any at rest; the least recently used first."""
        held = sum(spare.memory_bytes for spare in await self._zygotes.spare())
        await self._zygotes.shrink(max(0, held - bytes_))

    async def release(self) -> None:
        """End all zygotes, to free their memory: when everything was stopped for good."""
        await self._zygotes.end_all()

    # -- readiness -----------------------------------------------------------------------------------

    async def _ready(
        self, spec: ReplicaSpec, reached: Started, identity: Identity, log_size: int
    ) -> Readiness:
        """Wait for readiness, for the end of the process or for the deadline, whichever comes first."""
        handle = reached.handle
        question = asyncio.create_task(self._ask(Path(handle["socket"]), identity))
        end = asyncio.create_task(exits.ended(identity))
        try:
            await asyncio.wait([question, end], return_when=asyncio.FIRST_COMPLETED)
            # The last word of a process that has ended may still be on the way.
            await asyncio.wait([question], timeout=1.0)
            answer = _answer(question)
        finally:
            question.cancel()
            end.cancel()
        if answer is None:
            raise await self._lost(spec, reached, identity, log_size)
        if not answer.ready:
            raise self._unready(spec, reached, answer)
        return answer

    async def _lost(
        self, spec: ReplicaSpec, reached: Started, identity: Identity, log_size: int
    ) -> StartFailed:
        handle = reached.handle
        how = "it runs, but does not answer"
        if not identity.alive():
            how = exits.describe(await self._status(handle["zygote"], identity.pid))
        last = tail.useful(spec.log, log_size)
        return Unready(
            f"The replica did not become ready: {how}. {last}".strip(),
            hint=f"Its log is {spec.log}.",
            reached=reached,
            phase="model_load",
        )

    async def _ask(self, socket: Path, identity: Identity) -> Readiness:
        """Ask as soon as somebody listens: a forked replica does at once, another when its interpreter is up."""
        wait = self._settings.start_deadline_seconds
        while True:
            try:
                return await readiness.ask(socket, wait)
            except (FileNotFoundError, ConnectionRefusedError):
                if not identity.alive():
                    raise
            await asyncio.sleep(_LOOK)

    def _unready(self, spec: ReplicaSpec, reached: Started, answer: Readiness) -> StartFailed:
        message = str(answer.body.get("message") or "it did not say why").rstrip(".") + "."
        if answer.failed:
            return Unready(
                f"The model could not be loaded: {message}",
                hint=f"The whole traceback is in {spec.log}.",
                reached=_completed(reached, answer),
                phase=answer.phase or "model_load",
            )
        limit = self._settings.start_deadline_seconds
        return Unready(
            f"The replica was not ready within {limit:g} s: {message}",
            hint=f"Its log is {spec.log}.",
            reached=reached,
            phase="model_load",
        )

    # -- zygotes -------------------------------------------------------------------------------------

    def _budget(self) -> int:
        return residents.budget(self._settings.zygote_memory_bytes, host.capacity().memory_bytes)

    def _teach(self, key: str, modules: list[str]) -> None:
        """Have the zygote import what this load imported, so that the next one finds it done."""
        new = [name for name in modules if name not in self._taught.get(key, ())]
        if key and new:
            self._taught.setdefault(key, set()).update(new)
            lesson = asyncio.create_task(self._lesson(key, modules))
            self._background.add(lesson)
            lesson.add_done_callback(self._background.discard)

    async def _lesson(self, key: str, modules: list[str]) -> None:
        zygote = await self._zygotes.join(key)
        try:
            if zygote is not None:
                await zygote.teach(modules)
        except StartFailed:
            self._taught.pop(key, None)

    async def _joined(self, key: str) -> None:
        """Hear the zygote's exits from now on; one that is busy is not waited for."""
        joining = asyncio.create_task(self._join(key))
        self._background.add(joining)
        joining.add_done_callback(self._background.discard)
        await asyncio.wait([joining], timeout=_ADOPT)

    async def _join(self, key: str) -> None:
        if key:
            await self._zygotes.join(key)

    async def _status(self, key: str, pid: int) -> int | None:
        zygote = self._zygotes.connected(key)
        return await zygote.status(pid, _STATUS) if zygote is not None else None


def _started(handle: Handle, ready: Readiness, phases: dict[str, float]) -> Started:
    return Started(handle, "ready", ready.slots, phases, ready.capacity, ready.details)


def _answer(question: asyncio.Task[Readiness]) -> Readiness | None:
    if not question.done():
        return None
    error = question.exception()
    if error is None:
        return question.result()
    if isinstance(error, OSError):  # a time-out is one, too
        return None
    raise error


def _reached(handle: Handle, making: Making) -> Started:
    return Started(handle, "spawned", phases=making.phases, making=making, imports=making.imports)


def _completed(reached: Started, answer: Readiness) -> Started:
    """What is known when the replica has answered: its own seconds added to those before it."""
    phases = dict(reached.making.phases)
    for name, seconds in answer.phases.items():
        phases[name] = phases.get(name, 0.0) + seconds
    return replace(
        reached,
        phase="ready",
        slots=answer.slots,
        phases=phases,
        capacity=answer.capacity,
        details=answer.details,
        imports=slowest([*reached.making.imports, *answer.imports]),
    )
