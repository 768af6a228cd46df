"""An upload in progress: pieces in at one end, an async iterator at the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any


class Upload:
    """Feeds ``consume`` with the pieces that ``add`` is given; at most four wait."""

    def __init__(
        self, consume: Callable[[AsyncIterator[bytes]], Coroutine[Any, Any, None]]
    ) -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        self._task = asyncio.create_task(consume(self._stream()))

    async def add(self, piece: bytes) -> None:
        """Pass a piece on; waits while the consumer is behind.

        Raises whatever the consumer has failed with.
        """
        if self._task.done():
            await self._task
        await self._pieces.put(piece)

    async def finish(self) -> None:
        """Wait until all has been consumed; raises what the consumer raises."""
        await self._pieces.put(None)
        await self._task

    def abandon(self) -> None:
        """Give up: the consumer is cancelled."""
        self._task.cancel()

    async def _stream(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
