"""The front's side of one worker."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, Dict, List, Optional, Protocol, Tuple

from . import frames
from .answers import Failure
from .calls import Call

_BUFFER = 1 << 20  # bytes in the socket pair, so that a group or its answers need no second turn
_TOGETHER = 65536


class Hearer(Protocol):
    """Who hears what a worker says."""

    def heard(self, link: Link, frame: frames.Frame) -> None:
        """A frame has come."""

    def lost(self, link: Link) -> None:
        """The worker closed its side."""


class Link(asyncio.Protocol):
    """One worker.

    ``state``: loading, idle, busy, ending; ``group``: calls by place, None once answered; ``begun``: when it got them.
    """

    def __init__(self, hearer: Hearer, slot: int, pid: int) -> None:
        self._hearer = hearer
        self._unpacker = frames.Unpacker()
        self._transport: Any = None
        self.slot = slot
        self.pid = pid
        self.state = "loading"
        self.begun = 0.0
        self.group: List[Optional[Call]] = []
        self.report: Dict[str, Any] = {}
        self.failure: Optional[Failure] = None
        self.status: Optional[int] = None
        self.closed = False

    @property
    def batch_size(self) -> int:
        """Most requests that this worker takes at a time."""
        return int(self.report.get("batch", {}).get("max_size", 1))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the worker."""
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)

    def data_received(self, data: bytes) -> None:
        """Take frames of the worker."""
        for frame in self._unpacker.feed(data):
            self._hearer.heard(self, frame)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """The worker closed its side: it is dead or dying."""
        self.closed = True
        self._hearer.lost(self)

    def send(self, calls: List[Call]) -> None:
        """Begin a group."""
        self.state = "busy"
        self.group = list(calls)
        requests: List[Tuple[int, bytes, bytes]] = []
        for call in calls:
            call.stage = "computing"
            requests.append((call.what, call.headers, call.body))
        if self._transport is None:
            return
        if len(calls) == 1 and len(calls[0].body) > _TOGETHER:
            self._transport.write(frames.group_head(requests[0]))
            self._transport.write(calls[0].body)
        else:
            self._transport.write(frames.group(requests))

    def unanswered(self) -> List[Call]:
        """Calls of the group that have no answer; the group is over with this."""
        calls = [call for call in self.group if call is not None and call.stage != "over"]
        self.group = []
        return calls

    def cancel(self) -> None:
        """Nobody reads the stream that the worker sends."""
        if self._transport is not None:
            self._transport.write(frames.CANCELLED)
            self._transport.resume_reading()

    def pause(self) -> None:
        """Let the worker wait: it sends a stream faster than the client reads."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Forget the worker."""
        if self._transport is not None:
            self._transport.abort()

    @staticmethod
    def told(frame: frames.Frame) -> Dict[str, Any]:
        """The fields of an event."""
        fields: Dict[str, Any] = json.loads(frame.content)
        return fields
