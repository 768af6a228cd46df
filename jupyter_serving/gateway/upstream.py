"""The HTTP/1.1 client side: keep-alive connections to one replica, answers streamed, failures told apart.

What matters about a lost connection is whether the replica may have begun the request. Only one that surely never
began may be sent again without limit, one that perhaps began once, any other never: a request that kills its replica
must not kill the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import httptools

from .heads import Headers

CONNECT_SECONDS = 5.0
# A keep-alive connection that ends this soon after a request was written may have been closed just before it.
RACE_SECONDS = 1.0
JOIN_BYTES = 64 * 1024


class Loss(Enum):
    """What is known about a request whose connection is lost."""

    NEVER_BEGAN = "never began"
    PERHAPS = "perhaps began"
    BEGAN = "began"


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """Status and headers (names in lower case) of a replica's answer."""

    status: int
    headers: Headers


class Caller(Protocol):
    """Whoever sends a request to a replica.

    It is told the outcome exactly once: the end of an answer, ``on_lost``, or ``on_unwanted``.
    """

    def still_wanted(self) -> bool:
        """Asked before the request is written to a fresh connection."""

    def on_unwanted(self) -> None:
        """It was not wanted any more and has not been sent."""

    def on_sent(self, connection: ReplicaConnection) -> None:
        """The request is being written to this connection."""

    def on_answer(self, head: AnswerHead | None, body: bytes, end: bool) -> None:
        """A part of the answer: the head comes with the first part only."""

    def on_lost(self, loss: Loss, reason: str) -> None:
        """No (further) answer will come."""


class ReplicaConnection(asyncio.Protocol):
    """One connection to a replica; carries one request at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser: Any = None
        self._transport: Any = None
        self._caller: Caller | None = None
        self._used = False
        self._sent_at = 0.0
        self._headers: Headers = []
        self._head: AnswerHead | None = None
        self._begun = False
        self._parts: list[bytes] = []
        self._complete = False
        self._stays = False
        self._closed_for = ""

    @property
    def usable(self) -> bool:
        """True while a request may be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, caller: Caller, head: bytes, body: bytes) -> None:
        """Send one request; ``caller`` hears of the answer."""
        self._caller = caller
        self._sent_at = self._pool.clock()
        self._begun = self._complete = False
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        caller.on_sent(self)
        if len(body) <= JOIN_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def pause(self, paused: bool) -> None:
        """Stop or go on reading the answer (the client is slow)."""
        if self._transport.is_closing():
            return
        if paused:
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            self._transport.resume_reading()

    def close(self, reason: str = "") -> None:
        """Close; a request on it is lost for ``reason``."""
        self._closed_for = reason
        self._transport.abort()

    # --- asyncio.Protocol ---------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Connected."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        caller = self._caller
        if caller is None:
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._caller = None
            self._transport.abort()
            caller.on_lost(Loss.BEGAN, f"it answered something that is not HTTP/1.1 ({error})")
            return
        head, self._head = self._head, None
        if head is None and not self._parts and not self._complete:
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if self._complete:
            self._end(caller, head, body)
        else:
            caller.on_answer(head, body, False)

    def eof_received(self) -> bool | None:
        """The replica closed; ``connection_lost`` follows."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: with a request on it, that request is lost."""
        self._pool.forget(self)
        caller, self._caller = self._caller, None
        if caller is None:
            return
        if self._begun and exc is None and self._ends_with_connection():
            caller.on_answer(None, b"", True)
            return
        reason = self._closed_for or (f"{exc}" if exc else "it closed the connection")
        caller.on_lost(self._judge(exc), f"{reason} ({self._pool.address})")

    # --- httptools callbacks ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins."""
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header (or a trailer, which nobody reads)."""
        if not self._begun:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete; informational ones (1xx) are skipped."""
        status = self._parser.get_status_code()
        if status >= 200:
            self._head = AnswerHead(status, self._headers)
            self._begun = True

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """The answer is complete; only here does the parser know whether the connection stays."""
        self._complete = self._begun
        self._stays = self._parser.should_keep_alive()

    # --- inside -------------------------------------------------------------------------------------

    def _end(self, caller: Caller, head: AnswerHead | None, body: bytes) -> None:
        self._caller = None
        self._used = True
        # The connection goes back first: what the caller does next may need it.
        if self._stays:
            self._pool.give(self)
        else:
            self._transport.close()
        caller.on_answer(head, body, True)

    def _ends_with_connection(self) -> bool:
        framing = (b"content-length", b"transfer-encoding")
        return not any(name in framing for name, _ in self._headers)

    def _judge(self, exc: Exception | None) -> Loss:
        if self._begun:
            return Loss.BEGAN
        # A unix socket tells for sure, also on a kept connection. Linux resets its peer exactly where bytes were left
        # unread: a request that was not read whole cannot have begun. An orderly end means that all was read, and a
        # replica that closes an idle connection does not read from it first. (TCP resets for other reasons too.)
        reset = isinstance(exc, (ConnectionResetError, BrokenPipeError))
        if reset and self._pool.local:
            return Loss.NEVER_BEGAN
        if self._pool.local:
            return Loss.BEGAN
        fast = self._pool.clock() - self._sent_at < RACE_SECONDS
        return Loss.PERHAPS if self._used and fast else Loss.BEGAN


class Pool:
    """All connections to one replica.

    Args:
        address: ``unix:/path`` or ``tcp:host:port``.
        clock: monotonic seconds.
    """

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self.clock = clock
        self._idle: list[ReplicaConnection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._retired = False

    @property
    def local(self) -> bool:
        """True for a unix socket."""
        return self.address.startswith("unix:")

    def request(self, caller: Caller, head: bytes, body: bytes) -> None:
        """Send a request on an idle connection, or on a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.send(caller, head, body)
                return
        task = asyncio.get_running_loop().create_task(self._on_new(caller, head, body))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def give(self, connection: ReplicaConnection) -> None:
        """Take back a connection whose answer is complete."""
        if self._retired:
            connection.close()
        else:
            self._idle.append(connection)

    def forget(self, connection: ReplicaConnection) -> None:
        """A connection is gone."""
        if connection in self._idle:
            self._idle.remove(connection)

    def retire(self) -> None:
        """Close idle connections now, and the others with the end of their answer."""
        self._retired = True
        while self._idle:
            self._idle.pop().close()

    def revive(self) -> None:
        """Keep connections again: the replica is back in the routing."""
        self._retired = False

    async def _on_new(self, caller: Caller, head: bytes, body: bytes) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._connect()
        except TimeoutError:
            reason = f"no connection within {CONNECT_SECONDS:.0f} s ({self.address})"
            caller.on_lost(Loss.NEVER_BEGAN, reason)
        except (OSError, ValueError) as error:
            caller.on_lost(Loss.NEVER_BEGAN, f"{error} ({self.address})")
        else:
            if caller.still_wanted():
                connection.send(caller, head, body)
            else:
                self.give(connection)
                caller.on_unwanted()

    async def _connect(self) -> ReplicaConnection:
        loop = asyncio.get_running_loop()
        kind, _, place = self.address.partition(":")
        if kind == "unix":
            _, connection = await loop.create_unix_connection(
                lambda: ReplicaConnection(self), place
            )
        elif kind == "tcp":
            host, _, port = place.rpartition(":")
            host = host.strip("[]")
            _, connection = await loop.create_connection(
                lambda: ReplicaConnection(self), host, int(port)
            )
        else:
            raise ValueError(f"unknown kind of address {self.address!r}")
        return connection
