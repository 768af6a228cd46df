"""Sockets that the gateway listens on, and the lock that makes it the only one of its data directory."""

from __future__ import annotations

import fcntl
import os
import random
import socket
from pathlib import Path

BACKLOG = 1024
# Below the ranges from which systems take ports of outgoing connections, so that the port is free again later.
FIRST_PORT, LAST_PORT = 20000, 32000
ATTEMPTS = 30


def lock(path: Path) -> int | None:
    """Take the lock for the life of this process; returns its descriptor, None where another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def bind_unix(path: Path) -> socket.socket:
    """Listen on a unix socket (0600). Call it under the lock.

    What is there is replaced at once, be it a dead process's or a predecessor's: somebody answers at every moment.
    """
    fresh = path.with_suffix(
        ".new"
    )  # no longer than the path itself, which may have no room for more
    fresh.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(fresh))
        fresh.chmod(0o600)
        sock.listen(BACKLOG)
        fresh.replace(path)
    except OSError:
        sock.close()
        raise
    return sock


def bind_tcp(host: str, port: int) -> socket.socket:
    """Listen on ``host:port``; raises ``OSError`` (in use, not permitted, no such address)."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def bind_any(host: str, choose: random.Random) -> socket.socket:
    """Listen on a free port that is likely to be free at the next start too."""
    for _ in range(ATTEMPTS):
        try:
            return bind_tcp(host, choose.randint(FIRST_PORT, LAST_PORT))
        except OSError:
            continue
    return bind_tcp(host, 0)
