import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from services import until

from jupyter_serving.backends import Exit, ReplicaSpec, Started
from jupyter_serving.backends.launch import Launcher
from jupyter_serving.backends.process import ProcessBackend
from jupyter_serving.errors import StartFailed
from jupyter_serving.places import Places
from jupyter_serving.settings import Settings

from .harness import World, ask, ready


async def next_exit(backend: ProcessBackend) -> Exit:
    async with asyncio.timeout(60):
        return await anext(backend.watch())


async def comes(condition: Callable[[], object]) -> None:
    """Wait for a true value while the loop runs."""
    await asyncio.to_thread(until, condition)


# -- life ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zygotes", [True, False])
def test_a_replica_is_started_answers_and_is_stopped(world: World, zygotes: bool) -> None:
    async def scenario() -> list[Started]:
        async with world.backend(environment_zygotes=zygotes) as backend:
            spec = world.spec(slots=2)
            steps = [step async for step in backend.start(spec)]
            handle = steps[-1].handle
            assert await ask(handle, "NOTHING") == [""]
            mode = os.stat(handle["socket"]).st_mode
            assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
            assert backend.address(handle) == f"unix:{handle['socket']}"
            assert await backend.observe() != {}
            await backend.stop(handle, 30.0)
            assert await backend.observe() == {}
            assert world.files(spec.id) == []
            assert "draining: SIGTERM" in spec.log.read_text()
            return steps

    steps = asyncio.run(scenario())
    assert [step.phase for step in steps] == ["spawning", "spawned", "ready"]
    assert "pid" not in steps[0].handle
    assert steps[1].handle == steps[2].handle
    assert steps[2].slots == 2
    assert set(steps[2].phases) >= {"spawn", "imports", "model_load", "warm_up"}
    json.dumps(steps[2].handle)


def test_starts_at_the_same_time_share_one_zygote(own_world: World) -> None:
    async def scenario() -> None:
        async with own_world.backend() as backend:
            steps = await asyncio.gather(*(ready(backend, own_world.spec()) for _ in range(3)))
            assert len({step.handle["zygote"] for step in steps}) == 1
            assert len(own_world.zygotes()) == 1
            await asyncio.gather(*(backend.stop(step.handle, 30.0) for step in steps))

    asyncio.run(scenario())


@pytest.mark.parametrize("zygotes", [True, False])
def test_what_the_checks_found_is_kept_for_models_known_by_their_digest(
    own_world: World, zygotes: bool
) -> None:
    digest = own_world.places.models / ("d" * 64)
    shutil.copytree(own_world.models / "teller", digest)

    async def scenario() -> list[str]:
        logs = []
        async with own_world.backend(environment_zygotes=zygotes) as backend:
            for model in ("teller", str(digest), str(digest)):
                spec = own_world.spec(model, entity="e")
                handle = (await ready(backend, spec)).handle
                logs.append(spec.log.read_text())
                await backend.stop(handle, 30.0)
        return logs

    unknown, first, second = asyncio.run(scenario())
    (file,) = own_world.places.verdicts.iterdir()
    assert file.name.startswith("d" * 64 + "-")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(own_world.places.verdicts.stat().st_mode) == 0o700
    assert "at an earlier start" not in unknown + first
    assert "at an earlier start" in second


def test_stopping_twice_or_what_never_was_is_no_error(world: World) -> None:
    async def scenario() -> None:
        async with world.backend() as backend:
            handle = (await ready(backend, world.spec())).handle
            await backend.stop(handle, 0.0)
            await backend.stop(handle, 0.0)
            never = await Launcher(world.places, Settings(), backend._zygotes).handle(world.spec())
            await backend.stop(never, 0.0)

    asyncio.run(scenario())


def test_a_data_directory_with_a_long_path(shared_world: World, tmp_path: Path) -> None:
    data = tmp_path / ("d" * 100) / ("e" * 100)
    places = Places.of(data)
    places.prepare()
    assert len(str(data)) > 200
    world = World(places, shared_world.environment, shared_world.models)

    async def scenario() -> None:
        async with world.backend() as backend:
            handle = (await ready(backend, world.spec())).handle
            assert await ask(handle, "NOTHING") == [""]
            await backend.stop(handle, 30.0)

    asyncio.run(scenario())
    world.end()


# -- environment variables -------------------------------------------------------------------------


def test_a_variable_reaches_only_its_replica(world: World) -> None:
    async def scenario() -> list[list[str]]:
        async with world.backend() as backend:
            specs = [
                world.spec(variables={"TOLD": "1"}),
                world.spec(variables={"TOLD": "2"}),
                world.spec(),
            ]
            handles = [(await ready(backend, spec)).handle for spec in specs]
            assert len({handle["zygote"] for handle in handles}) == 3
            answers = [await ask(handle, "TOLD") for handle in handles]
            for handle in handles:
                await backend.stop(handle, 30.0)
            return answers

    assert asyncio.run(scenario()) == [["1"], ["2"], [""]]


def test_a_model_sees_neither_jupyters_credentials_nor_our_search_path(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN", "secret")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("KEPT", "kept")

    async def scenario() -> list[str]:
        async with world.backend() as backend:
            handle = (await ready(backend, world.spec(threads=3))).handle
            answer = await ask(
                handle, "JUPYTER_TOKEN", "MPLBACKEND", "PYTHONPATH", "KEPT", "OMP_NUM_THREADS"
            )
            await backend.stop(handle, 30.0)
            return answer

    assert asyncio.run(scenario()) == ["", "", "", "kept", "3"]


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("load_raises", "FileNotFoundError: weights.bin is not in the model"),
        ("load_dies", "SIGKILL"),
    ],
)
def test_why_a_model_was_not_loaded_is_told(world: World, model: str, told: str) -> None:
    async def scenario() -> None:
        async with world.backend() as backend:
            spec = world.spec(model)
            with pytest.raises(StartFailed, match=told):
                await ready(backend, spec)
            assert await backend.observe() == {}
            assert world.files(spec.id) == []

    asyncio.run(scenario())


def test_a_load_that_hangs_ends_at_the_deadline(world: World) -> None:
    async def scenario() -> None:
        async with world.backend() as first:
            await first.stop((await ready(first, world.spec())).handle, 30.0)  # the zygote is up
        async with world.backend(start_deadline_seconds=1.0) as backend:
            with pytest.raises(StartFailed, match="not ready within 1 s"):
                await ready(backend, world.spec("load_hangs"))
            assert await backend.observe() == {}

    asyncio.run(scenario())


@pytest.mark.parametrize("zygotes", [True, False])
def test_an_environment_that_changed_is_refused(world: World, zygotes: bool) -> None:
    changed = replace(world.environment, key="f" * 16, fingerprint="what it was before")

    async def scenario() -> None:
        async with world.backend(environment_zygotes=zygotes) as backend:
            with pytest.raises(StartFailed, match="was changed after this model was deployed"):
                await ready(backend, world.spec(environment=changed))

    asyncio.run(scenario())


@pytest.mark.parametrize("zygotes", [True, False])
def test_an_interpreter_that_does_not_start_is_told(
    world: World, tmp_path: Path, zygotes: bool
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'libpython: cannot open shared object file' >&2\nexit 127\n")
    broken.chmod(0o700)
    environment = replace(world.environment, key="b" * 16, python=broken)

    async def scenario() -> None:
        async with world.backend(environment_zygotes=zygotes) as backend:
            with pytest.raises(
                Exception, match=r"cannot open shared object|cannot tell what is installed"
            ):
                await ready(backend, world.spec(environment=environment))

    asyncio.run(scenario())


@pytest.mark.parametrize("phase", ["spawning", "spawned"])
def test_a_start_that_is_given_up_is_removed(world: World, phase: str) -> None:
    async def scenario() -> None:
        async with world.backend() as backend:
            start = backend.start(world.spec("load_hangs"))
            async for step in start:
                if step.phase == phase:
                    break
            await start.aclose()  # type: ignore[attr-defined]
            assert await backend.observe() == {}

    asyncio.run(scenario())


def test_a_start_that_is_cancelled_is_removed(world: World) -> None:
    async def scenario() -> None:
        async with world.backend() as backend:
            spec = world.spec("load_hangs")
            task = asyncio.create_task(ready(backend, spec))
            while not await backend.observe():
                assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await backend.observe() == {}

    asyncio.run(scenario())


# -- exits -----------------------------------------------------------------------------------------


def test_a_killed_replica_is_told_with_its_status(world: World) -> None:
    async def scenario() -> Exit:
        async with world.backend() as backend:
            step = await ready(backend, world.spec())
            os.kill(step.handle["pid"], signal.SIGKILL)
            ended = await next_exit(backend)
            assert ended.replica_id == step.handle["id"]
            await backend.stop(step.handle, 0.0)
            return ended

    ended = asyncio.run(scenario())
    assert ended.status == -signal.SIGKILL
    assert "SIGKILL" in ended.reason


def test_a_wanted_end_is_not_told(world: World) -> None:
    async def scenario() -> list[Exit]:
        async with world.backend() as backend:
            heard: list[Exit] = []

            async def listen() -> None:
                async for ended in backend.watch():
                    heard.append(ended)

            listening = asyncio.create_task(listen())
            first, second = [await ready(backend, world.spec()) for _ in range(2)]
            await backend.stop(first.handle, 30.0)
            os.kill(second.handle["pid"], signal.SIGKILL)
            await comes(lambda: heard)
            await backend.stop(second.handle, 0.0)
            await backend.close()
            await listening
            return heard

    assert len(asyncio.run(scenario())) == 1


def test_a_replica_outlives_its_zygote_and_is_still_watched(own_world: World) -> None:
    async def scenario() -> None:
        async with own_world.backend() as backend:
            first = await ready(backend, own_world.spec())
            [zygote] = own_world.zygotes()
            os.kill(zygote, signal.SIGKILL)
            until(lambda: zygote not in own_world.zygotes(), what="the zygote's end")
            assert await ask(first.handle, "NOTHING") == [""]
            second = await ready(backend, own_world.spec())
            assert own_world.zygotes() not in ([], [zygote])
            os.kill(first.handle["pid"], signal.SIGKILL)
            ended = await next_exit(backend)
            assert (ended.replica_id, ended.status) == (first.handle["id"], None)
            assert "unknown" in ended.reason
            for step in (first, second):
                await backend.stop(step.handle, 0.0)

    asyncio.run(scenario())


def test_idle_zygotes_end_but_not_those_with_replicas(own_world: World) -> None:
    async def scenario() -> None:
        async with own_world.backend(zygote_idle_seconds=0.5) as backend:
            busy = await ready(backend, own_world.spec())
            idle = await ready(backend, own_world.spec(variables={"TOLD": "1"}))
            await backend.stop(idle.handle, 0.0)
            await comes(lambda: len(own_world.zygotes()) == 1)
            [kept] = own_world.zygotes()
            assert backend._zygotes.connected(busy.handle["zygote"]).hello["pid"] == kept  # type: ignore[union-attr]
            await backend.stop(busy.handle, 0.0)

    asyncio.run(scenario())


# -- another controller ----------------------------------------------------------------------------


@pytest.mark.parametrize("zygotes", [True, False])
def test_a_replica_is_adopted_by_the_next_controller(world: World, zygotes: bool) -> None:
    async def scenario() -> Exit:
        async with world.backend(environment_zygotes=zygotes) as first:
            before = await ready(first, world.spec(slots=2))
        async with world.backend(environment_zygotes=zygotes) as second:
            observed = (await second.observe())[before.handle["id"]]
            assert observed.state == "running"
            handle = observed.handle | before.handle
            assert handle == before.handle
            adopted = await second.adopt(before.handle["id"], handle)
            assert adopted is not None
            assert (adopted.handle, adopted.slots) == (before.handle, 2)
            os.kill(before.handle["pid"], signal.SIGKILL)
            ended = await next_exit(second)
            await second.stop(handle, 0.0)
            return ended

    assert asyncio.run(scenario()).status == (-signal.SIGKILL if zygotes else None)


def test_what_cannot_be_verified_is_not_adopted(world: World) -> None:
    async def scenario() -> None:
        async with world.backend() as backend:
            step = await ready(backend, world.spec())
            replica, handle = step.handle["id"], step.handle
            without = {name: value for name, value in handle.items() if name != "pid"}
            assert await backend.adopt(replica, without) is None
            assert await backend.adopt(replica, handle | {"start": handle["start"] + 1}) is None
            assert await backend.adopt(replica, handle | {"boot": "another"}) is None
            os.kill(handle["pid"], signal.SIGSTOP)
            assert await backend.adopt(replica, handle | {"socket": "/nowhere.sock"}) is None
            os.kill(handle["pid"], signal.SIGCONT)
            await backend.stop(handle, 0.0)
            assert await backend.adopt(replica, handle) is None

    asyncio.run(scenario())


CONTROLLER = """
import asyncio, json, pickle, sys
from jupyter_serving.backends.process import ProcessBackend
from jupyter_serving.settings import Settings
places, spec, until = pickle.loads(bytes.fromhex(sys.argv[1]))

async def main():
    backend = ProcessBackend(places, Settings())
    async for step in backend.start(spec):
        print(json.dumps([step.phase, step.handle]), flush=True)
        if step.phase == until:
            await asyncio.sleep(1000)

asyncio.run(main())
"""


def crashed(world: World, spec: ReplicaSpec, last: str, held: str) -> dict[str, object]:
    """Run a controller, kill it after the phase ``last`` was stored; it goes on from there unless that is ``held``."""
    import pickle

    argument = pickle.dumps((world.places, spec, held)).hex()
    with subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, argument], stdout=subprocess.PIPE, text=True
    ) as controller:
        assert controller.stdout is not None
        for line in controller.stdout:
            phase, handle = json.loads(line)
            if phase == last:
                break
        controller.kill()
    return dict(handle)


@pytest.mark.parametrize(
    ("last", "held"),
    [("spawning", "spawning"), ("spawning", ""), ("spawned", "spawned"), ("spawned", "")],
)
@pytest.mark.parametrize("known", [True, False])
def test_a_controller_killed_within_a_start_leaves_nothing_that_is_not_found(
    world: World, last: str, held: str, known: bool
) -> None:
    spec = world.spec("load_hangs")
    handle = crashed(world, spec, last, held)

    async def scenario() -> None:
        async with world.backend() as backend:
            observed = await backend.observe()
            if last == "spawned":
                assert set(observed) == {spec.id}
            if known:
                await backend.stop(handle, 0.0)
            else:  # an orphan, for the record was lost
                for found in observed.values():
                    await backend.stop(found.handle, 0.0)
            assert await backend.observe() == {}
            assert world.files(spec.id) == []

    asyncio.run(scenario())


def test_a_spawn_whose_answer_nobody_read_is_found(world: World) -> None:
    async def scenario() -> None:
        async with world.backend() as backend:
            await backend.stop((await ready(backend, world.spec())).handle, 0.0)
            spec = world.spec("load_hangs")
            launcher = Launcher(world.places, Settings(), backend._zygotes)
            handle = await launcher.handle(spec)
            order = {"op": "spawn", "id": spec.id, "spec": await launcher._order(spec, handle)}
            with socket.socket(socket.AF_UNIX) as dead_controller:
                dead_controller.connect(str(world.places.zygote_socket(handle["zygote"])))
                dead_controller.sendall(json.dumps(order).encode() + b"\n")
            await backend.stop(handle, 0.0)
            assert await backend.observe() == {}

    asyncio.run(scenario())


def test_a_replica_whose_files_a_cleaner_removed_is_found(world: World) -> None:
    async def scenario() -> None:
        async with world.backend() as backend:
            handle = (await ready(backend, world.spec())).handle
            for name in ("socket", "lock"):
                os.unlink(handle[name])
            found = backend._remains._by_system()
            assert found[handle["id"]].pid == handle["pid"]
            await backend.stop({n: v for n, v in handle.items() if n not in ("pid", "start")}, 0.0)

    asyncio.run(scenario())
