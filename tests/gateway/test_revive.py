import asyncio
from pathlib import Path

from jupyter_serving.gateway.revive import LONGEST_SECONDS, Reviver, accepts_connections

from .world import scenario, until


class Scene:
    """A reviver with a clock that the test moves: ``sleeps`` lists what it asked for."""

    def __init__(self, *, answers: bool = False, spawns: bool = True) -> None:
        self.wanted = True
        self.there = answers
        self.spawns = spawns
        self.spawned = 0
        self.sleeps: list[float] = []
        self.gate = asyncio.Semaphore(0)
        self.reviver = Reviver(lambda: self.wanted, self.answers, self.spawn, self.sleep)

    async def answers(self) -> bool:
        return self.there

    async def spawn(self) -> None:
        self.spawned += 1
        if not self.spawns:
            raise OSError("no such file")

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await self.gate.acquire()

    async def wake(self, times: int) -> None:
        """Let that many sleeps end, one after the other."""
        for _ in range(times):
            count = len(self.sleeps)
            await until(lambda n=count: len(self.sleeps) >= n and self.sleeps)
            self.gate.release()
            await until(lambda n=count: len(self.sleeps) > n, "the next sleep")


@scenario
async def test_it_starts_a_controller_and_waits_longer_each_time() -> None:
    scene = Scene()
    task = asyncio.create_task(scene.reviver.run())
    await until(lambda: scene.sleeps)
    assert scene.spawned == 0, "it is given time to connect first"
    await scene.wake(8)
    assert scene.sleeps == [1, 1, 2, 4, 8, 16, 30, 30, 30] and LONGEST_SECONDS == 30
    assert scene.spawned == 8
    task.cancel()


@scenario
async def test_it_leaves_a_controller_alone_that_answers() -> None:
    scene = Scene(answers=True)
    task = asyncio.create_task(scene.reviver.run())
    await until(lambda: scene.sleeps)
    await scene.wake(3)
    assert scene.spawned == 0
    task.cancel()


@scenario
async def test_it_goes_on_after_a_failed_start() -> None:
    scene = Scene(spawns=False)
    task = asyncio.create_task(scene.reviver.run())
    await until(lambda: scene.sleeps)
    await scene.wake(3)
    assert scene.spawned == 3
    task.cancel()


@scenario
async def test_it_ends_when_nothing_is_left_to_serve() -> None:
    scene = Scene()
    task = asyncio.create_task(scene.reviver.run())
    await until(lambda: scene.sleeps)
    await scene.wake(2)
    scene.wanted = False
    scene.gate.release()
    await task
    assert scene.spawned == 2


@scenario
async def test_a_connected_controller_ends_it_and_its_loss_begins_anew() -> None:
    scene = Scene()
    task = asyncio.create_task(scene.reviver.run())
    await until(lambda: scene.sleeps)
    await scene.wake(3)
    scene.reviver.link_changed(True)
    scene.gate.release()
    for _ in range(20):
        await asyncio.sleep(0)
    assert scene.sleeps == [1, 1, 2, 4]
    scene.reviver.link_changed(False)
    await until(lambda: len(scene.sleeps) == 5)
    await scene.wake(1)
    assert scene.sleeps[4:] == [1, 1] and scene.spawned == 4
    task.cancel()


@scenario
async def test_a_socket_answers_only_with_a_process_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not await accepts_connections(path)
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), str(path))
    assert await accepts_connections(path)
    server.close()
    await server.wait_closed()
    assert path.exists() and not await accepts_connections(path)
