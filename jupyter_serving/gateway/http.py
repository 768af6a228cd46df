"""The HTTP/1.1 server side: strict parsing, keep-alive, pipelining, limits, refusals that the client can read.

A body is read whole before it is served: a slow upload holds no slot, and a request that never began can be sent
to another replica. What is read and refused by its framing alone is in ``framing``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import httptools

from ..errors import PermissionDenied, ServingError
from . import framing, refusals
from .connections import Connections
from .request import Application, Peer, Request
from .tokens import is_own_user

Watched = Literal["nothing", "head", "body", "linger", "turned away"]
# Longest time for a head and for a body, from the moment that a part of it is here; a refused client may go on sending
# for the third one, so that it gets to read its answer (shorter where there are too many connections).
SECONDS: dict[Watched, float] = {"head": 20.0, "body": 300.0, "linger": 30.0, "turned away": 1.0}
# A client that takes nothing of its answer for so long has stopped reading.
STALL_SECONDS = 60.0
LINGER_BYTES = 512 * 1024 * 1024


class Stage(Enum):
    """What a connection does with bytes that arrive."""

    PARSING = "parsing"
    IGNORING = "ignoring: no further request will be read"
    LINGERING = "ignoring, until the client has read the last answer"
    CLOSED = "closed"


class Connection(asyncio.Protocol):
    """One client connection.

    Args:
        app: what serves its requests.
        connections: where it is registered while it lives.
        trusted: True for a unix socket, which only this user may use.
    """

    def __init__(
        self,
        app: Application,
        connections: Connections,
        *,
        trusted: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._connections = connections
        self._trusted = trusted
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._stage = Stage.PARSING
        self._incoming: Request | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._pending: deque[Request] = deque()
        self._active: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watched: Watched = "nothing"
        self._stalled: asyncio.TimerHandle | None = None
        self._ignored = 0
        self.peer: Peer | None = None

    # --- asyncio.Protocol ---------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """A client connected; a unix socket is for this user only."""
        self._transport = transport
        roomy = self._connections.join(self)
        if self._trusted:
            # Only this user's programs get here: a flood on TCP must not shut Jupyter out.
            if is_own_user(transport.get_extra_info("socket")):
                self._connections.idle(self)
            else:
                self._turn_away(
                    PermissionDenied("This socket is for the user who runs the gateway.")
                )
        elif roomy:
            self._connections.idle(self)
        elif self._connections.overrun:
            transport.abort()
        else:
            self._turn_away(framing.too_many(self._connections.most))

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._stage is not Stage.PARSING:
            self._ignored += len(data)
            if self._ignored > LINGER_BYTES:
                self._transport.abort()
            return
        before = self._incoming
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._stay_http()
        except httptools.HttpParserError as error:
            # llhttp also complains about bytes after "connection: close": those are ours to ignore.
            if self._stage is Stage.PARSING:
                self._refuse(framing.malformed(error))
        incoming = self._incoming
        if incoming is not None and (incoming is before or not incoming.method):
            self._limit_unfinished(incoming, len(data))
        self._advance()

    def eof_received(self) -> bool | None:
        """The client closed its side: it waits for no answer."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._stage = Stage.CLOSED
        self._connections.leave(self)
        self._watch("nothing")
        self._unstall()
        self._pending.clear()
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.client_gone()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        if self._stalled is None:
            self._stalled = self._loop.call_later(STALL_SECONDS, self._transport.abort)
        if self.peer is not None:
            self.peer.client_slow(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._unstall()
        if self.peer is not None:
            self.peer.client_slow(False)

    # --- httptools callbacks ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._stage is Stage.PARSING:
            self._incoming = Request(self._clock(), self._trusted)
            self._head_bytes = self._body_bytes = 0
            self._connections.busy(self)

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        if self._incoming is not None:
            self._incoming.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer (which is dropped)."""
        request = self._incoming
        if request is not None and not request.method:
            request.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete: admit or refuse it before its body comes."""
        request = self._incoming
        if request is None:
            return
        request.method = self._parser.get_method().decode("latin-1")
        request.version = self._parser.get_http_version()
        request.keep_alive = self._parser.should_keep_alive()
        declared = None
        try:
            request.noted = framing.note(request.url, request.headers)
            declared = framing.body_length(request.noted, request.version)
            request.limit = self._app.admit(request)
            if declared is not None and declared > request.limit:
                raise framing.too_large(declared, request.limit)
        except ServingError as error:
            request.fault = error
            expects = framing.expects_continue(request.noted)
            if expects or declared is None or declared > framing.SKIP_BYTES:
                self._refuse(error)
            return
        if b"expect" in request.noted and framing.expects_continue(request.noted):
            self._continue()

    def _continue(self) -> None:
        """Ask for the body, unless earlier answers have to come first: the client then sends it unasked."""
        if self._active is None and not self._pending:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        request = self._incoming
        if request is None or request.fault is not None:
            return
        request.size += len(data)
        request.parts.append(data)
        if request.size > request.limit:
            self._refuse(framing.too_large(None, request.limit))

    def on_message_complete(self) -> None:
        """A request is complete."""
        request, self._incoming = self._incoming, None
        if request is None:
            return
        request.body = request.parts[0] if len(request.parts) == 1 else b"".join(request.parts)
        request.parts.clear()
        self._pending.append(request)
        if not request.keep_alive:
            self._stage = Stage.IGNORING

    # --- Client: for whoever answers ----------------------------------------------------------------

    def send(self, data: bytes, *, end: bool) -> None:
        """Write a part of the answer to the current request; ``end`` marks the last one."""
        if self._stage is Stage.CLOSED:
            return
        if data:
            self._transport.write(data)
        if end:
            self._finish()

    def abort(self) -> None:
        """Break off: the client sees that the answer is incomplete."""
        self.peer = None
        if self._stage is not Stage.CLOSED:
            self._transport.abort()

    def close_if_idle(self) -> None:
        """Close where no request is being read or answered; else the current one is the last."""
        if self._active is None and not self._pending and self._incoming is None:
            self._close()

    # --- the course of requests ---------------------------------------------------------------------

    def _advance(self) -> None:
        """Serve what waits on this connection, one after the other."""
        while self._active is None and self._pending and self._stage is not Stage.CLOSED:
            request = self._active = self._pending.popleft()
            if self._connections.last:
                request.keep_alive = False
            if request.fault is None:
                self._app.serve(request, self)
            else:
                self.send(refusals.answer(request.fault, request), end=True)
        self._set_pace()

    def _set_pace(self) -> None:
        """Stop reading while pipelined requests wait; watch the time of a request that is only half here."""
        if self._stage in (Stage.CLOSED, Stage.LINGERING) or self._transport.is_closing():
            return
        if self._pending:
            self._transport.pause_reading()
            self._watch("nothing")
            return
        if not self._transport.is_reading():
            self._transport.resume_reading()
        if self._incoming is None or self._stage is Stage.IGNORING:
            self._watch("nothing")
        else:
            self._watch("body" if self._incoming.head_complete else "head")

    def _finish(self) -> None:
        """The answer to the current request has been written."""
        request, self._active, self.peer = self._active, None, None
        if request is None:
            return
        if not request.whole:
            self._linger()
        elif not request.keep_alive or self._connections.closing:
            self._close()
        elif self._pending:
            self._loop.call_soon(self._advance)
        elif self._incoming is None:
            self._connections.idle(self)

    def _refuse(self, fault: ServingError) -> None:
        """Answer the request that is being read without reading on."""
        request = self._incoming or Request(self._clock(), self._trusted)
        self._incoming = None
        request.fault, request.keep_alive, request.whole = fault, False, False
        request.parts.clear()
        self._pending.append(request)
        self._stage = Stage.IGNORING

    def _turn_away(self, fault: ServingError) -> None:
        """Refuse the connection as such, whatever it is going to ask."""
        self._refuse(fault)
        self._advance()
        self._watch("turned away")

    def _close(self) -> None:
        """Close once everything is written; a client that does not take it is not waited for."""
        self._stage = Stage.IGNORING
        self._transport.close()
        self._watch("linger")

    def _unstall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _linger(self) -> None:
        """Close so that the client sees the answer: unread bytes at a close would reset the connection."""
        self._stage = Stage.LINGERING
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._watch("linger")

    def _stay_http(self) -> None:
        """The client wishes another protocol (h2c): answer this request in HTTP/1.1, then close."""
        self._stage = Stage.IGNORING
        if self._pending:
            self._pending[-1].keep_alive = False

    def _limit_unfinished(self, request: Request, received: int) -> None:
        """Refuse what never ends: the parser keeps an unfinished header, and all of a chunk's framing, to itself."""
        if request.fault is not None:
            return
        if request.head_complete:
            self._body_bytes += received
            if framing.excessive(self._body_bytes, request.size):
                self._refuse(framing.too_much_framing())
        else:
            self._head_bytes += received
            if self._head_bytes > framing.HEAD_BYTES:
                self._refuse(framing.head_too_large())

    def _watch(self, what: Watched) -> None:
        """Have one timer for ``what``; a timer that already runs for it goes on."""
        if what == self._watched:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watched = what
        if what != "nothing":
            self._timer = self._loop.call_later(SECONDS[what], self._too_slow, what)

    def _too_slow(self, what: Watched) -> None:
        self._timer, self._watched = None, "nothing"
        if what in ("linger", "turned away"):
            self._transport.abort()
        else:
            self._refuse(framing.too_slow(what, SECONDS[what]))
            self._advance()
