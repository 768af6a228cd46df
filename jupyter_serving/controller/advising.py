"""Advice on the served entities of an endpoint, from its history of the last day."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..autoscale.advice import Columns, advise, share
from ..observed import Autoscaling, Scaled, ready_seconds
from .history import History
from .records import EndpointRecord, EntityRecord, StartRecord
from .store import Store

DAY, STEP = 86400.0, 10
STARTS = 50
# Where no start has been measured.
GUESSED_COLD_START = 1.0
# A day is not another one a minute later.
KEPT_SECONDS = 60.0


class Advising:
    """Puts advice into answers.

    Args:
        store: configs and starts.
        history: what endpoints did.
        memory: bytes that one replica of an entity holds, measured or guessed.
        clock: epoch seconds.
    """

    def __init__(
        self,
        store: Store,
        history: History,
        memory: Callable[[EntityRecord], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._history, self._memory, self._clock = store, history, memory, clock
        self._known: dict[str, tuple[float, int | None, dict[str, dict[str, Any]]]] = {}

    async def complete(self, endpoint: EndpointRecord, answer: Autoscaling) -> Autoscaling:
        """Put the advice on each served entity of the active config in; none where nothing is recorded."""
        at, version, told = self._known.get(endpoint.id, (-math.inf, None, {}))
        if version != endpoint.active or self._clock() - at >= KEPT_SECONDS:
            told = await self._fresh(endpoint, answer.served_entities)
            if told:
                self._known[endpoint.id] = self._clock(), endpoint.active, told
        for scaled in answer.served_entities:
            scaled.advice = told.get(scaled.served_entity)
        return answer

    def forget(self, endpoint: str) -> None:
        """An endpoint (by id) is gone."""
        self._known.pop(endpoint, None)

    async def _fresh(
        self, endpoint: EndpointRecord, scaled: Sequence[Scaled]
    ) -> dict[str, dict[str, Any]]:
        config = self._store.config(endpoint.id, endpoint.active)
        if config is None:
            return {}
        end = self._clock()
        record = await self._history.answer(endpoint.id, end - DAY, end, STEP)
        starts = await self._store.recent(StartRecord, endpoint.id, STARTS)
        routes = dict(config.routes)
        found: dict[str, dict[str, Any]] = {}
        for entity in config.entities:
            bounds = next((s.bounds for s in scaled if s.served_entity == entity.name), {})
            if not bounds:
                continue
            part = share(record["columns"], routes.get(entity.name, 0) / 100)
            told = await asyncio.to_thread(self._advice, entity, bounds, part, starts)
            if told is not None:
                found[entity.name] = told
        return found

    def _advice(
        self,
        entity: EntityRecord,
        bounds: dict[str, Any],
        columns: Columns,
        starts: Sequence[StartRecord],
    ) -> dict[str, Any] | None:
        own = [s.phases for s in starts if s.entity == entity.name and s.total_seconds]
        idle = bounds.get("scale_to_zero_seconds")
        return advise(
            float(STEP),
            columns,
            slots_per_replica=int(bounds["slots_per_replica"]),
            replica_bytes=self._memory(entity),
            idle_seconds=math.inf if idle is None else float(idle),
            cold_start_seconds=(
                statistics.median(map(ready_seconds, own)) if own else GUESSED_COLD_START
            ),
        )
