"""Decisions as they are kept, told and replayed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path

from jupyter_serving.autoscale.policy import Inputs, decide
from jupyter_serving.controller.decisions import STOPPED, UNKNOWN, Decisions
from jupyter_serving.controller.records import DecisionRecord, EndpointRecord, Wanted
from jupyter_serving.controller.scaling import Scaling
from jupyter_serving.controller.store import Store
from jupyter_serving.observed import Autoscaling
from jupyter_serving.workloads import Capacity

from .test_store import CONFIG, ENDPOINT

KEY = "e1:1:iris-1"
SERVING = EndpointRecord(id="e1", name="iris", creator="me", created=1, updated=1, active=1)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """A store, an autoscaler, and what is told of them."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, Clock()
        self.decisions = Decisions(store)
        self.scaling = Scaling(self.clock, record=self.decisions.record)

    async def told(self, limit: int = 100, endpoint: EndpointRecord = SERVING) -> Autoscaling:
        return await self.decisions.told(endpoint, self.scaling, limit)

    async def records(self, count: int) -> list[DecisionRecord]:
        async with asyncio.timeout(10):
            while True:
                found = await self.store.recent(DecisionRecord, "e1")
                if len(found) >= count:
                    return found


def kept(test: Callable[[Kept], Awaitable[None]], path: Path) -> None:
    async def run() -> None:
        store = Store(path / "store.sqlite")
        await store.open()
        await store.put(ENDPOINT, CONFIG)
        try:
            await test(Kept(store))
        finally:
            await store.close()

    asyncio.run(run())


def test_a_change_is_kept_with_its_inputs_and_its_sentence(tmp_path: Path) -> None:
    async def test(own: Kept) -> None:
        own.scaling.track(KEY, Capacity(0, 16, 4), 60.0, ready=0, floor=0)
        own.scaling.wake(KEY, held=6, since=999.0)
        (record,) = await own.records(1)
        assert (record.entity, record.version, record.at) == ("iris-1", 1, 1_000_000)
        assert (record.before, record.wanted) == (0, 2)
        assert record.inputs["held"] == 6.0
        assert "room" not in record.inputs, "no bound is left out"
        assert record.reason.startswith("Up from 0 to 2 replicas: requests for 6 slots are held")
        (decision,) = (await own.told()).decisions
        assert (decision.wanted_before, decision.wanted, decision.reason) == (0, 2, record.reason)
        assert (await own.told(limit=0)).decisions == []

    kept(test, tmp_path)


def test_a_kept_decision_can_be_replayed(tmp_path: Path) -> None:
    async def test(own: Kept) -> None:
        capacity = Capacity(0, 64, 4)
        own.scaling.track(KEY, capacity, 30.0, ready=0, floor=0)
        own.scaling.wake(KEY, held=6, since=999.0)
        for second in range(400):
            own.clock.now += 1
            load = 7.3 if second < 20 else 0.0
            own.scaling.track(KEY, capacity, 30.0, ready=min(second, 2), floor=0)
            if load:
                figures = {"busy_seconds": load, "seconds": 1.0, "in_flight": 7}
                own.scaling.observe(KEY, figures)
            own.scaling.tick()
        records = await own.records(3)
        assert records[-1].wanted == 0
        for record in records:
            given = {f.name: record.inputs.get(f.name, math.inf) for f in fields(Inputs)}
            assert decide(Inputs(**given)).wanted == record.wanted

    kept(test, tmp_path)


def test_the_present_state_is_told_with_rules_and_bounds(tmp_path: Path) -> None:
    async def test(own: Kept) -> None:
        (before,) = (await own.told()).served_entities
        assert before.last == {"reason": UNKNOWN}
        own.scaling.track(KEY, Capacity(0, 16, 4), math.inf, ready=0, floor=1)
        own.clock.now += 5
        (state,) = (await own.told()).served_entities
        assert (state.served_entity, state.config_version) == ("iris-1", 1)
        assert state.rules["target_utilisation"] == 0.7
        assert (state.bounds["min_replicas"], state.bounds["max_replicas"]) == (1, 4)
        assert state.bounds["scale_to_zero_seconds"] is None
        assert (state.last["wanted"], state.last["at"]) == (1, 1_005_000)
        assert state.last["reason"].startswith("1 replica kept: at least 1")

    kept(test, tmp_path)


def test_a_stopped_endpoint_says_that_it_is_stopped(tmp_path: Path) -> None:
    async def test(own: Kept) -> None:
        own.scaling.track(KEY, Capacity(4, 16, 4), math.inf, ready=1, floor=0)
        stopped = EndpointRecord(
            id="e1",
            name="iris",
            creator="me",
            created=1,
            updated=1,
            active=1,
            wanted=Wanted.STOPPED,
        )
        (state,) = (await own.told(endpoint=stopped)).served_entities
        assert (state.last["wanted"], state.last["reason"]) == (0, STOPPED)

    kept(test, tmp_path)


def test_what_is_decided_about_a_deleted_endpoint_is_not_kept(tmp_path: Path) -> None:
    async def test(own: Kept) -> None:
        own.scaling.track("gone:1:m", Capacity(4, 16, 4), math.inf, ready=0, floor=0)
        own.scaling.track(KEY, Capacity(4, 16, 4), math.inf, ready=0, floor=0)
        await own.records(1)
        assert await own.store.recent(DecisionRecord, "gone") == []

    kept(test, tmp_path)
