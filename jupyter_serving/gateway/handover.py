"""Hand-over: a successor takes the listening socket of a gateway that runs, so no connection is refused or lost.

The one that runs offers it on a unix socket (0600, this user's processes only): whoever connects is given the
descriptors of the lock and of the TCP socket (``SCM_RIGHTS``, unix(7)). Both processes share one accept queue then, so
whatever is in it is taken by one or the other. The successor says ``bound`` when it answers on the unix sockets, and
``serving`` when it takes requests; one that ends before has changed nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import listeners
from .tokens import is_own_user

SECONDS = 10.0
_MOST_DESCRIPTORS = 2


class Predecessor(Protocol):
    """The gateway that hands over, as its offer tells it what happens."""

    def descriptors(self) -> list[int]:
        """Of the lock, and of the TCP socket where there is one; what a successor reads from disk is written."""

    def bound(self) -> None:
        """A successor answers on the unix sockets: no controller comes here any more."""

    def succeeded(self) -> None:
        """A successor takes the requests."""

    def deserted(self) -> None:
        """The successor has ended before it served: everything is as before but for the unix sockets."""


class Offer:
    """The offer of a gateway that runs, for one successor at a time."""

    def __init__(self, path: Path, predecessor: Predecessor) -> None:
        self._path, self._predecessor = path, predecessor
        self._loop = asyncio.get_running_loop()
        self._listening: socket.socket | None = None
        self._heir: socket.socket | None = None
        self._said = b""

    def open(self) -> None:
        """Listen for a successor."""
        self._listening = listeners.bind_unix(self._path)
        self._listening.setblocking(False)
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def close(self, *, unlink: bool) -> None:
        """Listen no more; ``unlink`` where no successor has taken the path."""
        self._leave_heir()
        if self._listening is not None:
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None
            if unlink:
                self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            heir, _ = self._listening.accept()
        except OSError:
            return
        if self._heir is not None or not is_own_user(heir):
            heir.close()
            return
        try:
            socket.send_fds(heir, [b"lock,tcp\n"], self._predecessor.descriptors())
        except OSError:
            heir.close()
            return
        heir.setblocking(False)
        self._heir, self._said = heir, b""
        self._loop.add_reader(heir.fileno(), self._hear, heir)

    def _hear(self, heir: socket.socket) -> None:
        try:
            data = heir.recv(64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._leave_heir()
            self._predecessor.deserted()
            return
        *words, self._said = (self._said + data).split(b"\n")
        for word in words:
            if word == b"bound":
                self._predecessor.bound()
            elif word == b"serving":
                self._leave_heir()
                self._predecessor.succeeded()

    def _leave_heir(self) -> None:
        if self._heir is not None:
            self._loop.remove_reader(self._heir.fileno())
            self._heir.close()
            self._heir = None


@dataclass
class Inheritance:
    """What a successor was given; ``tcp`` is None where the predecessor had no TCP socket."""

    lock: int
    tcp: socket.socket | None
    _channel: socket.socket

    def say(self, word: str) -> None:
        """Tell the predecessor ``bound`` or ``serving``; one that is gone needs no telling."""
        try:
            self._channel.sendall(word.encode() + b"\n")
        except OSError:
            pass

    def close(self) -> None:
        """Leave the channel."""
        self._channel.close()


def inherit(path: Path) -> Inheritance | None:
    """Ask the gateway that offers itself on ``path``; None where none does, or another successor was faster. Blocks."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(SECONDS)
    try:
        channel.connect(str(path))
        _, descriptors, _, _ = socket.recv_fds(channel, 64, _MOST_DESCRIPTORS)
    except OSError:
        descriptors = []
    if not descriptors:
        channel.close()
        return None
    for descriptor in descriptors:
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    lock, *sockets = descriptors
    tcp = socket.socket(fileno=sockets[0]) if sockets else None
    return Inheritance(lock, tcp, channel)


def fits(tcp: socket.socket | None, host: str, port: int) -> bool:
    """True where an inherited socket listens where the settings say; ``port`` 0 is any."""
    if tcp is None:
        return False
    wanted = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
    found = tcp.getsockname()
    return found[0] == wanted[0] and port in (0, found[1])
