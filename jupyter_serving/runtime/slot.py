"""The loop of one worker: requests from the front, answers back, until the front is gone."""

from __future__ import annotations

import socket
from typing import Any

from . import log, wire
from .batching import Batching
from .scoring import timed


def serve(sock: socket.socket, scorer: Any, batching: Batching, name: str) -> None:
    """Answer what comes over ``sock``; returns when the front is gone. ``name``: who speaks in the log."""
    while True:
        frame = wire.receive(sock)
        if frame is None:
            return
        header, body = frame
        scored, milliseconds = timed(scorer, body, header["type"])
        if scored.status != 200:
            log.say(
                name, f"answered {scored.status}: {scored.body[:500].decode('utf-8', 'replace')}"
            )
        log.flush()
        head = {
            "event": "answer",
            "status": scored.status,
            "type": scored.content_type,
            "ms": milliseconds,
        }
        try:
            sock.sendall(wire.pack(head, scored.body))
        except ConnectionError:
            return
