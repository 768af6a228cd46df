"""How an update of a config goes on and ends: hold, gate, promotion, failure; and who is told of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from ..api import ConfigState, ConfigUpdate
from ..errors import ServingError
from . import versions
from .certificates import CANCELED, FAILED, SUCCEEDED, Certificates
from .journal import Journal
from .phases import move_update
from .records import ConfigRecord, EndpointRecord
from .store import Store

log = logging.getLogger(__name__)
# Lets a pending config, which is ready, pass its gate: ``passed`` and ``text``.
Gate = Callable[[EndpointRecord, ConfigRecord], Awaitable[dict[str, Any]]]
_OUTCOMES = {ConfigState.FAILED: FAILED, ConfigState.CANCELED: CANCELED}


class OutOfDate(Exception):
    """The update that a step is about is over: it was canceled meanwhile."""


async def no_gate(_: EndpointRecord, __: ConfigRecord) -> dict[str, Any]:
    """A controller without gates passes nothing."""
    return {"passed": False, "text": "This controller cannot try gates."}


class Updates:
    """Effects of an update's steps. ``gate`` may be set until the first update."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        certificates: Certificates,
        clock: Callable[[], float] = time.time,
        gate: Gate = no_gate,
    ) -> None:
        self._store, self._journal, self._clock = store, journal, clock
        self.gate = gate
        self.certificates = certificates
        self._followed: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    async def hold(self, endpoint: EndpointRecord, version: int, why: str) -> None:
        """Requests wait from here on; the old config makes room."""
        now = self._now()

        def held(present: EndpointRecord) -> EndpointRecord:
            _same(present, version)
            return replace(present, swap_since=now)

        text = f"Requests wait while the config that serves makes room for version {version}. {why}"
        event = self._journal.event(endpoint, "UPDATE_HOLDS", text)
        await self._amend(endpoint, held, event)

    async def promote(self, endpoint: EndpointRecord, version: int) -> None:
        """Give the traffic to the new config, in one transaction."""
        now = self._now()
        seconds = (now - endpoint.update_started) / 1000
        text = f"Config version {version} is ready after {seconds:.1f} s."
        message = ""
        if endpoint.swap_since:
            gap = (now - endpoint.swap_since) / 1000
            message = (
                f"For {gap:.1f} s during the swap to config version {version} requests had to wait."
            )
            text = f"{text} {message}"
        event = self._journal.event(endpoint, "CONFIG_READY", text)
        config = self._store.configs[endpoint.id, version]
        good = replace(config, outcome=ConfigState.SUPERSEDED, ended=now, message=message)

        def ended(present: EndpointRecord) -> EndpointRecord:
            _same(present, version)
            return replace(
                present,
                update=move_update(present.update, ConfigUpdate.NOT_UPDATING),
                active=version,
                pending=None,
                failed=None,
                swap_since=0,
                reload_tried=0,
                message=message,
                updated=now,
            )

        await self._amend(endpoint, ended, good, event)

    async def fail(self, endpoint: EndpointRecord, version: int, message: str) -> None:
        """End the update; the config that serves goes on, or comes back where it had made room."""
        now = self._now()
        seconds = (now - endpoint.update_started) / 1000
        kept = " The active config goes on." if endpoint.active is not None else ""
        if endpoint.swap_since:
            gap = (now - endpoint.swap_since) / 1000
            kept = f" The config before comes back; requests have waited for {gap:.1f} s so far."
        text = f"Config version {version} failed after {seconds:.1f} s: {message}{kept}"
        event = self._journal.event(endpoint, "UPDATE_FAILED", text)
        config = self._store.configs[endpoint.id, version]
        bad = replace(config, outcome=ConfigState.FAILED, ended=now, message=message)

        def ended(present: EndpointRecord) -> EndpointRecord:
            _same(present, version)
            return replace(
                present,
                update=move_update(present.update, ConfigUpdate.UPDATE_FAILED),
                pending=None,
                failed=version,
                swap_since=0,
                message=message,
                updated=now,
            )

        await self._amend(endpoint, ended, bad, event)

    async def attempt(self, endpoint: EndpointRecord, version: int) -> None:
        """Try the gate and record what it found; a gate that cannot be tried is one that was not passed."""
        config = self._store.configs[endpoint.id, version]
        try:
            verdict = await self.gate(endpoint, config)
        except ServingError as error:
            verdict = {"passed": False, "text": f"The gate could not be tried: {error}"}
        kind = "GATE_PASSED" if verdict.get("passed") else "GATE_FAILED"
        event = self._journal.event(endpoint, kind, str(verdict.get("text", "")))
        await self._store.amend(config, lambda c: replace(c, verdict=verdict), event)

    async def _amend(
        self,
        endpoint: EndpointRecord,
        change: Callable[[EndpointRecord], EndpointRecord],
        *others: Any,
    ) -> None:
        try:
            await self._store.amend(endpoint, change, *others)
        except OutOfDate:
            log.info("endpoint %s: its update was canceled meanwhile", endpoint.name)
        self._journal.progress.pop(endpoint.id, None)

    # -- certificates --------------------------------------------------------------------------------

    def follow(self, endpoint: EndpointRecord) -> None:
        """Tell of an update that began or ended since the last call, by whichever way."""
        known = self._followed.get(endpoint.id)
        if known == endpoint.pending:
            return
        if known is not None:
            del self._followed[endpoint.id]
            config = self._store.config(endpoint.id, known)
            what = versions.state(endpoint, config) if config else ConfigState.FAILED
            self._spawn(self._certify(endpoint, known, _OUTCOMES.get(what, SUCCEEDED)))
        if endpoint.pending is not None:
            self._followed[endpoint.id] = endpoint.pending
            self.certificates.begin(endpoint, endpoint.pending)

    async def _certify(self, endpoint: EndpointRecord, version: int, outcome: str) -> None:
        try:
            await self.certificates.end(endpoint, version, outcome)
        except Exception:
            log.exception("endpoint %s: no certificate of version %d", endpoint.name, version)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _same(present: EndpointRecord, version: int) -> None:
    if present.pending != version:
        raise OutOfDate
