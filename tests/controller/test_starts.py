"""The book of starts, on a real store: who waited for what, and what an earlier controller left open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from jupyter_serving.backends.base import Started, Unready
from jupyter_serving.backends.making import Import, Making
from jupyter_serving.controller.records import ReplicaPhase, ReplicaRecord, StartRecord
from jupyter_serving.controller.starts import PHASES, Starts
from jupyter_serving.controller.store import Store
from jupyter_serving.settings import Settings

from .test_plan import SERVING, config, replica

HELD = 1000.0
REACHED = Started(
    {},
    "ready",
    phases={"imports": 0.0, "spawn": 0.03, "model_load": 0.05, "warm_up": 0.1},
    details={"memory": {"rss_bytes": 7_000_000}, "first": 0.02},
    making=Making("resident"),
    imports=(Import("sklearn", 0.2, 0.5),),
)


@dataclass
class Book:
    """A store with one endpoint, its starts, a clock that the test sets, and the cold starts that were told."""

    store: Store
    now: float = HELD
    cold: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.starts = Starts(
            self.store, Settings(), self.cold.append, lambda entity: 7_000_000, lambda: self.now
        )

    def again(self) -> None:
        """Another controller, on the same store."""
        self.starts = Starts(
            self.store, Settings(), self.cold.append, lambda entity: 7_000_000, lambda: self.now
        )

    async def ready(self, record: ReplicaRecord) -> None:
        """Its backend is asked 10 ms after it was recorded, and it is ready 200 ms after that."""
        self.now += 0.21
        start = self.starts.ready(record, self.now - 0.2, REACHED, 3_000_000)
        await self.store.put(replace(record, phase=ReplicaPhase.READY), start)

    async def last(self) -> StartRecord:
        return (await self.store.recent(StartRecord, "e"))[-1]


def woken() -> ReplicaRecord:
    """A replica that was recorded 2 ms after a request was held for it."""
    record = replica(1, 1, ReplicaPhase.STARTING)
    return replace(record, reason="wake", held_at=HELD - 0.002, created=int(HELD * 1000))


@asynccontextmanager
async def book(path: Path) -> AsyncIterator[Book]:
    store = Store(path / "store.sqlite")
    await store.open()
    try:
        await store.put(SERVING, config(1))
        yield Book(store)
    finally:
        await store.close()


def play(path: Path, scene: Callable[[Book], Awaitable[None]]) -> None:
    async def run() -> None:
        async with book(path) as made:
            await scene(made)

    asyncio.run(run())


def test_a_cold_start_is_accounted_for_from_the_held_request_to_the_first_byte(
    tmp_path: Path,
) -> None:
    async def scene(made: Book) -> None:
        record = woken()
        await made.ready(record)
        made.starts.published(["r1"], 41)
        await made.starts.applied(40)
        made.now += 0.004
        await made.starts.applied(41)
        await made.starts.answered("r1", HELD - 0.002, made.now + 0.01)
        start = await made.last()
        assert list(start.phases) == [n for n in PHASES if n != "interpreter"]
        assert start.phases["held"] == pytest.approx(0.002)
        assert start.phases["decision"] == pytest.approx(0.01)
        assert start.phases["publish"] == pytest.approx(0.004)
        assert start.phases["first_byte"] == pytest.approx(0.01)
        assert start.total_seconds == pytest.approx(0.002 + 0.21 + 0.004 + 0.01)
        assert (start.zygote, start.memory_bytes, start.model_bytes) == (
            "resident",
            7_000_000,
            3_000_000,
        )
        assert (start.imports, start.imports_whole) == ((("sklearn", 0.2),), {"sklearn": 0.5})
        assert made.store.endpoints["e"].last_cold_start == start.total_seconds
        assert made.cold == ["e"]

    play(tmp_path, scene)


def test_a_request_that_came_later_did_not_wait_for_the_start(tmp_path: Path) -> None:
    async def scene(made: Book) -> None:
        await made.ready(woken())
        made.starts.published(["r1"], 1)
        await made.starts.applied(1)
        await made.starts.answered("r1", made.now + 3600, made.now + 3601)
        start = await made.last()
        assert "first_byte" not in start.phases
        assert start.total_seconds == pytest.approx(0.212)
        assert made.store.endpoints["e"].last_cold_start is None
        assert made.cold == []

    play(tmp_path, scene)


def test_what_an_earlier_controller_left_open_is_completed(tmp_path: Path) -> None:
    async def scene(made: Book) -> None:
        await made.ready(woken())
        made.again()
        await made.starts.answered("r1", HELD - 0.002, made.now + 0.05)
        assert (await made.last()).phases["first_byte"] > 0.04
        assert made.cold == ["e"]
        # and only once
        await made.starts.answered("r1", HELD - 0.002, made.now + 9.0)
        assert made.cold == ["e"]

    play(tmp_path, scene)


def test_the_route_of_another_start_ends_it(tmp_path: Path) -> None:
    async def scene(made: Book) -> None:
        await made.ready(replace(woken(), reason="scale_up", held_at=None))
        made.starts.published(["r1"], 5)
        made.now += 0.003
        await made.starts.applied(6)
        start = await made.last()
        assert start.phases["publish"] == pytest.approx(0.003)
        assert "held" not in start.phases
        await made.starts.answered("r1", made.now, made.now + 1)
        assert "first_byte" not in (await made.last()).phases

    play(tmp_path, scene)


def test_a_start_that_failed_tells_its_phase(tmp_path: Path) -> None:
    async def scene(made: Book) -> None:
        error = Unready("no module xgboost", reached=REACHED, phase="imports")
        start = made.starts.failed(woken(), HELD, error)
        assert (start.failed, start.error, start.remedy) == ("imports", "no module xgboost", "")
        assert start.phases["spawn"] == 0.03
        late = made.starts.failed(woken(), HELD, TimeoutError())
        assert (late.failed, late.error) == ("spawn", "It took too long.")

    play(tmp_path, scene)


def test_a_start_after_a_short_sleep_says_how_long_it_slept(tmp_path: Path) -> None:
    async def scene(made: Book) -> None:
        entity = config(1).entities[0]
        spec = replace(entity.spec, scale_to_zero_enabled=True, scale_to_zero_seconds=60.0)
        await made.store.put(config(1).with_entity(replace(entity, spec=spec)))
        made.now = HELD - 30.0
        made.starts.emptied(woken())
        made.now = HELD
        await made.ready(woken())
        assert "from 60 to 91" in (await made.last()).remedy
        assert "30 s after" in (await made.last()).remedy

    play(tmp_path, scene)


def test_an_endpoint_that_is_gone_meanwhile_has_no_book(tmp_path: Path) -> None:
    async def scene(made: Book) -> None:
        await made.ready(woken())
        await made.store.forget_endpoint(SERVING)
        await made.starts.answered("r1", HELD - 0.002, made.now)
        assert await made.store.recent(StartRecord, "e") == []

    play(tmp_path, scene)
