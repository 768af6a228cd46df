"""Waiting for the ends of replicas, however they were come by, and telling them in one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from ..processes import Identity
from . import exits
from .base import Exit


class Watches:
    """One wait per replica. ``status`` asks for an ended replica's exit status, by zygote key and pid."""

    def __init__(self, status: Callable[[str, int], Awaitable[int | None]]) -> None:
        self._status = status
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: asyncio.Queue[Exit | None] = asyncio.Queue()

    def begin(self, replica: str, identity: Identity, zygote: str) -> None:
        """Watch a replica; a second call changes nothing."""
        if replica not in self._tasks:
            self._tasks[replica] = asyncio.create_task(self._wait(replica, identity, zygote))

    def forget(self, replica: str) -> None:
        """The replica's end is wanted: it will not be told."""
        task = self._tasks.pop(replica, None)
        if task is not None:
            task.cancel()

    async def stream(self) -> AsyncIterator[Exit]:
        """Ends as they happen, until ``close``."""
        while (ended := await self._ended.get()) is not None:
            yield ended

    async def close(self) -> None:
        """Stop watching and end the stream."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._ended.put_nowait(None)

    async def _wait(self, replica: str, identity: Identity, zygote: str) -> None:
        await exits.ended(identity)
        status = await self._status(zygote, identity.pid)
        self._tasks.pop(replica, None)
        self._ended.put_nowait(Exit(replica, status, exits.describe(status)))
