"""What is left of replicas in the runtime directory: found with or without a complete handle, and removed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import time
from pathlib import Path

from ..errors import Internal
from ..places import Places
from ..processes import Identity, boot_id
from . import census, exits
from .base import Handle, Observed
from .launch import order_file
from .zygotes import Zygotes

# Longest wait for a zygote to carry out what it was told before, and for killed processes to vanish (seconds).
_SETTLE = 15.0
_VANISH = 10.0
_LOOK = 0.02


def identity_of(handle: Handle) -> Identity | None:
    """The process that a handle names; None for one that was written before the process existed."""
    if "pid" not in handle:
        return None
    return Identity(str(handle["boot"]), int(handle["pid"]), int(handle["start"]))


def _free(lock: str) -> bool:
    """True if the lock file is there and nobody holds it; without the file only a census can tell."""
    try:
        handle = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


class Remains:
    """Replicas of one runtime directory, as the system knows them."""

    def __init__(self, places: Places, zygotes: Zygotes) -> None:
        self._places, self._zygotes = places, zygotes

    async def observe(self) -> dict[str, Observed]:
        """Everything alive: of the zygotes' lists, of held locks, and what is about to hold one."""
        children = await self._zygotes.children(_SETTLE)
        found = {
            replica: self._handle(replica, identity, key)
            for replica, (key, identity) in children.items()
            if identity.alive()
        }
        for replica, identity in (await asyncio.to_thread(self._by_system)).items():
            found.setdefault(replica, self._handle(replica, identity, ""))
        return {replica: Observed("running", handle) for replica, handle in found.items()}

    async def remove(self, handle: Handle, grace: float) -> None:
        """End the replica, all of its processes, and remove its files. Gone already is success.

        One that belongs to the data directory which ours is a copy of is none of ours: it is left alone.

        Raises:
            Internal: a process survives SIGKILL (it hangs in the kernel); a later try may succeed.
        """
        if self._places.foreign(Path(handle["socket"])):
            return
        identity = identity_of(handle) or await self._located(str(handle["id"]))
        if identity is not None:
            await exits.end(identity, grace)
        left = (
            []
            if await asyncio.to_thread(_free, handle["lock"])
            else await self._rest(str(handle["id"]))
        )
        if left:
            raise Internal(
                f"Replica {handle['id']} cannot be ended: process {left[0].pid} survives SIGKILL.",
                hint="It hangs in the kernel, often on a device or a network file system.",
            )
        for path in (Path(handle["socket"]), Path(handle["lock"]), order_file(handle)):
            path.unlink(missing_ok=True)

    async def _located(self, replica: str) -> Identity | None:
        observed = (await self.observe()).get(replica)
        return identity_of(observed.handle) if observed else None

    async def _rest(self, replica: str) -> list[Identity]:
        """Kill whatever still holds the replica's lock; returns what cannot be killed."""
        limit = time.monotonic() + _VANISH
        while True:
            left = (await asyncio.to_thread(census.holders, self._places)).get(replica, [])
            left = [identity for identity in left if identity.alive()]
            if not left or time.monotonic() > limit:
                return left
            for identity in left:
                await exits.end(identity, 0.0, _LOOK)

    def _by_system(self) -> dict[str, Identity]:
        found = {
            replica: census.leader(processes) or processes[0]
            for replica, processes in census.holders(self._places).items()
        }
        folder = str(self._places.runtime)
        for identity, line in census.command_lines(folder):
            match = re.search(re.escape(folder) + r"/r-([A-Za-z0-9_-]+)\.json", line)
            if match:
                found.setdefault(match[1], identity)
        return found

    def _handle(self, replica: str, identity: Identity, zygote: str) -> Handle:
        return {
            "backend": "process",
            "id": replica,
            "boot": boot_id(),
            "socket": str(self._places.replica_socket(replica)),
            "lock": str(self._places.replica_lock(replica)),
            "zygote": zygote,
            "pid": identity.pid,
            "start": identity.start,
        }
