"""What the gateway remembers on disk: its port, the last routes with hashed tokens, and what is wrong with it.

``gateway.json`` (0600) is replaced whole, so a reader or a crash never sees half of it. Anything in it can be rebuilt:
a damaged file is put aside and the controller's next message replaces it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec

from .endpoint import Endpoint

log = logging.getLogger(__name__)

DEBOUNCE_SECONDS = 0.1


class Saved(msgspec.Struct, kw_only=True):
    """Content of ``gateway.json``.

    Attributes:
        port: last port; 0 before the first start.
        pid: process that wrote it.
        problem: why the gateway cannot be reached on TCP, None while it can; for ``status`` and ``doctor``.
        revision: last revision of the routes that was applied.
    """

    format: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    pid: int = 0
    problem: str | None = None
    revision: int = 0
    endpoints: list[Endpoint] = []


def load(path: Path) -> Saved:
    """Read the file; an empty state where there is none or it is damaged (put aside as ``*.damaged``)."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Saved)
    except FileNotFoundError:
        return Saved()
    except (OSError, msgspec.MsgspecError) as error:
        log.error("%s cannot be read (%s): starting without routes", path, error)
        try:
            path.replace(path.with_name(path.name + ".damaged"))
        except OSError:
            pass
        return Saved()


def write(path: Path, content: bytes) -> None:
    """Replace the file (0600) so that it survives a power loss."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


class StateFile:
    """Writes the state soon after it changed, never in the way of requests."""

    def __init__(self, path: Path, saved: Saved) -> None:
        self._path = path
        self.saved = saved
        self._writing: asyncio.Task[None] | None = None
        self._stale = False

    def changed(self) -> None:
        """The state differs from the file: write it soon; many changes make one write."""
        self._stale = True
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    def write_now(self) -> None:
        """Write at once (blocks)."""
        self._stale = False
        try:
            write(self._path, msgspec.json.encode(self.saved))
        except OSError as error:
            log.error(
                "%s cannot be written (%s): a restart would forget the last routes",
                self._path,
                error,
            )

    async def close(self) -> None:
        """Write what is not written yet; the file is not touched afterwards."""
        writing = self._writing
        if writing is not None:
            writing.cancel()
            await asyncio.wait([writing])
        if self._stale:
            self.write_now()

    async def leave(self) -> None:
        """Write no more: the file is a successor's."""
        self._stale = False
        writing = self._writing
        if writing is not None:
            writing.cancel()
            await asyncio.wait([writing])
        self._stale = False

    async def _write_soon(self) -> None:
        try:
            while self._stale:
                await asyncio.sleep(DEBOUNCE_SECONDS)
                self._stale = False
                content = msgspec.json.encode(self.saved)
                await asyncio.shield(asyncio.to_thread(self._write, content))
        except asyncio.CancelledError:
            self._stale = True
            raise
        finally:
            self._writing = None

    def _write(self, content: bytes) -> None:
        try:
            write(self._path, content)
        except OSError as error:
            log.error(
                "%s cannot be written (%s): a restart would forget the last routes",
                self._path,
                error,
            )
