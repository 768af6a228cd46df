"""Update certificates: what an update did to the traffic, from the gateway's figures, kept with the endpoint.

Nothing is counted while an update runs but reasons of failures: everything else is read from the metrics history when
the update has ended, and a minute later once more, so a restart of the controller in between loses next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..api import ConfigState
from ..metrics.history import Row
from .history import CLIENTS_DOING
from .proof import AFTER, BEFORE, CANCELED, FAILED, SETTLE, SUCCEEDED, Facts, certificate
from .records import CertificateRecord, ConfigRecord, EndpointRecord
from .store import Store

__all__ = ["CANCELED", "FAILED", "SUCCEEDED", "Certificates"]

log = logging.getLogger(__name__)
POLL_SECONDS = 0.25
# A report is that late at most.
LATE_SECONDS = 2
RESTARTED = (
    "The controller restarted during this update: a few seconds of figures may be missing, and so are the reasons of "
    "what failed before."
)
_OUTCOMES = {ConfigState.FAILED: FAILED, ConfigState.CANCELED: CANCELED}
# Rows of an endpoint between two times (epoch seconds).
Rows = Callable[[str, float, float], Awaitable[list[Row]]]


@dataclass(slots=True)
class _Following:
    """An update that is followed, or the minute after it; times are epoch seconds."""

    endpoint: str
    version: int
    replaced: int | None
    began: float
    outcome: str = ""
    ended: float = 0.0
    cut: float = float("inf")
    reasons: Counter[str] = field(default_factory=Counter)
    phases: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    replay: dict[str, Any] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def facts(self, complete: bool) -> Facts:
        return Facts(
            version=self.version,
            replaced=self.replaced,
            outcome=self.outcome,
            began=self.began,
            ended=self.ended,
            complete=complete,
            cut=self.cut,
            reasons=self.reasons,
            phases=self.phases,
            notes=self.notes,
            replay=self.replay,
        )

    @classmethod
    def again(cls, record: CertificateRecord) -> _Following:
        """From an incomplete certificate."""
        body = record.body
        return cls(
            endpoint=record.endpoint,
            version=record.version,
            replaced=body.get("replaced"),
            began=body["started_at"] / 1000,
            outcome=body["outcome"],
            ended=body["ended_at"] / 1000,
            reasons=Counter(body.get("reasons") or {}),
            phases=dict(body.get("phases") or {}),
            notes=list(body.get("notes") or ()),
            replay=body.get("replay"),
        )


async def _pause(over: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        pass


class Certificates:
    """Follows updates from ``begin`` to a minute after ``end``.

    Args:
        store: where certificates are kept.
        rows: reads the metrics history.
        clock: epoch seconds.
        pause: returns after so many seconds, or when the event is set.
    """

    def __init__(
        self,
        store: Store,
        rows: Rows,
        clock: Callable[[], float] = time.time,
        pause: Callable[[asyncio.Event, float], Awaitable[None]] = _pause,
    ) -> None:
        self._store, self._rows, self._clock, self._pause = store, rows, clock, pause
        self._born = clock()
        self._followed: dict[tuple[str, int], _Following] = {}
        self._after: dict[str, _Following] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, endpoint: EndpointRecord, version: int) -> None:
        """An update to config ``version`` began (its record has been stored), maybe before this controller did."""
        began = endpoint.update_started / 1000
        before = self._after.get(endpoint.id)
        if before is not None:
            before.cut = began
            before.over.set()
        notes = [RESTARTED] if began < self._born else []
        update = _Following(endpoint.id, version, endpoint.active, began, notes=notes)
        self._followed[endpoint.id, version] = update

    async def end(self, endpoint: EndpointRecord, version: int, outcome: str) -> None:
        """It ended with ``SUCCEEDED``, ``FAILED`` or ``CANCELED``: call it when that has been stored.

        ``endpoint`` may be the record from before or after.
        """
        update = self._followed.pop((endpoint.id, version), None)
        config = self._store.config(endpoint.id, version)
        if update is None or endpoint.id not in self._store.endpoints:
            return
        for later in self._followed.values():
            if later.endpoint == endpoint.id:
                update.cut = later.began
                update.over.set()
        update.outcome = outcome
        update.ended = (config.ended / 1000 if config else 0) or self._clock()
        update.phases = self._phases(update, config)
        if config is not None and update.replay is None and config.verdict is not None:
            update.replay = dict(config.verdict)
        self._after[endpoint.id] = update
        await self._write(update, complete=False)
        self._spawn(self._complete(update))

    def observe(self, entities: Mapping[str, Any], refused: Mapping[str, Any]) -> None:
        """Figures of the gateway, as ``History.observe`` gets them: why requests fail during an update."""
        if not self._followed:
            return
        for update in self._followed.values():
            _refusals(update.reasons, refused.get(update.endpoint, {}))
            for key, figures in entities.items():
                if key.startswith(f"{update.endpoint}:"):
                    if figures.get("errors"):
                        update.reasons["answered 5xx"] += figures["errors"]
                    _refusals(update.reasons, figures.get("refused") or {})

    def replayed(self, endpoint: str, version: int, verdict: dict[str, Any]) -> None:
        """What the gate of a running update found, with its rows."""
        update = self._followed.get((endpoint, version))
        if update is not None:
            update.replay = verdict

    async def resume(self) -> None:
        """After a start: complete certificates that a restart left, and make those that it kept from being made."""
        for endpoint in list(self._store.endpoints.values()):
            found = await self._store.recent(CertificateRecord, endpoint.id, 1)
            last = found[-1] if found else None
            if last is not None and not last.body.get("complete"):
                self._spawn(self._complete(_Following.again(last)))
            left = [
                config
                for config in self._store.configs_of(endpoint.id)
                if config.ended and config.version > (last.version if last else 0)
            ]
            for config in left:
                self._spawn(self._late(endpoint, config))

    async def _late(self, endpoint: EndpointRecord, config: ConfigRecord) -> None:
        """The controller was killed between the end of an update and its certificate."""
        outcome = _OUTCOMES.get(config.outcome, SUCCEEDED) if config.outcome else SUCCEEDED
        # What it replaced: what serves where it failed, else the last that had worked before.
        good = [
            c.version
            for c in self._store.configs_of(endpoint.id)
            if c.version < config.version and c.outcome not in _OUTCOMES
        ]
        update = _Following(
            endpoint=endpoint.id,
            version=config.version,
            replaced=max(good, default=None),
            began=config.created / 1000,
            outcome=outcome,
            ended=config.ended / 1000,
            notes=[RESTARTED],
            replay=None if config.verdict is None else dict(config.verdict),
        )
        await self._complete(update)

    async def close(self) -> None:
        """Stop following; a later controller completes what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- the end of an update ------------------------------------------------------------------------

    async def _complete(self, update: _Following) -> None:
        """Write the whole certificate when the minute after is over; where nobody asks, as soon as that is sure."""
        self._after[update.endpoint] = update
        try:
            settled = update.ended + SETTLE + LATE_SECONDS
            # The gateway's last report on the update itself is on its way until then: nothing ends that wait.
            await self._wait(update, settled, asyncio.Event(), POLL_SECONDS)
            if await self._traffic(update) and not update.over.is_set():
                await self._write(update, complete=False)
                await self._wait(update, settled + AFTER, update.over, 1.0)
            await self._write(update, complete=True)
        finally:
            if self._after.get(update.endpoint) is update:
                del self._after[update.endpoint]

    async def _wait(
        self, update: _Following, limit: float, over: asyncio.Event, pause: float
    ) -> None:
        while not over.is_set() and self._clock() < limit:
            self._note_drain(update)
            await self._pause(over, pause)

    def _note_drain(self, update: _Following) -> None:
        """How long the replicas of the config before went on after the switch, once they are gone."""
        if update.outcome != SUCCEEDED or update.replaced is None or "drain" in update.phases:
            return
        replicas = self._store.replicas_of(update.endpoint)
        if all(replica.version != update.replaced for replica in replicas):
            update.phases["drain"] = max(0.0, self._clock() - update.ended)

    async def _traffic(self, update: _Following) -> bool:
        """Whether anybody asks at all: from the minute before it on."""
        rows = await self._rows(update.endpoint, update.began - BEFORE, self._clock() + 1)
        return any(row.numbers["arrivals"] or row.numbers["in_flight"] for row in rows)

    async def _write(self, update: _Following, *, complete: bool) -> None:
        rows = await self._rows(
            update.endpoint, update.began - BEFORE, update.ended + SETTLE + AFTER + 1
        )
        body = certificate(update.facts(complete), rows)
        if update.endpoint not in self._store.endpoints:
            return  # deleted meanwhile, with everything of it
        if complete:
            log.info("endpoint %s: %s", update.endpoint, body["text"])
        record = CertificateRecord(endpoint=update.endpoint, version=update.version, body=body)
        await self._store.put(record)

    def _phases(self, update: _Following, config: ConfigRecord | None) -> dict[str, float]:
        """Seconds of preparing (model, environment), of starting replicas, and of the gate."""
        began = [
            replica.created / 1000
            for replica in self._store.replicas_of(update.endpoint)
            if replica.version == update.version and replica.created / 1000 >= update.began
        ]
        verdict = (config.verdict if config else None) or {}
        gate = float(verdict.get("seconds") or 0.0)
        if not began:
            return {"prepare": max(0.0, update.ended - update.began - gate)} | _gate(gate)
        start = max(0.0, update.ended - min(began) - gate)
        return {"prepare": min(began) - update.began, "start": start} | _gate(gate)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a certificate could not be completed", exc_info=task.exception())


def _gate(seconds: float) -> dict[str, float]:
    return {"gate": seconds} if seconds else {}


def _refusals(reasons: Counter[str], refused: Mapping[str, int]) -> None:
    for reason, n in refused.items():
        if reason not in CLIENTS_DOING:
            reasons[f"refused: {reason.replace('_', ' ')}"] += n
