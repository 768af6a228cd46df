"""One client's HTTP connection: bytes to requests, answers to bytes."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Callable, Optional, Protocol, Set, Tuple

from . import http1

_PIPELINED = 65536


class Server(Protocol):
    """What a connection needs of the front."""

    max_body: int
    draining: bool
    connections: Set[Connection]

    def handle(self, connection: Connection, request: http1.Request) -> None:
        """Answer a request, now or later, with ``connection.reply``."""

    def left(self, connection: Connection) -> None:
        """The connection is closed."""


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other."""

    def __init__(self, front: Server) -> None:
        self._front = front
        self._parser = http1.Parser(front.max_body)
        self._transport: Any = None
        self.request: Optional[http1.Request] = None
        self.abandon: Optional[Callable[[], None]] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the front's connections."""
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio leaves Nagle's algorithm on where the listening socket was made with protocol 0
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._front.connections.add(self)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Leave; a request that still waits is dropped."""
        abandon, self.abandon = self.abandon, None
        if abandon is not None:
            abandon()
        self._front.left(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the next request."""
        self._parser.feed(data)
        self._pump()
        if self.request is not None and self._parser.pending > _PIPELINED:
            self._transport.pause_reading()

    def _pump(self) -> None:
        while self.request is None and not self._transport.is_closing():
            try:
                request = self._parser.next()
            except http1.Malformed as malformed:
                self.request = http1.Request("", "", {}, b"", False)
                self.reply(400, http1.error_body("BAD_REQUEST", str(malformed)))
                return
            if request is None:
                if self._parser.wants_continue:
                    self._parser.wants_continue = False
                    self._transport.write(http1.CONTINUE)
                return
            self.request = request
            self._front.handle(self, request)

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Tuple[Tuple[str, str], ...] = (),
    ) -> None:
        """Answer the current request and go on with the next one."""
        request, self.request, self.abandon = self.request, None, None
        if request is None or self._transport.is_closing():
            return
        keep = request.keep_alive and not self._front.draining
        fields = [("content-type", content_type), *headers]
        identity = request.headers.get("x-request-id")
        if identity is not None:
            fields.append(("x-request-id", identity))
        self._transport.write(http1.answer(status, body, fields, keep))
        if not keep:
            self._transport.close()
        elif self._parser.pending:
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._pump)

    def close_if_idle(self) -> None:
        """Close unless a request is on its way or being answered."""
        if self.request is None and self._parser.idle:
            self._transport.close()
