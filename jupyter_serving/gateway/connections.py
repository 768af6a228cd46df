"""All client connections: how many there may be, which of them are idle and for how long."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

# Of all files that the process may open; the others are for replicas, the link, and the state.
SHARE_OF_FILES = 0.75
# Connections that are being refused may exist beside the others, up to this many.
REFUSED = 64


class Member(Protocol):
    """A connection, as far as its number and its idleness go."""

    def close_if_idle(self) -> None:
        """Close it unless a request is being read or answered."""


def from_file_limit() -> int:
    """The number of connections that the limit on open files leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**20 if soft == resource.RLIM_INFINITY else max(16, int(soft * SHARE_OF_FILES))


class Connections:
    """The client connections of this process.

    Args:
        idle_seconds: a connection without a request for this long is closed.
        most: how many there may be; 0 derives it from the limit on open files.
    """

    def __init__(
        self,
        idle_seconds: float = 600.0,
        most: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.all: set[Member] = set()
        # The answer to a request that begins now is its connection's last, and says so.
        self.last = False
        self.closing = False
        self.most = most or from_file_limit()
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._idle: OrderedDict[Member, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, member: Member) -> bool:
        """Register a connection; where there are too many, the longest idle one is closed for it.

        Returns False where none is idle: the new one has to be refused. It is registered even so.
        """
        self.all.add(member)
        if len(self.all) <= self.most:
            return True
        if not self._idle:
            return False
        oldest, _ = self._idle.popitem(last=False)
        oldest.close_if_idle()
        return True

    def leave(self, member: Member) -> None:
        """A connection is gone."""
        self.all.discard(member)
        self._idle.pop(member, None)

    @property
    def overrun(self) -> bool:
        """True where even those that are being refused have become too many."""
        return len(self.all) > self.most + REFUSED

    def idle(self, member: Member) -> None:
        """A connection has no request from now on."""
        self._idle[member] = self._clock()
        if self._timer is None:
            self._watch()

    def busy(self, member: Member) -> None:
        """A request begins on a connection."""
        self._idle.pop(member, None)

    def close_idle(self) -> None:
        """Close what is idle now, and everything else after its current answer."""
        self.last = self.closing = True
        if self._timer is not None:
            self._timer.cancel()
        for member in list(self.all):
            member.close_if_idle()

    def retire(self) -> None:
        """Let each connection's next answer be its last.

        Idle ones stay, for a request may be on its way to them, and so do those whose present answer has promised it.
        """
        self.last = True

    def _watch(self) -> None:
        """Wake when the longest idle connection has been so for too long; those that begin later come after it."""
        self._timer = None
        now = self._clock()
        while self._idle:
            member, since = next(iter(self._idle.items()))
            left = since + self._idle_seconds - now
            if left > 0:
                self._timer = asyncio.get_running_loop().call_later(left, self._watch)
                return
            del self._idle[member]
            member.close_if_idle()
