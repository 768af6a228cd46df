"""What the gateway says, and whom it concerns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from .certificates import Certificates
from .history import History
from .journal import Journal
from .link import GatewayLink
from .reconcile import Reconciler
from .scaling import Scaling
from .starts import Starts
from .store import Store

log = logging.getLogger(__name__)


class Inbox:
    """Hands each message on. ``publish`` tells the gateway the news of an endpoint, by id."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        scaling: Scaling,
        history: History,
        certificates: Certificates,
        starts: Starts,
        reconciler: Reconciler,
        link: GatewayLink,
        publish: Callable[[str], None],
    ) -> None:
        self._store, self._journal, self._scaling = store, journal, scaling
        self._history, self._certificates, self._starts = history, certificates, starts
        self._reconciler, self._link, self._publish = reconciler, link, publish
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: dict[str, Any]) -> None:
        """Act on one message (see ``gateway.link``)."""
        match message["type"]:
            case "wake":
                key = message["key"]
                if self._scaling.wake(key, message["held"], message["at"]):
                    self._enqueue(key)
            case "stats":
                self._figures(message)
            case "drained":
                self._drained(message["replica"])
            case "first_response":
                arrived, at = message.get("arrived", message["at"]), message["at"]
                self._spawn(self._starts.answered(message["replica"], arrived, at))
            case "applied":
                self._spawn(self._starts.applied(message["revision"]))
            case "notice":
                self._spawn(self._noticed(message))
            case "replica_failed":
                # The backend's watch decides whether it is dead; this only makes us look at once.
                log.info(
                    "the gateway cannot reach replica %s: %s", message["replica"], message["reason"]
                )

    def _enqueue(self, key: str) -> None:
        self._reconciler.queue.add(key.split(":", 1)[0])

    def _figures(self, message: dict[str, Any]) -> None:
        """Write figures down, decide; the gateway knows endpoints by name where a request reached no served entity."""

        def by_id(told: dict[str, Any]) -> dict[str, Any]:
            found = ((self._store.find(name), value) for name, value in told.items())
            return {endpoint.id: value for endpoint, value in found if endpoint is not None}

        refused, gaps = by_id(message.get("refused", {})), by_id(message.get("gaps", {}))
        self._history.observe(message["at"], message["entities"], refused, gaps)
        self._certificates.observe(message["entities"], refused)
        for key, figures in message["entities"].items():
            if self._scaling.observe(key, figures):
                self._enqueue(key)

    async def _noticed(self, message: dict[str, Any]) -> None:
        """A replica says that it serves worse than before (its batching went off, say)."""
        record = self._store.replicas.get(message["replica"])
        endpoint = self._store.endpoints.get(record.endpoint) if record else None
        if record is None or endpoint is None:
            return
        event = self._journal.event(endpoint, "REPLICA_NOTICE", message["text"], record.entity)
        capacity = int(message.get("capacity") or record.capacity)
        try:
            await self._store.amend(record, lambda r: replace(r, capacity=capacity), event)
        except KeyError:
            return  # it is gone meanwhile
        self._publish(endpoint.id)

    def _drained(self, replica: str) -> None:
        record = self._store.replicas.get(replica)
        endpoint = self._store.endpoints.get(record.endpoint) if record else None
        if record is None or endpoint is None:
            return
        # Whatever its phase: an endpoint that is deleted while it is being checked leaves the routing before its
        # replicas are told to drain, and the gateway says this only once.
        # It may have been taken back since, and be draining again: the gateway says so once it has heard our last word.
        if self._link.proves(endpoint.name, replica):
            self._reconciler.drained.add(replica)
            self._reconciler.queue.add(record.endpoint)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
