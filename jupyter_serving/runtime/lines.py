"""JSON lines over a non-blocking socket: the connection of a zygote to one client."""

from __future__ import annotations

import json
import selectors
import socket
from typing import Any, Dict, List, Optional

LINE_LIMIT = 16 * 1024 * 1024
_UNREAD_LIMIT = 4 * 1024 * 1024


class Lines:
    """One connection, registered with ``selector`` under itself."""

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._selector = selector
        self._heard = bytearray()
        self._waiting = bytearray()
        selector.register(sock, selectors.EVENT_READ, self)

    def hear(self) -> Optional[List[Any]]:
        """Messages that are complete now; None when the client is gone or breaks the protocol.

        A line that is not JSON is returned as None within the list.
        """
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data or len(self._heard) + len(data) > LINE_LIMIT:
            return None
        self._heard += data
        *lines, rest = self._heard.split(b"\n")
        self._heard = rest
        return [_parse(line) for line in lines if line.strip()]

    def tell(self, message: Dict[str, Any]) -> bool:
        """Send a message, later if the client does not read now; False when the client is gone or never reads."""
        self._waiting += json.dumps(message).encode() + b"\n"
        return len(self._waiting) <= _UNREAD_LIMIT and self.send()

    def send(self) -> bool:
        """Send what waits; False when the client is gone."""
        try:
            while self._waiting:
                sent = self.sock.send(self._waiting)
                del self._waiting[:sent]
        except BlockingIOError:
            self._selector.modify(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
            return True
        except OSError:
            return False
        self._selector.modify(self.sock, selectors.EVENT_READ, self)
        return True

    def close(self) -> None:
        """End the connection."""
        self._selector.unregister(self.sock)
        self.sock.close()


def _parse(line: bytearray) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
