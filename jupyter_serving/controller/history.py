"""The metrics history: what every endpoint did, by the second for an hour, by ten seconds for two weeks.

Figures come in as the gateway reports them: once a second of an endpoint that does something, so an idle one costs
nothing at all. Seconds go to disk every few of them, which is what a crash loses; a block of tens follows every ten
minutes, and what a crash keeps from it is made up from the seconds at the next start. Files are ``archive.Archive``'s;
one thread does all reading and writing, in turn.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InvalidParameter
from ..metrics.history import STATES, Row, merged, table
from ..metrics.window import Histogram
from .archive import HOUR, SECONDS, TEN, TENS, Archive, Found, Kind, read

FLUSH_SECONDS = 3.0
# Time of one block of tens; a figure may come this much after the block that it belongs to.
BLOCK_SECONDS, GRACE_SECONDS = 600, 5
# Steps of one answer.
MOST_STEPS = 10_000
# Steps that an answer has where none is asked for, about.
USUAL_STEPS = 600
# Refusals that are the client's doing: they are no failures of the endpoint.
CLIENTS_DOING = frozenset({"client_gone", "token", "unknown_entity"})

# Replicas that are ready, starting and wanted, by endpoint id.
States = tuple[int, int, int]
T = TypeVar("T")


@dataclass(slots=True)
class _Open:
    """What is not on disk yet of one endpoint: seconds, and the tens of the present block."""

    seconds: list[Row] = field(default_factory=list)
    tens: list[Row] = field(default_factory=list)

    def take(self, row: Row) -> None:
        """Take in a row; figures of one second, or ten, come together."""
        for rows, step in ((self.seconds, 1), (self.tens, TEN)):
            at = row.at - row.at % step
            if not rows or rows[-1].at != at:
                rows.append(Row(at))
            rows[-1].add(row)

    @property
    def block_end(self) -> int:
        """When the block of the first of the tens is over."""
        return self.tens[0].at - self.tens[0].at % BLOCK_SECONDS + BLOCK_SECONDS

    def cut(self) -> list[Row]:
        """Take the tens of the first block out."""
        end = self.block_end
        over = [row for row in self.tens if row.at < end]
        self.tens = [row for row in self.tens if row.at >= end]
        return over


class History:
    """Records what endpoints do, and tells it.

    Args:
        folder: of all endpoints' histories.
        states: replicas of all endpoints, now.
        clock: epoch seconds.
        later: runs a function once after some seconds; by default in the running loop.
    """

    def __init__(
        self,
        folder: Path,
        states: Callable[[str], States | None],
        clock: Callable[[], float] = time.time,
        later: Callable[[float, Callable[[], None]], Any] | None = None,
    ) -> None:
        self._archive = Archive(folder)
        self._states, self._clock, self._later = states, clock, later
        self._open: dict[str, _Open] = {}
        self._last: dict[str, tuple[int, int, int]] = {}
        self._timer: Any = None
        self._soon = False
        self._written = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")

    # -- life ----------------------------------------------------------------------------------------

    async def recover(self, endpoints: Collection[str]) -> None:
        """After a start: make up what a crash kept from the disk, remove what is of no endpoint."""
        await self._in_thread(partial(self._archive.recover, set(endpoints)))

    async def sweep(self) -> None:
        """Remove what is old, for ever; sleeps while there is nothing."""
        while True:
            self._written.clear()
            if await self._in_thread(lambda: self._archive.sweep(self._clock())):
                await asyncio.sleep(HOUR)
            else:
                await self._written.wait()

    async def close(self) -> None:
        """Write everything, and stop."""
        if self._timer is not None:
            self._timer.cancel()
        self._write(final=True)
        await asyncio.to_thread(self._thread.shutdown)

    def forget(self, endpoint: str) -> None:
        """An endpoint is gone: nothing of it is left."""
        self._open.pop(endpoint, None)
        if self._last.pop(endpoint, None) is not None:
            self._thread.submit(self._archive.remove, endpoint)

    # -- what happens --------------------------------------------------------------------------------

    def observe(
        self,
        at: float,
        entities: Mapping[str, Any],
        refused: Mapping[str, Any],
        gaps: Mapping[str, float],
    ) -> None:
        """Figures of the gateway since its last report.

        Args:
            at: epoch seconds.
            entities: by key of a served entity (``<endpoint id>:...``), as ``gateway.meter`` reports them.
            refused: by endpoint id and reason, what reached no served entity.
            gaps: by endpoint id, the longest time without an answer while a request was there, in seconds.
        """
        rows: dict[str, Row] = {}
        for key, figures in entities.items():
            count(rows.setdefault(key.partition(":")[0], Row(int(at))), figures)
        for endpoint, reasons in refused.items():
            count(rows.setdefault(endpoint, Row(int(at))), {"refused": reasons})
        for endpoint, row in rows.items():
            states = self._states(endpoint)
            if states is not None:
                # Requests that left for another config since the last report make the sum fall below zero.
                row.numbers["arrivals"] = max(0, row.numbers["arrivals"])
                row.numbers["gap_ms"] = math.ceil(1000 * gaps.get(endpoint, 0.0))
                self._take(endpoint, row, states)

    def cold_start(self, endpoint: str) -> None:
        """A request has waited for a start, and is answered."""
        states = self._states(endpoint)
        if states is not None:
            row = Row(int(self._clock()))
            row.numbers["cold_starts"] = 1
            self._take(endpoint, row, states)

    def changed(self, endpoint: str) -> None:
        """Something of an endpoint may have changed: its replicas are written down where they have."""
        now, before = self._states(endpoint), self._last.get(endpoint)
        if now is None or now == before:
            return
        if before is not None:
            self._take(endpoint, Row(int(self._clock())), now)
        else:
            self._last[endpoint] = now  # as found: that is no change

    def _take(self, endpoint: str, row: Row, states: tuple[int, int, int]) -> None:
        self._last[endpoint] = states
        row.numbers.update(zip(STATES, states, strict=True))
        self._open.setdefault(endpoint, _Open()).take(row)
        self._arm()

    # -- writing -------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is due; a timer does this a few seconds after anything happened."""
        self._timer = None
        self._write(final=False)
        self._arm()

    def _write(self, *, final: bool) -> None:
        now = self._clock()
        for endpoint, live in list(self._open.items()):
            if live.seconds:
                self._append(endpoint, SECONDS, live.seconds)
                live.seconds = []
            while live.tens and (final or now >= live.block_end + GRACE_SECONDS):
                self._append(endpoint, TENS, live.cut())
            if not live.tens:
                del self._open[endpoint]

    def _append(self, endpoint: str, kind: Kind, rows: list[Row]) -> None:
        self._thread.submit(self._archive.append, endpoint, kind, rows)
        self._written.set()

    def _arm(self) -> None:
        """One timer for all: soon where there are new seconds, else when the first block is over."""
        if not self._open or (self._timer is not None and self._soon):
            return
        fresh = any(live.seconds for live in self._open.values())
        over = min(live.block_end for live in self._open.values()) + GRACE_SECONDS
        wait = FLUSH_SECONDS if fresh else max(FLUSH_SECONDS, over - self._clock())
        if self._timer is not None:
            if not fresh:
                return
            self._timer.cancel()
        self._soon = fresh
        later = self._later or asyncio.get_running_loop().call_later
        self._timer = later(wait, self.flush)

    # -- reading -------------------------------------------------------------------------------------

    async def rows(self, endpoint: str, start: float, end: float, step: int) -> Found:
        """Rows of ``step`` seconds from ``start`` to before ``end`` (epoch seconds); seconds where tens do not do."""
        kind = TENS if step % TEN == 0 else SECONDS
        live = self._open.get(endpoint, _Open())
        # Copied at the moment at which loading takes its turn: no row is missed or counted twice.
        fresh = merged(live.tens if kind is TENS else live.seconds, kind.step)
        loaded = await self._in_thread(partial(self._archive.load, endpoint, kind, start, end))
        # Not in the writing thread: a long time to read must not keep the seconds of others from the disk.
        found = await asyncio.to_thread(read, loaded, start, end, step)
        rows = [*found.rows, *(row for row in fresh if start <= row.at < end)]
        return Found(merged(sorted(rows, key=lambda row: row.at), step), found.damaged)

    async def between(self, endpoint: str, start: float, end: float) -> list[Row]:
        """Seconds from ``start`` to before ``end``; tens where seconds are gone."""
        step = 1 if start >= self._clock() - HOUR else TEN
        return (await self.rows(endpoint, start, end, step)).rows

    async def answer(
        self, endpoint: str, start: float | None, end: float | None, step: int | None
    ) -> dict[str, Any]:
        """``{"start", "step", "columns"}`` of the API, and ``notes`` where something is missing.

        Args:
            endpoint: its id.
            start: epoch seconds; None for an hour before ``end``. end: None for now.
            step: seconds of each value; None for about ``USUAL_STEPS`` values. It grows to ten where seconds are gone.

        Raises:
            InvalidParameter: the times make no sense, or too many steps.
        """
        now = self._clock()
        end = now + 1 if end is None else min(end, now + 1)
        start = end - HOUR if start is None else start
        step = _step(start, end, step, now)
        begin = int(start) - int(start) % step
        found = await self.rows(endpoint, begin, end, step)
        columns = await asyncio.to_thread(table, found.rows, begin, int(end), step)
        answer: dict[str, Any] = {"start": begin, "step": step, "columns": columns}
        if found.damaged:
            answer["notes"] = [f"{found.damaged} damaged block(s) were left out."]
        return answer

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _step(start: float, end: float, asked: int | None, now: float) -> int:
    """Seconds of a step that can be told.

    Raises:
        InvalidParameter: see ``History.answer``.
    """
    if not 0 <= start < end:
        raise InvalidParameter(
            f"start ({start:.0f}) must be before end ({end:.0f}), both in epoch seconds.",
            hint="Leave both out for the last hour.",
        )
    if asked is not None and asked < 1:
        raise InvalidParameter(f"step must be a whole number of seconds from 1 on, not {asked}.")
    step = asked or max(1, round((end - start) / USUAL_STEPS))
    # Seconds are kept for an hour at least; beyond that whole tens are there.
    if start < now - HOUR - 1 or (asked is None and step >= TEN):
        step = -(-step // TEN) * TEN
    if (end - start) / step > MOST_STEPS:
        raise InvalidParameter(
            f"{(end - start) / step:.0f} steps of {step} s are more than one answer holds ({MOST_STEPS}).",
            hint="Ask for a longer step, or for less time.",
        )
    return step


def count(row: Row, figures: Mapping[str, Any]) -> None:
    """Add one report about a served entity to a row; figures that it lacks count as nothing."""
    numbers = row.numbers
    refused = figures.get("refused") or {}
    errors = int(figures.get("errors", 0))
    for name in ("arrivals", "finished", "in_flight", "queued"):
        numbers[name] += int(figures.get(name, 0))
    numbers["errors"] += errors
    numbers["refused"] += sum(refused.values())
    numbers["failed"] += errors + sum(
        n for reason, n in refused.items() if reason not in CLIENTS_DOING
    )
    numbers["busy_ms"] += round(1000 * figures.get("busy_seconds", 0.0))
    numbers["waiting_ms"] += round(1000 * figures.get("waiting_seconds", 0.0))
    row.latency.merge(Histogram(figures.get("latency", ())))
    row.waits.merge(Histogram(figures.get("waits", ())))
