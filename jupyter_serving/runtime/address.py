"""Addresses that a replica listens on: ``unix:/path`` or ``tcp:host:port``."""

from __future__ import annotations

import os
import socket
import sys

_BACKLOG = 1024
# sun_path holds 108 bytes (macOS: 104) with the final zero; one more for the name under which a socket is made
PATH_LIMIT = (108 if sys.platform == "linux" else 104) - 2


def listen(text: str) -> socket.socket:
    """A listening socket for an address; a unix socket's file is 0600 and a dead process's one is replaced.

    Raises:
        OSError: the address is taken or not to be had.
        ValueError: it is not an address.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest:
        return _listen_unix(rest)
    host, _, port = rest.rpartition(":")
    if kind != "tcp" or not host or not port.isdigit():
        raise ValueError(f"{text!r} is neither unix:/path nor tcp:host:port")
    return _listen_tcp(host.strip("[]"), int(port))


def _listen_tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(place)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _listen_unix(path: str) -> socket.socket:
    if _answers(path):
        raise OSError(f"{path} is in use")
    remove(path)
    sock = unbound()
    try:
        bind(sock, path)
    except OSError:
        sock.close()
        raise
    return sock


def unbound() -> socket.socket:
    """A unix socket that is not bound yet."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def bind(sock: socket.socket, path: str) -> None:
    """Bind and listen. The file is 0600 from its first moment, and appears only once connections are taken."""
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise OSError(f"{path} is too long for a unix socket: at most {PATH_LIMIT} bytes")
    early = f"{path}~"
    remove(early)
    mask = os.umask(0o177)
    try:
        sock.bind(early)
    finally:
        os.umask(mask)
    sock.listen(_BACKLOG)
    os.rename(early, path)


def _answers(path: str) -> bool:
    probe = unbound()
    try:
        probe.connect(path)
    except OSError:
        return False
    finally:
        probe.close()
    return True


def remove(path: str) -> None:
    """Unlink a socket's file; it may be gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
