"""One request as received, and the two sides that a connection brings together."""

from __future__ import annotations

from typing import Protocol

from ..errors import ServingError
from .heads import CLOSES, STAYS, STAYS_1_0, Headers
from .targets import HEALTH, Target


class Request:
    """A request: parsed head, whole body.

    Attributes:
        arrived: monotonic seconds when it began to arrive.
        caller: digest of the token that it came with, where a list for that caller is asked for.
        noted: headers that we act upon ourselves, by name (``framing.NOTED``).
        trusted: True on the unix socket, where the peer is known to be this user.
        fault: why it is refused before anything serves it.
        whole: False where it is refused before all of it was read.
    """

    __slots__ = (
        "arrived",
        "body",
        "caller",
        "fault",
        "headers",
        "keep_alive",
        "limit",
        "method",
        "noted",
        "parts",
        "size",
        "target",
        "trusted",
        "url",
        "version",
        "whole",
    )

    def __init__(self, arrived: float, trusted: bool) -> None:
        self.arrived = arrived
        self.trusted = trusted
        self.method = ""
        self.url = b""
        self.version = "1.1"
        self.headers: Headers = []
        self.noted: dict[bytes, bytes] = {}
        self.keep_alive = False
        self.limit = 0
        self.size = 0
        self.parts: list[bytes] = []
        self.body = b""
        self.target: Target = HEALTH
        self.caller: str | None = None
        self.fault: ServingError | None = None
        self.whole = True

    @property
    def head_complete(self) -> bool:
        """True once the whole head has been read."""
        return bool(self.method)

    @property
    def ending(self) -> bytes:
        """How the head of its answer ends."""
        if not self.keep_alive:
            return CLOSES
        return STAYS if self.version != "1.0" else STAYS_1_0


class Peer(Protocol):
    """Whoever serves a request, told what happens to its client's connection."""

    def client_gone(self) -> None:
        """The client closed its connection before the answer ended."""

    def client_slow(self, slow: bool) -> None:
        """The client reads slower than the answer comes (True), or has caught up (False)."""


class Client(Protocol):
    """The connection of a client, for whoever answers its current request."""

    peer: Peer | None

    def send(self, data: bytes, *, end: bool) -> None:
        """Write a part of the answer; ``end`` marks the last one."""

    def abort(self) -> None:
        """Break the connection off: the answer cannot be completed."""


class Application(Protocol):
    """What a connection serves."""

    def admit(self, request: Request) -> int:
        """Check a head before its body is read; set ``request.target``; return the body's limit in bytes.

        Raises ``ServingError`` for what can be refused already.
        """

    def serve(self, request: Request, client: Client) -> None:
        """Answer a whole request, now or later."""
