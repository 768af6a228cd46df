"""Several gateways for a while: the one that serves, and those before it that finish what they hold.

A retiring gateway hears every change, so that requests that it holds are released, and tells what happens as before.
Together they are one: a replica is drained when none of them holds a request of it, and their gauges are added up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

GAUGES = ("in_flight", "queued")


class Sessions:
    """Connections to gateways, the newest of which serves; ``receive`` gets their messages as if of one."""

    def __init__(self, receive: Callable[[dict[str, Any]], None]) -> None:
        self._receive = receive
        self._drained: dict[asyncio.StreamWriter, set[str]] = {}
        self._retiring: set[asyncio.StreamWriter] = set()
        self._gauges: dict[asyncio.StreamWriter, dict[str, dict[str, float]]] = {}

    def begin(self, writer: asyncio.StreamWriter) -> None:
        """A gateway serves from now on."""
        self._drained[writer] = set()
        self._gauges[writer] = {}

    def retire(self, writer: asyncio.StreamWriter) -> None:
        """This one takes nothing new."""
        self._retiring.add(writer)

    def end(self, writer: asyncio.StreamWriter) -> None:
        """A connection is gone: what only it had not told drained, is."""
        own = self._drained.pop(writer, set())
        self._gauges.pop(writer, None)
        self._retiring.discard(writer)
        told = set().union(own, *self._drained.values())
        for replica in told:
            self._pass_drained(replica)

    def tell(self, message: dict[str, Any]) -> None:
        """Send to every retiring gateway; what is routed again has to drain again."""
        if self._retiring:
            for entity in message.get("endpoint", {}).get("entities", ()):
                for told in self._drained.values():
                    told.difference_update(r["id"] for r in entity["replicas"])
            line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
            for writer in self._retiring:
                writer.write(line)

    def received(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        """A message of one of them."""
        if message["type"] == "drained":
            self._drained.setdefault(writer, set()).add(message["replica"])
            self._pass_drained(message["replica"])
        elif message["type"] == "stats":
            self._receive(self._added(writer, message))
        else:
            self._receive(message)

    def _pass_drained(self, replica: str) -> None:
        """Pass it on once no gateway is left that has not said so."""
        if not self._drained or not all(replica in told for told in self._drained.values()):
            return
        for told in self._drained.values():
            told.discard(replica)
        self._receive({"type": "drained", "replica": replica})

    def _added(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> dict[str, Any]:
        """The same message with the gauges of all gateways in it."""
        own = self._gauges.setdefault(writer, {})
        for key, figures in message["entities"].items():
            own[key] = {name: figures[name] for name in GAUGES if name in figures}
        if not self._retiring:
            return message
        entities = {
            key: {**figures, **self._sums(key, figures)}
            for key, figures in message["entities"].items()
        }
        return {**message, "entities": entities}

    def _sums(self, key: str, figures: dict[str, Any]) -> dict[str, float]:
        of_all = [gauges[key] for gauges in self._gauges.values() if key in gauges]
        return {
            name: sum(gauges.get(name, 0) for gauges in of_all)
            for name in GAUGES
            if name in figures
        }
