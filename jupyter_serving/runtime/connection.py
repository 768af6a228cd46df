"""One client's HTTP connection: bytes to requests, answers to bytes."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Callable, Dict, Optional, Protocol, Set

from . import http1
from .answers import Answer

_PIPELINED = 65536
_TOGETHER = 65536  # bytes of an answer that are cheaper to copy than to send by themselves
# Seconds a client may take for the header, for the body, and to read an answer that fills the buffers.
HEAD_SECONDS = 20.0
BODY_SECONDS = 300.0
READ_SECONDS = 300.0


class Source(Protocol):
    """Where the pieces of a stream come from."""

    def pause(self) -> None:
        """Send no more for now."""

    def resume(self) -> None:
        """Send on."""


class Server(Protocol):
    """What a connection needs of the front. ``limits``: loop time until which a connection has to move on."""

    max_body: int
    draining: bool
    connections: Set[Connection]
    limits: Dict[Connection, float]

    def handle(self, connection: Connection, request: http1.Request) -> None:
        """Answer a request, now or later, with ``connection.reply``."""

    def limit(self, connection: Connection, seconds: float) -> None:
        """Call ``connection.overdue`` unless the connection moves on within ``seconds``."""

    def left(self, connection: Connection) -> None:
        """The connection is closed."""

    def notice(self) -> str:
        """Header lines that tell the gateway something, once; mostly empty."""


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other.

    ``phase``: idle, head (part of a header has come), body, asked (a request is being answered), unread (the client
    does not read its answer).
    """

    def __init__(self, front: Server) -> None:
        self._front = front
        self._parser = http1.Parser(front.max_body)
        self._transport: Any = None
        self._source: Optional[Source] = None
        self.phase = "idle"
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
        self._front.limits.pop(self, None)
        self._leave()
        self._front.left(self)

    def _leave(self) -> None:
        abandon, self.abandon, self._source = self.abandon, None, None
        if abandon is not None:
            abandon()

    # Requests

    def data_received(self, data: bytes) -> None:
        """Take bytes of the next request."""
        self._parser.feed(data)
        if self.request is None and self.phase != "unread":
            self._pump()
        if self._parser.pending > _PIPELINED and self.phase in ("asked", "unread"):
            self._transport.pause_reading()

    def _pump(self) -> None:
        if self.request is not None or self.phase == "unread" or self._transport.is_closing():
            return
        try:
            request = self._parser.next()
        except http1.Malformed as malformed:
            self._refuse(str(malformed))
            return
        if request is None:
            self._await_rest()
            return
        if self.phase in ("head", "body"):
            self._front.limits.pop(self, None)
        self.phase, self.request = "asked", request
        self._front.handle(self, request)

    def _await_rest(self) -> None:
        parser = self._parser
        phase = "body" if parser.in_body else "idle" if parser.idle else "head"
        if phase != self.phase:
            self.phase = phase
            if phase == "idle":
                self._front.limits.pop(self, None)
            else:
                self._front.limit(self, HEAD_SECONDS if phase == "head" else BODY_SECONDS)
        if parser.wants_continue:
            parser.wants_continue = False
            self._transport.write(http1.CONTINUE)

    def _refuse(self, message: str) -> None:
        self.request = http1.Request("", "", {}, b"", False)
        self.reply(400, http1.error_body("BAD_REQUEST", message))

    def overdue(self) -> None:
        """The client took too long for what ``phase`` says."""
        if self.phase == "unread":
            self._transport.abort()
        elif self.phase in ("head", "body"):
            name, seconds = (
                ("header", HEAD_SECONDS) if self.phase == "head" else ("body", BODY_SECONDS)
            )
            self._refuse(f"The request's {name} did not come completely within {seconds:.0f} s.")

    # Answers

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered: nothing new is begun until it has read."""
        if self._source is not None:
            self._source.pause()
        else:
            self.phase = "unread"
        self._front.limit(self, READ_SECONDS)

    def resume_writing(self) -> None:
        """The client has read."""
        self._front.limits.pop(self, None)
        if self._source is not None:
            self._source.resume()
        elif self.phase == "unread":
            self.phase = "asked" if self.request is not None else "idle"
            self._go_on()

    def reply(
        self, status: int, body: bytes, content_type: str = "application/json", more: str = ""
    ) -> None:
        """Answer the current request and go on with the next one; ``more``: header lines with their line ends."""
        request = self.request
        transport = self._transport
        if request is None or transport.is_closing():
            self.request = self.abandon = self._source = None
            return
        keep = request.keep_alive and not self._front.draining
        framing = f"content-length: {len(body)}\r\n"
        head = http1.answer(status, content_type, framing + self._named(request, more), keep)
        if request.method == "HEAD":
            transport.write(head)
        elif len(body) < _TOGETHER:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        self._done(keep)

    def _named(self, request: http1.Request, more: str) -> str:
        identity = request.headers.get("x-request-id")
        return more if identity is None else f"{more}x-request-id: {identity}\r\n"

    def _done(self, keep: bool) -> None:
        self.request = self.abandon = self._source = None
        if self.phase != "unread":
            self.phase = "idle"
        if not keep:
            self._transport.close()
        elif self._parser.pending:
            self._go_on()

    def _go_on(self) -> None:
        if self._parser.pending and not self._transport.is_closing():
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._pump)

    # The client of a call

    def answer(self, answer: Answer) -> None:
        """Answer with what the call for the current request ended with."""
        status, body, content_type, milliseconds, batch, more = answer
        more += self._front.notice()
        if milliseconds is not None:
            together = f", batch;desc={batch}" if batch > 1 else ""
            more = f"{more}server-timing: predict;dur={milliseconds:.3f}{together}\r\n"
        self.reply(status, body, content_type, more)

    def begin(self, content_type: str, source: Source) -> None:
        """Begin to answer in pieces, in chunks where the client knows them, else until the end of the connection."""
        request = self.request
        if request is None or self._transport.is_closing():
            return
        self._source = source
        keep = request.keep_alive and not self._front.draining
        framing = "transfer-encoding: chunked\r\n" if request.modern else ""
        more = framing + self._named(request, self._front.notice()) + "cache-control: no-cache\r\n"
        self._transport.write(http1.answer(200, content_type, more, keep))

    def piece(self, data: bytes) -> None:
        """Pass on one piece."""
        request = self.request
        if data and request is not None and not self._transport.is_closing():
            self._transport.write(http1.chunk(data) if request.modern else data)

    def end(self) -> None:
        """The stream is complete."""
        request = self.request
        if request is not None and not self._transport.is_closing():
            if request.modern:
                self._transport.write(http1.LAST_CHUNK)
            if self._source is not None:
                self._front.limits.pop(self, None)
            self._done(request.keep_alive and not self._front.draining)

    def cut(self) -> None:
        """The stream cannot be completed: the client sees that its end is missing."""
        self._source = self.abandon = None
        self._transport.abort()

    def close_if_idle(self) -> None:
        """Close unless a request is on its way or being answered."""
        if self.request is None and self._parser.idle:
            self._transport.close()
