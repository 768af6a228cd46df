"""The link to the controller: JSON lines over a unix socket on which the gateway listens.

One controller at a time: a newer connection replaces an older one, whose process is gone or about to notice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from .endpoint import Endpoint
from .tokens import is_own_user

log = logging.getLogger(__name__)

# A controller that has not read so much is stuck: the link is closed, and its successor is told everything anew.
UNREAD_BYTES = 16 * 1024 * 1024


class Sync(msgspec.Struct, tag_field="type", tag="sync"):
    """All endpoints; ``draining`` are replicas of deleted ones, whose ``drained`` is awaited.

    ``succession``: this controller starts a successor when we say that we are leaving.
    """

    revision: int
    endpoints: list[Endpoint]
    draining: list[str] = []
    succession: bool = False


class Upsert(msgspec.Struct, tag_field="type", tag="endpoint"):
    """One endpoint, new or changed."""

    revision: int
    endpoint: Endpoint


class Forget(msgspec.Struct, tag_field="type", tag="forget"):
    """One endpoint is gone."""

    revision: int
    name: str


class Shutdown(msgspec.Struct, tag_field="type", tag="shutdown"):
    """End this process and do not bring the controller back."""


Message = Sync | Upsert | Forget | Shutdown
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
_encoder = msgspec.json.Encoder()


class Listener(Protocol):
    """What the messages act on."""

    def hello(self) -> dict[str, Any]:
        """First message to a controller that connects, without its type."""

    def link_changed(self, connected: bool) -> None:
        """A controller connected, or the last one is gone."""

    def apply(self, message: Sync | Upsert | Forget) -> list[str]:
        """Take over a change; returns ids of replicas that are drained."""

    def applied(self, message: Sync | Upsert | Forget) -> None:
        """The change has been confirmed to the controller."""

    def shutdown(self) -> None:
        """End this process."""


class LinkConnection(asyncio.Protocol):
    """One connection of a controller."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._transport: Any = None
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        """A controller connected."""
        self._transport = transport
        if is_own_user(transport.get_extra_info("socket")):
            self._link.attach(self)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Lines, whole or in parts."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                self._link.receive(_decoder.decode(line))
            except msgspec.MsgspecError as error:
                log.error("link: a message cannot be read (%s); closing the connection", error)
                self._transport.abort()
                return

    def connection_lost(self, exc: Exception | None) -> None:
        """The controller is gone."""
        self._link.detach(self)

    def send(self, message: dict[str, Any]) -> None:
        """Write one line."""
        if self._transport.is_closing():
            return
        self._transport.write(_encoder.encode(message) + b"\n")
        if self._transport.get_write_buffer_size() > UNREAD_BYTES:
            log.error("link: the controller does not read; closing the connection")
            self._transport.abort()

    def close(self) -> None:
        """Send what is written and close."""
        self._transport.close()


class Link:
    """The gateway's end of the link; satisfies ``reports.Notices``.

    ``listener`` is what the controller's messages act on; ``wall`` gives unix seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.listener: Listener | None = None
        self._wall = wall
        self._current: LinkConnection | None = None
        self._untold: dict[str, None] = {}

    @property
    def connected(self) -> bool:
        """True while a controller is connected."""
        return self._current is not None

    # --- connections --------------------------------------------------------------------------------

    def attach(self, connection: LinkConnection) -> None:
        """A controller connected: it replaces any other."""
        before, self._current = self._current, connection
        if before is not None:
            before.close()
        if self.listener is not None:
            connection.send({"type": "hello", **self.listener.hello()})
            self.listener.link_changed(True)

    def detach(self, connection: LinkConnection) -> None:
        """A connection ended."""
        if self._current is connection:
            self._current = None
            if self.listener is not None:
                self.listener.link_changed(False)

    def receive(self, message: Message) -> None:
        """Act on a message of the controller and confirm it."""
        if self.listener is None:
            return
        if isinstance(message, Shutdown):
            self.listener.shutdown()
            return
        drained = self.listener.apply(message)
        self._send({"type": "applied", "revision": message.revision})
        if isinstance(message, Sync):
            drained = [*drained, *self._untold]
            self._untold.clear()
        for replica in dict.fromkeys(drained):
            self.drained(replica)
        self.listener.applied(message)

    def close(self) -> None:
        """Close the connection, if any."""
        if self._current is not None:
            self._current.close()

    def leaving(self) -> None:
        """Ask for a successor: we are to end."""
        self._send({"type": "leaving"})

    def retiring(self) -> None:
        """A successor listens for the controller; this connection stays for what we still hold."""
        self._send({"type": "retiring"})

    # --- Notices ------------------------------------------------------------------------------------

    def wake(self, key: str, held: int) -> None:
        """Requests are held and no replica is ready."""
        self._send({"type": "wake", "key": key, "held": held, "at": self._wall()})

    def drained(self, replica: str) -> None:
        """A leaving replica holds nothing; kept for the next controller where none is connected."""
        if not self._send({"type": "drained", "replica": replica}):
            self._untold[replica] = None

    def replica_failed(self, replica: str, reason: str) -> None:
        """A connection to a replica was refused or lost."""
        self._send({"type": "replica_failed", "replica": replica, "reason": reason})

    def first_response(self, replica: str, key: str, seconds: float) -> None:
        """A replica began its first answer, ``seconds`` after the request arrived."""
        at = self._wall()
        told = {"replica": replica, "key": key, "at": at, "arrived": at - seconds}
        self._send({"type": "first_response", **told})

    def notice(self, replica: str, key: str, text: str, capacity: int | None) -> None:
        """A replica said that something changed for the worse."""
        said = {"replica": replica, "key": key, "text": text, "capacity": capacity}
        self._send({"type": "notice", **said})

    def stats(
        self,
        entities: dict[str, Any],
        refused: dict[str, dict[str, int]],
        gaps: dict[str, float],
    ) -> None:
        """Counts since the last message: by key; by endpoint what reached no served entity, and its longest gap."""
        told: dict[str, Any] = {"entities": entities}
        told |= {"refused": refused} if refused else {}
        told |= {"gaps": gaps} if gaps else {}
        self._send({"type": "stats", "at": self._wall(), **told})

    def _send(self, message: dict[str, Any]) -> bool:
        if self._current is None:
            return False
        self._current.send(message)
        return True
