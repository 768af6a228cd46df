"""All zygotes of one runtime directory: found or started when needed, ended when long idle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import StartFailed
from ..places import Places
from ..processes import Identity, spawn_detached
from . import census, exits, residents, tail, usage
from .base import Spare
from .zygote import Zygote

log = logging.getLogger(__name__)
# Without a controller a zygote is of no use; a controller that restarts is back sooner than this (seconds).
ALONE = 120.0
# How often a starting zygote's socket is looked for: nothing tells when a file appears in every system.
_LOOK = 0.02
_LOOK_FOR_PROCESS = 0.25
# A process has no command line for a moment while it becomes another program: once missed is not gone.
_MISSED = 2
_CHECK_IDLE = 30.0


@dataclass(frozen=True, slots=True)
class Birth:
    """How to start the zygote ``key``: interpreter, whole environment and the file of what it has learned.

    ``environment`` and ``endpoint`` say what it is of and who asks for it.
    """

    key: str
    python: Path
    environ: Mapping[str, str]
    learned: Path
    environment: str = ""
    endpoint: str = ""


class Zygotes:
    """Connections by key.

    ``patience``: seconds that a zygote's imports may take; ``idle``: until an idle one ends; ``budget``: tells how
    many bytes all of them may hold.
    """

    def __init__(
        self,
        places: Places,
        patience: float,
        idle: float,
        budget: Callable[[], int] = lambda: sys.maxsize,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places, self._patience, self._idle, self._clock = places, patience, idle, clock
        self._budget = budget
        self._connected: dict[str, Zygote] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._used: dict[str, float] = {}
        self._users: dict[str, tuple[str, set[str]]] = {}
        self._attending: dict[str, asyncio.Task[None]] = {}
        self._caretaker: asyncio.Task[None] | None = None

    async def get(self, birth: Birth) -> Zygote:
        """The connected zygote; started where none answers.

        Raises:
            StartFailed: it cannot be started; the message holds the end of its log.
        """
        self._used[birth.key] = self._clock()
        _, users = self._users.setdefault(birth.key, (birth.environment, set()))
        users.add(birth.endpoint)
        async with self._turns.setdefault(birth.key, asyncio.Lock()):
            found = await self._join(birth.key) or await self._start(birth)
            self._attend(birth, found)
            return found

    async def join(self, key: str) -> Zygote | None:
        """The connected zygote if it runs; never starts one."""
        async with self._turns.setdefault(key, asyncio.Lock()):
            return await self._join(key)

    def connected(self, key: str) -> Zygote | None:
        """The connection as it is."""
        found = self._connected.get(key)
        return found if found is not None and found.alive else None

    async def spare(self) -> list[Spare]:
        """All that are connected, and what each holds."""
        living = {key: zygote for key, zygote in self._connected.items() if zygote.alive}
        pids = {key: int(zygote.hello.get("pid") or 0) for key, zygote in living.items()}
        held = await asyncio.to_thread(lambda: {k: usage.of_process(p) for k, p in pids.items()})
        return [
            self._spare(key, pids[key], held[key], len(z.children)) for key, z in living.items()
        ]

    def _spare(self, key: str, pid: int, held: int, replicas: int) -> Spare:
        environment, users = self._users.get(key, ("", set()))
        idle = self._clock() - self._used.get(key, self._clock())
        return Spare(key, environment, pid, held, replicas, idle, tuple(sorted(users)))

    async def end(self, key: str) -> None:
        """End a zygote; its replicas go on."""
        zygote = await self.join(key)
        self._connected.pop(key, None)
        self._users.pop(key, None)
        if zygote is not None:
            await zygote.shutdown()

    async def children(self, limit: float) -> dict[str, tuple[str, Identity]]:
        """Replicas of all running zygotes by id, with the zygote's key, after all earlier requests were carried out.

        A zygote that does not answer within ``limit`` seconds is killed: it might still fork what nobody waits for.
        """
        keys = [path.stem.removeprefix("z-") for path in self._places.runtime.glob("z-*.sock")]
        found: dict[str, tuple[str, Identity]] = {}
        for key, of in zip(
            keys, await asyncio.gather(*(self._children(k, limit) for k in keys)), strict=True
        ):
            found |= {replica: (key, identity) for replica, identity in of.items()}
        return found

    async def close(self) -> None:
        """Disconnect from all; they go on."""
        if self._caretaker is not None:
            self._caretaker.cancel()
            await asyncio.wait([self._caretaker])
        for task in self._attending.values():
            task.cancel()
        await asyncio.gather(*self._attending.values(), return_exceptions=True)
        for zygote in self._connected.values():
            await zygote.close()
        self._connected.clear()

    async def end_all(self) -> None:
        """End every zygote of this runtime directory; replicas go on."""
        keys = {path.stem.removeprefix("z-") for path in self._places.runtime.glob("z-*.sock")}
        await asyncio.gather(*(self.end(key) for key in keys | set(self._connected)))

    def _attend(self, birth: Birth, zygote: Zygote) -> None:
        """Start it again should it die: the next cold start would pay for its imports."""
        if birth.key not in self._attending or self._attending[birth.key].done():
            task = asyncio.create_task(self._start_again(birth, zygote))
            self._attending[birth.key] = task

    async def _start_again(self, birth: Birth, zygote: Zygote) -> None:
        pause = _LOOK_FOR_PROCESS
        while True:
            await zygote.ended()
            if self._connected.get(birth.key) is not zygote:
                return  # it was ended by us
            await asyncio.sleep(pause)
            pause = min(_CHECK_IDLE, pause * 2)
            try:
                async with self._turns.setdefault(birth.key, asyncio.Lock()):
                    zygote = await self._join(birth.key) or await self._start(birth)
            except StartFailed as error:
                log.warning("zygote %s: %s", birth.key, error)
                return  # the next start of a replica tries and tells

    async def _join(self, key: str) -> Zygote | None:
        found = self.connected(key)
        if found is not None:
            return found
        try:
            async with asyncio.timeout(self._patience):
                self._connected[key] = await Zygote.connect(self._places.zygote_socket(key))
        except (OSError, TimeoutError):
            return None
        self._look_after(key)
        return self._connected[key]

    def _look_after(self, key: str) -> None:
        """From now on it ends when nobody has used it for long, or others need its memory."""
        self._used.setdefault(key, self._clock())
        if self._caretaker is None:
            self._caretaker = asyncio.create_task(self._end_idle())

    async def _start(self, birth: Birth) -> Zygote:
        socket = self._places.zygote_socket(birth.key)
        log = self._places.logs / f"zygote-{birth.key}.log"
        before = tail.size(log)
        argv = [str(birth.python), "-m", "serving_runtime", "zygote", "--socket", str(socket)]
        argv += ["--key", birth.key, "--preload", str(birth.learned), "--idle", f"{ALONE:g}"]
        began = time.monotonic()
        argv += ["--asked", repr(began)]
        birth.learned.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        await asyncio.to_thread(self._clear, socket)
        await asyncio.to_thread(spawn_detached, argv, log, birth.environ)
        try:
            async with asyncio.timeout(self._patience):
                zygote = await self._appeared(socket)
        except TimeoutError:
            zygote = None
        if zygote is None:
            raise StartFailed(
                f"The environment's Python did not start: {tail.useful(log, before) or 'it said nothing'}.",
                hint=f"Its log is {log}.",
            )
        zygote.started = (began, time.monotonic())
        self._connected[birth.key] = zygote
        self._look_after(birth.key)
        return zygote

    def _clear(self, socket: Path) -> None:
        """Replicas may have inherited the lock of a zygote that was killed: then nobody could take its place."""
        if not census.zygote(self._places, socket):
            socket.with_name(f"{socket.name}.lock").unlink(missing_ok=True)

    async def _appeared(self, socket: Path) -> Zygote | None:
        """Connect as soon as the socket is there; None when the process has ended without one."""
        look, missed = self._clock() + _LOOK_FOR_PROCESS, 0
        while missed < _MISSED:
            with contextlib.suppress(OSError):
                return await Zygote.connect(socket)
            if self._clock() >= look:
                there = await asyncio.to_thread(census.zygote, self._places, socket)
                look, missed = self._clock() + _LOOK_FOR_PROCESS, 0 if there else missed + 1
            await asyncio.sleep(_LOOK)
        return None

    async def _children(self, key: str, limit: float) -> dict[str, Identity]:
        socket = self._places.zygote_socket(key)
        try:
            async with asyncio.timeout(limit):
                first = await Zygote.connect(socket)
                try:
                    await first.settle()
                finally:
                    await first.close()
                second = await Zygote.connect(socket)
                await second.close()
                return second.children
        except (OSError, StartFailed):
            return {}
        except TimeoutError:
            for identity in await asyncio.to_thread(census.zygote, self._places, socket):
                await exits.end(identity, 0.0)
            return {}

    async def _end_idle(self) -> None:
        while True:
            await asyncio.sleep(max(1.0, min(_CHECK_IDLE, self._idle)))
            for key, zygote in list(self._connected.items()):
                idle = self._clock() - self._used.get(key, 0.0) >= self._idle
                if idle and zygote.alive and not zygote.children:
                    await self.end(key)
            await self.shrink(self._budget())

    async def shrink(self, budget: int) -> None:
        """End as many as hold more than ``budget`` bytes together, those that were not used for longest first."""
        spares = await self.spare()
        for key in residents.surplus(spares, budget):
            log.info("zygote %s ends: all of them may hold %d bytes", key, budget)
            await self.end(key)
