"""The connections to all replicas, and what has been seen of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .queue import Member
from .upstream import Pool

# A refusing replica is left alone for this long, doubled up to the second one, so that it does not attract requests.
SUSPEND_SECONDS = (0.25, 8.0)


class Pools:
    """A pool per replica, by its id; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pools: dict[str, Pool] = {}
        self._answered: set[str] = set()
        self._pauses: dict[str, float] = {}

    def of(self, member: Member[Any]) -> Pool:
        """Connections to a replica; to its new address where that changed."""
        pool = self._pools.get(member.id)
        if pool is None or pool.address != member.address:
            if pool is not None:
                pool.retire()
            pool = self._pools[member.id] = Pool(member.address, self._clock)
        return pool

    def well(self, replica: str) -> bool:
        """A replica began to answer; True where this is its first answer."""
        if self._pauses:
            self._pauses.pop(replica, None)
        if replica in self._answered:
            return False
        self._answered.add(replica)
        return True

    def pause(self, replica: str) -> float:
        """A replica refused a connection: seconds for which to leave it alone."""
        shortest, longest = SUSPEND_SECONDS
        pause = self._pauses.get(replica, shortest)
        self._pauses[replica] = min(longest, pause * 2)
        return pause

    def settle(self, members: dict[str, Member[Any]]) -> None:
        """The routing changed: close connections to replicas that are leaving, keep those to the others."""
        for replica, pool in list(self._pools.items()):
            member = members.get(replica)
            if member is None:
                self.drop(replica)
            elif member.leaving:
                pool.retire()
            else:
                pool.revive()

    def retire(self, replica: str) -> None:
        """Close the connections to a replica that gets no new requests."""
        pool = self._pools.get(replica)
        if pool is not None:
            pool.retire()

    def drop(self, replica: str) -> None:
        """Close the connections to a replica, and forget it."""
        self.retire(replica)
        self._pools.pop(replica, None)
        self._answered.discard(replica)
        self._pauses.pop(replica, None)
