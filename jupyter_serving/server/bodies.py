"""Request bodies on their way through: collected up to a limit, or piped without one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from ..errors import BadRequest

MEGABYTE = 1024 * 1024
# A body that is too large is still read (and thrown away) up to here, so that the client, which only listens when it
# has sent everything, gets a readable answer instead of a broken connection.
LINGER_BYTES = 64 * MEGABYTE


class Collected:
    """A body of at most ``limit`` bytes; what comes beyond is counted and dropped at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._pieces: deque[bytes] = deque()

    async def receive(self, piece: bytes) -> None:
        """Keep a piece, or let go of everything once the limit is passed."""
        self.size += len(piece)
        if self.size > self.limit:
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def check(self) -> None:
        """Raise ``BadRequest`` when the body passed the limit."""
        if self.size > self.limit:
            raise too_large(self.size, self.limit)

    def abandon(self) -> None:
        """Let go of what is left."""
        self._pieces.clear()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces once; each is released when it has been sent, however long the answer takes."""
        while self._pieces:
            yield self._pieces.popleft()


class Piped:
    """A body of any size that is sent on while it arrives; a slow reader slows the sender down."""

    def __init__(self, depth: int = 4) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(depth)
        self._reader_gone = asyncio.Event()

    async def receive(self, piece: bytes) -> None:
        """Hand a piece to the reader; waits while it is behind, drops the piece when it is gone."""
        if piece:
            await self._put(piece)

    async def end(self) -> None:
        """Tell the reader that the body is complete."""
        await self._put(b"")

    async def _put(self, piece: bytes) -> None:
        put = asyncio.ensure_future(self._pieces.put(piece))
        gone = asyncio.ensure_future(self._reader_gone.wait())
        try:
            await asyncio.wait({put, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            put.cancel()
            gone.cancel()

    def abandon(self) -> None:
        """The reader wants nothing more: it answered early, or failed."""
        self._reader_gone.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield pieces as they arrive, until ``end``."""
        while piece := await self._pieces.get():
            yield piece


def too_large(size: int, limit: int) -> BadRequest:
    """The refusal of a body of ``size`` bytes (400: clients retry a 413)."""
    return BadRequest(
        f"The request body has at least {size / MEGABYTE:.1f} MB; the limit here is {limit / MEGABYTE:.0f} MB.",
        hint="Send it in smaller parts.",
    )
