"""Effects of reloads: how one ends, and what an endpoint tells of it. When one is due is ``reloads``' matter."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from ..api import ConfigUpdate
from .journal import Journal
from .phases import move_update
from .records import EndpointRecord
from .store import Store


class Maintenance:
    """Records the ends of reloads. The old replicas serve on in every case."""

    def __init__(
        self, store: Store, journal: Journal, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._journal, self._clock = store, journal, clock

    async def done(self, endpoint: EndpointRecord) -> None:
        """Every replica that was to be replaced has been."""
        event = self._journal.event(endpoint, "RELOADED", "Every replica is a fresh one.")
        await self._store.amend(endpoint, lambda e: replace(_well(e), reload_asked=0), event)

    async def fresh(self, endpoint: EndpointRecord) -> None:
        """A fresh replica came up: what an earlier reload failed for is over."""
        if endpoint.reload_tried:
            await self._store.amend(endpoint, _well)

    async def skipped(self, endpoint: EndpointRecord, why: str) -> None:
        """There is no room for a fresh replica beside the old one: tell it, and leave it until the next period."""
        text = f"Reload left out: no room for a fresh replica beside the old one. {why}"
        event = self._journal.event(endpoint, "RELOAD_SKIPPED", text)
        now = int(self._clock() * 1000)
        await self._store.amend(
            endpoint, lambda e: replace(e, reload_asked=0, reload_tried=now, message=text), event
        )

    async def failed(self, endpoint: EndpointRecord, why: str) -> None:
        """The fresh replica could not start: the old one goes on; not tried again before the next period."""
        text = f"The reload failed, the replicas before serve on: {why}"
        event = self._journal.event(endpoint, "RELOAD_FAILED", text)
        now = int(self._clock() * 1000)

        def change(present: EndpointRecord) -> EndpointRecord:
            if present.pending is not None:
                return present  # an update has begun meanwhile: its outcome is what counts
            return replace(
                present,
                reload_asked=0,
                reload_tried=now,
                update=move_update(present.update, ConfigUpdate.UPDATE_FAILED),
                message=text,
                updated=now,
            )

        await self._store.amend(endpoint, change, event)


def _well(endpoint: EndpointRecord) -> EndpointRecord:
    """Nothing is wrong with reloads any more; what an update failed for stays."""
    if not endpoint.reload_tried:
        return endpoint
    healed = replace(endpoint, reload_tried=0, message="")
    if endpoint.failed is not None or endpoint.update is not ConfigUpdate.UPDATE_FAILED:
        return healed
    return replace(healed, update=move_update(endpoint.update, ConfigUpdate.NOT_UPDATING))
