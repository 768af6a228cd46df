from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from jupyter_serving.api import ConfigState, ConfigUpdate
from jupyter_serving.controller.certificates import (
    CANCELED,
    FAILED,
    RESTARTED,
    SUCCEEDED,
    Certificates,
)
from jupyter_serving.controller.proof import AFTER, Facts, certificate
from jupyter_serving.controller.records import (
    CertificateRecord,
    ConfigRecord,
    EndpointRecord,
    ReplicaPhase,
    ReplicaRecord,
)
from jupyter_serving.controller.store import Store
from jupyter_serving.metrics.history import Row

T0 = 1_800_000_000


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine as a test."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def second(at: float, latency: float = 0.012, **numbers: int) -> Row:
    row = Row(int(at))
    row.numbers.update({"arrivals": 10, "finished": 10, "gap_ms": 20} | numbers)
    for _ in range(10):
        row.latency.add(latency)
    return row


@dataclass
class World:
    """A store with one endpoint, a made-up history, and time that passes where somebody waits, or ``stands``."""

    store: Store
    now: float = T0
    stands: bool = False
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.certificates = self.fresh()

    def fresh(self) -> Certificates:
        return Certificates(self.store, self.read, lambda: self.now, self.pause)

    async def read(self, endpoint: str, start: float, end: float) -> list[Row]:
        # What is still to come is not recorded yet.
        return [row for row in self.rows if start <= row.at < min(end, self.now)]

    async def pause(self, over: asyncio.Event, seconds: float) -> None:
        if self.stands:
            await over.wait()
        self.now += 0 if over.is_set() else seconds
        await asyncio.sleep(0)

    async def begin(self, version: int = 2, active: int | None = 1) -> EndpointRecord:
        endpoint = EndpointRecord(
            id="e", name="e", creator="me", created=0, updated=0, active=active, pending=version,
            update=ConfigUpdate.IN_PROGRESS, update_started=int(self.now * 1000),
        )  # fmt: skip
        config = ConfigRecord(
            endpoint="e", version=version, created=int(self.now * 1000), entities=(), routes=()
        )
        await self.store.put(endpoint, config)
        self.certificates.begin(endpoint, version)
        return endpoint

    async def end(self, endpoint: EndpointRecord, outcome: str = SUCCEEDED) -> None:
        version = endpoint.pending or 0
        state = {FAILED: ConfigState.FAILED, CANCELED: ConfigState.CANCELED}.get(outcome)
        config = self.store.configs["e", version]
        ended = replace(config, ended=int(self.now * 1000), outcome=state or ConfigState.SUPERSEDED)
        over = replace(endpoint, pending=None, update=ConfigUpdate.NOT_UPDATING, active=version)
        await self.store.put(over, ended)
        await self.certificates.end(endpoint, version, outcome)

    async def stored(self) -> list[dict[str, Any]]:
        return [r.body for r in await self.store.recent(CertificateRecord, "e")]

    async def completed(self, count: int = 1) -> list[dict[str, Any]]:
        """All certificates, when ``count`` of them are complete."""
        for _ in range(100_000):
            found = await self.stored()
            if sum(body["complete"] for body in found) >= count:
                return found
            await asyncio.sleep(0)
        raise AssertionError(f"not complete: {await self.stored()}")


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    store = Store(folder / "store.sqlite")
    await store.open()
    made = World(store)
    try:
        yield made
    finally:
        await made.certificates.close()
        await store.close()


@in_loop
async def test_a_certificate_tells_what_happened_before_during_and_after(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.rows += [second(T0 - n, 0.010) for n in range(30)]
        it.rows += [second(T0 + n, 0.100, gap_ms=70) for n in range(1, 5)]
        it.rows += [second(T0 + n, 0.020) for n in range(5, 60)]
        endpoint = await it.begin()
        it.now += 2.4
        await it.end(endpoint)
        (first,) = await it.stored()
        assert not first["complete"]
        (body,) = await it.completed()
        assert body["text"] == (
            "Config 2 replaced config 1 in 2.4 s: 40 requests, 0 failed; p95 10 ms before, "
            "99 ms during, 20 ms after; longest gap 0.07 s."
        )
        assert it.now >= T0 + 2.4 + AFTER
        assert body["longest_gap_before"] == 0.02


@in_loop
async def test_where_nobody_asks_it_is_complete_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        endpoint = await it.begin(version=1, active=None)
        it.now += 1.2
        await it.end(endpoint)
        (body,) = await it.completed()
        assert body["text"] == "Config 1 went live in 1.2 s: no request came."
        assert it.now < T0 + 20


@in_loop
async def test_failures_are_counted_with_their_reasons(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        endpoint = await it.begin()
        it.certificates.observe(
            {
                "e:1:m": {"errors": 2, "refused": {"queue_full": 3, "client_gone": 9}},
                "other:1:m": {"errors": 5},
            },
            {"e": {"unavailable": 1, "token": 7}},
        )
        it.rows.append(second(T0 + 1, failed=6))
        it.rows.append(second(T0 + 30, failed=2))
        it.now += 3
        await it.end(endpoint, FAILED)
        (body,) = await it.completed()
        assert body["text"].startswith(
            "Config 2 failed after 3.0 s, config 1 serves on: 10 requests, 6 failed (2 answered 5xx, "
            "3 refused: queue full, 1 refused: unavailable), 2 more in the minute after;"
        )


@in_loop
async def test_the_next_update_ends_the_minute_after(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.rows += [second(T0 + n, 0.010) for n in range(12)]
        it.rows += [second(T0 + n, 5.0) for n in range(12, 60)]
        it.stands = True
        first = await it.begin(2)
        it.now += 2
        await it.end(first)
        it.now = T0 + 11
        second_one = await it.begin(3, active=2)
        it.now += 2
        await it.end(second_one, CANCELED)
        it.stands = False
        two, three = await it.completed(2)
        assert two["p95"]["after"] < 0.02
        assert three["p95"]["after"] > 4
        assert three["text"].startswith("Config 3 was canceled after 2.0 s, config 2 serves on")


@in_loop
async def test_an_update_that_began_before_the_end_of_the_last_was_told(tmp_path: Path) -> None:
    """The end of one and the begin of the next are told by two tasks, in whichever order."""
    async with world(tmp_path) as it:
        first = await it.begin(2)
        it.now += 2
        await it.begin(3, active=2)
        await it.certificates.end(first, 2, SUCCEEDED)
        (body,) = await it.completed()
        assert (body["config_version"], body["outcome"]) == (2, SUCCEEDED)


@in_loop
async def test_a_restart_during_an_update_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        endpoint = await it.begin()
        it.rows.append(second(T0 + 1))
        it.now += 5
        it.certificates = it.fresh()
        await it.certificates.resume()
        it.certificates.begin(endpoint, 2)  # as found
        it.now += 1
        await it.end(endpoint)
        (body,) = await it.completed()
        assert body["notes"] == [RESTARTED]
        assert body["requests"] == 10
        assert body["seconds"] == 6.0


@in_loop
async def test_a_restart_in_the_minute_after_completes_the_certificate(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.rows += [second(T0 + n) for n in range(-10, 60)]
        endpoint = await it.begin()
        it.certificates.replayed("e", 2, {"passed": True, "text": "Replay: fine.", "rows": []})
        it.now += 1
        await it.end(endpoint)
        await it.certificates.close()
        (body,) = await it.stored()
        assert not body["complete"]
        it.now += 500
        it.certificates = it.fresh()
        await it.certificates.resume()
        (body,) = await it.completed()
        assert body["p95"].keys() == {"before", "during", "after"}
        assert body["replay"]["text"] == "Replay: fine."


@in_loop
async def test_a_controller_killed_between_the_switch_and_the_certificate(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.rows += [second(T0 + n) for n in range(5)]
        endpoint = await it.begin()
        it.now += 3
        config = replace(
            it.store.configs["e", 2],
            ended=int(it.now * 1000),
            outcome=ConfigState.SUPERSEDED,
        )
        await it.store.put(replace(endpoint, pending=None, active=2), config)
        it.now += 100
        it.certificates = it.fresh()
        await it.certificates.resume()
        (body,) = await it.completed()
        assert (body["config_version"], body["seconds"]) == (2, 3.0)
        assert body["notes"] == [RESTARTED]


@in_loop
async def test_nothing_is_written_about_an_endpoint_that_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        endpoint = await it.begin()
        it.now += 1
        await it.store.forget_endpoint(endpoint)
        await it.certificates.end(endpoint, 2, SUCCEEDED)
        assert await it.stored() == []


@in_loop
async def test_phases_come_from_the_records(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        endpoint = await it.begin()
        replica = ReplicaRecord(
            id="r", endpoint="e", version=2, entity="m", phase=ReplicaPhase.READY, backend="process",
            slots=1, reason="deploy", created=int((T0 + 2) * 1000),
        )  # fmt: skip
        config = it.store.configs["e", 2]
        verdict = {"passed": True, "text": "Replay: fine.", "seconds": 1.5}
        await it.store.put(replica, replace(config, verdict=verdict))
        it.now += 6
        await it.end(endpoint)
        (body,) = await it.completed()
        assert body["phases"].items() >= {"prepare": 2.0, "start": 2.5, "gate": 1.5}.items()
        assert "drain" in body["phases"]
        assert body["replay"] == verdict


def test_a_wait_is_told_where_somebody_had_to() -> None:
    row = second(T0 + 1)
    row.waits.add(0.8)
    facts = Facts(2, 1, SUCCEEDED, T0, T0 + 2, True)
    body = certificate(facts, [row])
    assert 0.8 <= body["longest_wait"] < 0.9
    assert body["text"].endswith("longest gap 0.02 s, longest wait 0.8 s.")
