"""Brings the controller back: closing Jupyter, or a crash, must not leave endpoints without one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from ..places import Places
from ..processes import spawn_service

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0
LONGEST_SECONDS = 30.0
PROBE_SECONDS = 2.0

Sleep = Callable[[float], Awaitable[None]]


class Reviver:
    """Starts a controller while none is connected and none answers; waits 1, 2, 4 … 30 s between attempts.

    Args:
        wanted: False once the data directory is gone: nothing is left to serve.
        answers: True where a controller process accepts connections (it will link by itself).
        spawn: starts one; may be called in vain.
        sleep: injected for tests.
    """

    def __init__(
        self,
        wanted: Callable[[], bool],
        answers: Callable[[], Awaitable[bool]],
        spawn: Callable[[], Awaitable[None]],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._wanted = wanted
        self._answers = answers
        self._spawn = spawn
        self._sleep = sleep
        self._absent = asyncio.Event()
        self._absent.set()

    def link_changed(self, connected: bool) -> None:
        """Tell whether a controller is connected."""
        if connected:
            self._absent.clear()
        else:
            self._absent.set()

    async def run(self) -> None:
        """Keep a controller there until cancelled; costs nothing while one is connected.

        Returns when the data directory is gone.
        """
        while True:
            await self._absent.wait()
            await self._sleep(PATIENCE_SECONDS)
            pause = PATIENCE_SECONDS
            while self._absent.is_set():
                if not self._wanted():
                    return
                if not await self._answers():
                    await self._try_spawn()
                await self._sleep(pause)
                pause = min(LONGEST_SECONDS, pause * 2)

    async def _try_spawn(self) -> None:
        log.warning("no controller is connected and none answers: starting one")
        try:
            await self._spawn()
        except Exception as error:
            log.error("the controller could not be started: %s", error)


async def accepts_connections(path: Path) -> bool:
    """True where something accepts connections on a unix socket."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_unix_connection(str(path))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def for_places(places: Places) -> Reviver:
    """A reviver of the controller of one data directory."""

    async def answers() -> bool:
        return await accepts_connections(places.controller_socket)

    async def spawn() -> None:
        await asyncio.to_thread(spawn_service, "jupyter_serving.controller", places)

    return Reviver(places.data.is_dir, answers, spawn)
