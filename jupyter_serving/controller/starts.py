"""The book of starts: every start of a replica as a waterfall, from the held request to the first byte of its answer.

A start is written when its replica is ready, together with that news, or when it has failed. What comes after that is
heard from the gateway: when it has taken over the route, and when the replica began its first answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from ..backends.base import Started, Unready
from ..errors import ServingError
from ..settings import Settings
from . import remedies
from .records import EndpointRecord, EntityRecord, ReplicaRecord, StartRecord
from .sizing import idle_limit_of
from .store import Store

log = logging.getLogger(__name__)
PHASES = (
    "held",
    "decision",
    "spawn",
    "interpreter",
    "imports",
    "model_load",
    "warm_up",
    "publish",
    "first_byte",
)


@dataclass(slots=True)
class Open:
    """A start whose end is not known yet: when its replica was ready, and the revision of its route."""

    start: StartRecord
    ready_at: float
    revision: int | None = None
    routed_at: float | None = None


class Starts:
    """Writes starts.

    ``cold_start`` is told the endpoint of each cold start; ``held`` gives the most bytes that a replica of an entity
    was measured to hold (0: not yet); ``clock`` is the wall clock that gateway and controller share, in seconds.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        cold_start: Callable[[str], None],
        held: Callable[[EntityRecord], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._cold_start, self._held = cold_start, held
        self._open: dict[str, Open] = {}
        self._emptied: dict[str, float] = {}

    def ready(
        self, record: ReplicaRecord, began: float, reached: Started, model_bytes: int
    ) -> StartRecord:
        """The start of a replica that is ready now, to be stored with that news.

        Args:
            record: the replica.
            began: when its backend was asked for it.
            reached: what its backend told.
            model_bytes: size of its model's files.
        """
        now = self._clock()
        start = _start(record, began, now, reached, model_bytes)
        start = self.weighed(start)
        start = replace(start, remedy=self._remedy(start))
        if record.reason != "deploy":  # there the route waits for the whole config
            self._open[record.id] = Open(start, now)
        return start

    def failed(self, record: ReplicaRecord, began: float, error: BaseException) -> StartRecord:
        """The start of a replica that did not become ready, with the phase it failed in."""
        reached = error.reached if isinstance(error, Unready) else Started({}, "spawning")
        phase = error.phase if isinstance(error, Unready) else "spawn"
        start = _start(record, began, self._clock(), reached, 0)
        return replace(start, failed=phase, error=str(error) or "It took too long.")

    def published(self, replicas: Iterable[str], revision: int) -> None:
        """The route of these replicas has been sent to the gateway as ``revision``."""
        for replica in replicas:
            known = self._open.get(replica)
            if known is not None and known.revision is None:
                known.revision = revision

    async def applied(self, revision: int) -> None:
        """The gateway has taken over everything up to ``revision``."""
        now = self._clock()
        routed = [
            o
            for o in self._open.values()
            if o.routed_at is None and o.revision is not None and o.revision <= revision
        ]
        for known in routed:
            known.routed_at = now
            known.start = _extended(known.start, "publish", now - known.ready_at)
            if known.start.reason != "wake":
                await self._close(known.start)

    async def answered(self, replica: str, arrived: float, at: float) -> None:
        """A replica began its first answer at ``at``, to a request that arrived at ``arrived``: a cold start is over.

        A request that came when the route was there did not wait for this start: it has ended without one.
        """
        known = self._open.get(replica) or await self._left_open(replica)
        if known is None:
            return
        waited = arrived <= (known.routed_at or known.ready_at)
        began = known.start.started_at / 1000
        start = known.start
        if waited:
            routed = known.routed_at or began + sum(start.phases.values())
            start = _extended(start, "first_byte", at - routed)
            start = replace(start, total_seconds=round(at - began, 4))
        await self._close(start, start.total_seconds if waited else None)

    def emptied(self, record: ReplicaRecord) -> None:
        """A replica is gone; where it was the last of its entity, that sleeps from now on."""
        others = self._store.replicas_of(record.endpoint)
        if all(other.key != record.key or other.id == record.id for other in others):
            self._emptied[record.key] = self._clock()
        self._open.pop(record.id, None)

    async def _left_open(self, replica: str) -> Open | None:
        """A start that an earlier controller has written down as ready."""
        record = self._store.replicas.get(replica)
        if record is None or record.reason != "wake":
            return None
        for start in await self._store.recent(StartRecord, record.endpoint):
            if start.replica == replica and "first_byte" not in start.phases:
                return Open(start, start.started_at / 1000 + (start.total_seconds or 0.0))
        return None

    async def _close(self, start: StartRecord, cold_start: float | None = None) -> None:
        self._open.pop(start.replica, None)
        start = self.weighed(start)
        start = replace(start, remedy=self._remedy(start))
        endpoint = self._store.endpoints.get(start.endpoint)
        if endpoint is None:
            return
        try:
            if cold_start is None:
                await self._store.put(start)
            else:
                self._cold_start(endpoint.id)
                await self._store.amend(endpoint, lambda e: _cold(e, cold_start), start)
        except (KeyError, ServingError) as error:
            log.warning("the start of replica %s is not completed: %s", start.replica, error)

    def entity(self, start: StartRecord) -> EntityRecord | None:
        """The served entity that was started; None where its config is not kept any more."""
        config = self._store.configs.get((start.endpoint, start.config_version))
        return None if config is None else config.entity(start.entity)

    def weighed(self, start: StartRecord) -> StartRecord:
        """The start with what its replicas are known to hold by now: that is measured after they became ready."""
        entity = self.entity(start)
        known = 0 if entity is None else self._held(entity)
        return replace(start, memory_bytes=known or start.memory_bytes)

    def _remedy(self, start: StartRecord) -> str:
        entity = self.entity(start)
        if entity is None:
            return ""
        spec = entity.spec
        key = f"{start.endpoint}:{start.config_version}:{start.entity}"
        slept_from = self._emptied.get(key)
        best = remedies.best(
            remedies.Facts(
                start=start,
                idle_limit=idle_limit_of(spec, self._settings),
                slept=None if slept_from is None else start.started_at / 1000 - slept_from,
                zygotes=self._settings.environment_zygotes,
                zygote_idle=self._settings.zygote_idle_seconds,
            )
        )
        return "" if best is None else best.sentence(start)


def _start(
    record: ReplicaRecord, began: float, now: float, reached: Started, model_bytes: int
) -> StartRecord:
    created = record.created / 1000
    first = min(created, record.held_at) if record.held_at is not None else created
    phases = {"decision": began - created, **reached.phases}
    if record.held_at is not None:
        phases["held"] = created - first
    return StartRecord(
        replica=record.id,
        endpoint=record.endpoint,
        entity=record.entity,
        reason=record.reason,
        config_version=record.version,
        started_at=int(first * 1000),
        total_seconds=round(now - first, 4),
        phases={n: round(max(0.0, phases[n]), 4) for n in PHASES if n in phases},
        imports=tuple((each.package, round(each.own, 4)) for each in reached.imports),
        imports_whole={each.package: round(each.whole, 4) for each in reached.imports},
        zygote=reached.making.zygote if reached.phase != "spawning" else "",
        zygote_seconds=round(reached.making.zygote_seconds, 4),
        first_prediction=round(float(reached.details.get("first") or 0.0), 4),
        model_bytes=model_bytes,
    )


def _extended(start: StartRecord, phase: str, seconds: float) -> StartRecord:
    return replace(start, phases=start.phases | {phase: round(max(0.0, seconds), 4)})


def _cold(endpoint: EndpointRecord, seconds: float) -> EndpointRecord:
    return replace(endpoint, last_cold_start=seconds)
