"""Ends of processes that are not our children: an event where the kernel gives one, and what the status means."""

from __future__ import annotations

import asyncio
import os
import signal

from ..processes import Identity

# Only where the kernel has no pidfd (before Linux 5.3, macOS).
_POLL = 0.2


async def ended(identity: Identity) -> None:
    """Return when this very process has ended; at once if it has already."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    except (OSError, AttributeError):
        await _polled(identity)
        return
    try:
        # Opened first, compared second: the number may have passed to another process in between.
        if identity.alive():
            await _readable(handle)
    finally:
        os.close(handle)


async def _readable(handle: int) -> None:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not over.done():
            over.set_result(None)

    loop.add_reader(handle, tell)
    try:
        await over
    finally:
        loop.remove_reader(handle)


async def _polled(identity: Identity) -> None:
    while identity.alive():  # noqa: ASYNC110 - no event tells the end of a stranger here
        await asyncio.sleep(_POLL)


async def end(identity: Identity, grace: float, limit: float = 10.0) -> bool:
    """Ask a process to end and kill it after ``grace`` seconds (0: at once); True when it is gone.

    ``limit`` seconds are given to a kill: only a process stuck in the kernel needs more.
    """
    if grace > 0 and identity.signal(signal.SIGTERM):
        try:
            await asyncio.wait_for(ended(identity), grace)
        except TimeoutError:
            pass
    if identity.signal(signal.SIGKILL):
        try:
            await asyncio.wait_for(ended(identity), limit)
        except TimeoutError:
            pass
    return not identity.alive()


def describe(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "it ended; its exit status is unknown because its zygote was gone"
    if status >= 0:
        return f"it ended with exit code {status}"
    name = f"signal {-status}"
    if -status in set(signal.Signals):
        name = signal.Signals(-status).name
    hint = " (the kernel does this when memory runs out)" if status == -signal.SIGKILL else ""
    return f"it was killed by {name}{hint}"
