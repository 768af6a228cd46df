"""Connections that each have at most one request under way."""

from __future__ import annotations

import socket
import time
from array import array

from . import response
from .orders import Result, Target

# Larger buffers are mapped and unmapped by the C library for every answer, which costs more than all the rest.
CHUNK = 1 << 16
CONNECT_SECONDS = 10.0


def connect(address: str) -> socket.socket:
    """A connection to a unix socket or ``host:port``, non-blocking, without Nagle's delay."""
    if address.startswith("/"):
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(CONNECT_SECONDS)
        link.connect(address)
    else:
        host, _, port = address.rpartition(":")
        link = socket.create_connection((host, int(port)), CONNECT_SECONDS)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setblocking(False)
    return link


class Connections:
    """Connections to one target, known by file descriptor; writes what happens into ``result``.

    ``times`` are the seconds of every answer in the order in which they came.
    """

    def __init__(self, target: Target, count: int, result: Result) -> None:
        self._target, self._result = target, result
        self._turn = 0
        self._links: dict[int, socket.socket] = {}
        self._started: dict[int, float] = {}
        self._asked: dict[int, int] = {}
        self._partial: dict[int, bytes] = {}
        self.times = array("d")
        for _ in range(count):
            link = connect(target.address)
            self._links[link.fileno()] = link

    @property
    def numbers(self) -> list[int]:
        """File descriptors of all connections."""
        return list(self._links)

    def ask(self, number: int, begun: float) -> None:
        """Send the next request; its time counts from ``begun`` (``time.perf_counter()``)."""
        turn = self._turn
        self._turn = turn + 1 if turn + 1 < len(self._target.requests) else 0
        self._asked[number] = turn
        self._started[number] = begun
        request = self._target.requests[turn]
        if self._links[number].send(request) != len(request):
            raise OSError("a request did not fit into the socket's buffer")

    def take(self, number: int) -> bool:
        """Read what has come; True when the connection's answer is whole.

        Raises:
            ConnectionError: the connection has ended; it is counted and closed.
        """
        try:
            data = self._links[number].recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            data, why = b"", repr(error)
        else:
            why = "the server closed the connection"
        if not data:
            self._break(number, why)
        now = time.perf_counter()
        if number not in self._partial and response.is_plain(
            data, self._target.answers[self._asked[number]]
        ):
            self.times.append(now - self._started[number])
            return True
        if not self._judge(number, self._partial.pop(number, b"") + data):
            return False
        self.times.append(now - self._started[number])
        return True

    def _judge(self, number: int, data: bytes) -> bool:
        try:
            found = response.split(data)
        except response.Malformed as error:
            self._break(number, str(error))
        if found is None:
            self._partial[number] = data
            return False
        status, body, rest = found
        if status != 200 or rest or not response.equal(body, self._answer(number)):
            self._result.wrong += 1
            self._result.fault(f"status {status}: {body[:300]!r}")
        return True

    def _answer(self, number: int) -> bytes:
        return self._target.answers[self._asked[number]]

    def _break(self, number: int, why: str) -> None:
        self._result.broken += 1
        self._result.fault(why)
        self._partial.pop(number, None)
        self._links.pop(number).close()
        raise ConnectionError(why)

    def renew(self) -> int:
        """Open a connection in place of one that broke; returns its number."""
        link = connect(self._target.address)
        self._links[link.fileno()] = link
        return link.fileno()

    def close(self) -> None:
        """Close all."""
        for link in self._links.values():
            link.close()
        self._links.clear()
