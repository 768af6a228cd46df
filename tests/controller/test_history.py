from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.controller.history import BLOCK_SECONDS, FLUSH_SECONDS, History
from jupyter_serving.errors import InvalidParameter
from jupyter_serving.metrics.window import Histogram

NOON = 1_800_000_000 - 1_800_000_000 % 86_400 + 43_200
HOUR, DAY = 3600, 86_400


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine as a test."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Timer:
    """What was armed last; ``due`` runs it."""

    def __init__(self, at: float, run: Callable[[], None]) -> None:
        self.at, self.run, self.cancelled = at, run, False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class World:
    """A history whose time passes by hand."""

    folder: Path
    now: float = NOON
    states: dict[str, tuple[int, int, int]] = field(default_factory=lambda: {"e": (1, 0, 1)})
    timers: list[Timer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history = self.fresh()

    def fresh(self) -> History:
        return History(self.folder, self.states.get, lambda: self.now, self._later)

    def _later(self, seconds: float, run: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, run))
        return self.timers[-1]

    def armed(self) -> list[Timer]:
        return [t for t in self.timers if not t.cancelled]

    def pass_to(self, moment: float) -> None:
        """Let time go on; timers run when they are due."""
        while due := [t for t in self.armed() if t.at <= moment]:
            timer = min(due, key=lambda t: t.at)
            self.now = max(self.now, timer.at)
            self.timers.remove(timer)
            timer.run()
        self.now = moment

    def second(self, endpoint: str = "e", **figures: Any) -> None:
        """One report of the gateway, and a second passes."""
        told = {"arrivals": 1, "finished": 1, "latency": [[60, 1]]} | figures
        self.history.observe(self.now, {f"{endpoint}:1:m": told}, {}, {})
        self.pass_to(self.now + 1)

    async def settled(self) -> None:
        """Wait until everything that was to be written is on disk."""
        await self.history.rows("e", 0, 1, 1)

    def files(self, kind: str = "*") -> list[Path]:
        return sorted(self.folder.glob(f"*/{kind}-*.bin"))

    def folders(self) -> list[Path]:
        return list(self.folder.iterdir())

    async def told(self, column: str, step: int, back: float = HOUR, endpoint: str = "e") -> list:
        answer = await self.history.answer(endpoint, self.now - back, None, step)
        return [v for v in answer["columns"][column] if v is not None]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    made = World(folder)
    await made.history.recover(made.states)
    try:
        yield made
    finally:
        await made.history.close()


@in_loop
async def test_seconds_and_tens_tell_the_same_requests(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for n in range(100):
            it.second(arrivals=n, refused={"queue_full": 2, "client_gone": 1}, errors=1)
        for step in (1, 7, 10, 60):
            assert sum(await it.told("arrivals", step)) == sum(range(100))
            assert sum(await it.told("refused", step)) == 300
            assert sum(await it.told("failed", step)) == 300
        assert await it.told("ready", 60) == [1, 1]


@in_loop
async def test_what_two_entities_do_comes_together(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.history.observe(
            it.now,
            {
                "e:1:a": {"arrivals": 2, "in_flight": 1, "latency": [[10, 1]]},
                "e:2:b": {"arrivals": -1, "in_flight": 2, "latency": [[90, 1]]},
                "gone:1:a": {"arrivals": 9},
            },
            {"e": {"stopped": 4, "token": 1}},
            {"e": 0.25},
        )
        answer = await it.history.answer("e", it.now, None, 1)
        columns = {name: values[0] for name, values in answer["columns"].items()}
        assert (columns["arrivals"], columns["in_flight"]) == (1, 3)
        assert (columns["refused"], columns["failed"]) == (5, 4)
        assert columns["longest_gap"] == 0.25
        assert columns["latency_p50"] < columns["latency_p99"]
        assert it.files() == []


@in_loop
async def test_a_killed_controller_loses_at_most_a_few_seconds(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for _ in range(BLOCK_SECONDS + 200):
            it.second()
        await it.settled()
        killed, it.history = it.history, it.fresh()  # nobody closes the first one
        await it.history.recover(it.states)
        for step in (1, 10):
            kept = sum(await it.told("arrivals", step))
            assert kept >= BLOCK_SECONDS + 200 - FLUSH_SECONDS - 1
        # What was made up once is not made up again.
        it.history = it.fresh()
        await it.history.recover(it.states)
        assert sum(await it.told("arrivals", 10)) <= BLOCK_SECONDS + 200
        killed._open.clear()
        await killed.close()


@in_loop
async def test_an_orderly_end_loses_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for _ in range(25):
            it.second()
        await it.history.close()
        it.history = it.fresh()
        await it.history.recover(it.states)
        it.second()
        for step in (1, 10):
            assert sum(await it.told("arrivals", step)) == 26


@in_loop
async def test_an_idle_endpoint_costs_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.states["idle"] = (2, 0, 2)
        for _ in range(50):
            it.history.changed("idle")  # nothing has
            it.second()
        assert not (tmp_path / "idle").exists()
        it.pass_to(it.now + 2 * BLOCK_SECONDS)
        await it.settled()
        before = [path.read_bytes() for path in it.files()]
        assert it.armed() == []
        assert it.history._open == {}
        it.pass_to(it.now + HOUR)
        it.history.changed("e")
        assert it.armed() == []
        await it.settled()
        assert [path.read_bytes() for path in it.files()] == before


@in_loop
async def test_a_change_of_the_replicas_is_written_down_without_any_request(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for states in ((1, 0, 1), (1, 1, 2), (2, 0, 2), (2, 0, 2)):
            it.states["e"] = states
            it.history.changed("e")
            it.pass_to(it.now + 20)
        assert await it.told("ready", 10) == [1, 2]
        assert await it.told("starting", 10) == [1, 0]


@in_loop
async def test_damage_is_left_out_and_told(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for _ in range(60):
            it.second()
        it.pass_to(it.now + 10)
        await it.settled()
        (path,) = it.files("seconds")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(bytes(content))
        answer = await it.history.answer("e", it.now - 600, None, 1)
        left = sum(v or 0 for v in answer["columns"]["arrivals"])
        assert 60 - FLUSH_SECONDS - 1 <= left < 60
        assert "1 damaged block" in answer["notes"][0]


@pytest.mark.parametrize("content", [b"", b"JSH1", b"\0" * 5000, bytes(range(256)) * 40])
@in_loop
async def test_a_file_of_nonsense_hides_nothing(tmp_path: Path, content: bytes) -> None:
    async with world(tmp_path) as it:
        for kind, span in (("seconds", HOUR), ("tens", DAY)):
            path = tmp_path / "e" / f"{kind}-{NOON - NOON % span}.bin"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        it.history = it.fresh()
        await it.history.recover(it.states)
        for _ in range(BLOCK_SECONDS):
            it.second()
        it.pass_to(it.now + 20)
        assert sum(await it.told("arrivals", 1)) == BLOCK_SECONDS
        assert sum(await it.told("arrivals", 10)) == BLOCK_SECONDS


@in_loop
async def test_old_files_go_and_their_folder_with_the_last(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for _ in range(30):
            it.second()
        it.pass_to(it.now + BLOCK_SECONDS + 10)
        await it.settled()
        archive = it.history._archive
        assert len(it.files()) == 2
        assert archive.sweep(it.now + HOUR)
        assert len(it.files()) == 2
        assert archive.sweep(it.now + 2 * HOUR)
        assert [p.name.partition("-")[0] for p in it.files()] == ["tens"]
        assert archive.sweep(it.now + 14 * DAY)
        assert not archive.sweep(it.now + 15 * DAY)
        assert it.folders() == []


@in_loop
async def test_a_deleted_endpoint_leaves_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for _ in range(10):
            it.second()
        del it.states["e"]
        it.history.forget("e")
        it.second()  # a late report
        it.pass_to(it.now + BLOCK_SECONDS + 10)
        await it.settled()
        assert it.folders() == []


@in_loop
async def test_what_is_of_no_endpoint_goes_at_the_start(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for _ in range(10):
            it.second()
        await it.history.close()
        it.history = it.fresh()
        await it.history.recover(["other"])
        await it.settled()
        assert it.folders() == []


@in_loop
async def test_the_step_grows_where_seconds_are_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        recent = await it.history.answer("e", it.now - 600, None, 3)
        old = await it.history.answer("e", it.now - 3 * HOUR, None, 3)
        usual = await it.history.answer("e", it.now - DAY, None, None)
        assert (recent["step"], old["step"], usual["step"]) == (3, 10, 150)
        assert usual["start"] % 150 == 0
        assert len(usual["columns"]["arrivals"]) == 577


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [(NOON, NOON - 1, None), (-1, None, None), (None, None, 0), (0, None, 10)],
)
@in_loop
async def test_times_that_make_no_sense_are_refused(
    tmp_path: Path, start: float | None, end: float | None, step: int | None
) -> None:
    async with world(tmp_path) as it:
        with pytest.raises(InvalidParameter):
            await it.history.answer("e", start, end, step)


def noise(source: random.Random, seconds: int) -> dict[str, Any]:
    """What is reported of a few seconds: 30 requests each, latencies of several orders of magnitude."""
    slow, waits = Histogram(), Histogram()
    for _ in range(source.randint(20 * seconds, 40 * seconds)):
        slow.add(source.lognormvariate(-3.5, 1.0))
        waits.add(source.lognormvariate(-6.0, 1.5))
    return {
        "arrivals": slow.count,
        "finished": slow.count + source.randint(-5, 5),
        "errors": source.randint(0, 5),
        "refused": {"queue_full": source.randint(0, 5)},
        "in_flight": source.randint(0, 64),
        "queued": source.randint(0, 1000),
        "busy_seconds": source.uniform(0, 60),
        "waiting_seconds": source.uniform(0, 60),
        "latency": slow.pairs(),
        "waits": waits.pairs(),
    }


@in_loop
async def test_a_full_active_day_weighs_at_most_two_megabytes(tmp_path: Path) -> None:
    source = random.Random(7)
    async with world(tmp_path) as it:
        # The seconds of the first 22 hours would be gone by the end: their tens come as one report each.
        for seconds, reports in ((10, 22 * 360), (1, 2 * HOUR)):
            drawn = [noise(source, seconds) for _ in range(500)]
            for _ in range(reports):
                it.states["e"] = (source.randint(1, 9), source.randint(0, 2), source.randint(1, 9))
                it.second(**source.choice(drawn))
                it.pass_to(it.now + seconds - 1)
        await it.settled()
        assert it.now == NOON + DAY
        it.history._archive.sweep(it.now)
        weight = sum(path.stat().st_size for path in it.files())
        assert weight <= 2_000_000, f"{weight / 1e6:.2f} MB"
        assert len(it.files("seconds")) <= 3
        answer = await it.history.answer("e", it.now - DAY, None, 600)
        assert len([v for v in answer["columns"]["arrivals"] if v]) == 144
        print(f"{weight / 1e6:.2f} MB")
