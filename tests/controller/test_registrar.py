"""The process that reads registries: real answers, told errors, its end when idle, killed or left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from services import until
from zoo import Zoo

from jupyter_serving.api import Registry
from jupyter_serving.controller.registrar import Registrar
from jupyter_serving.errors import NotFound, RegistryUnreachable
from jupyter_serving.processes import Identity
from jupyter_serving.registry.reference import parse


@asynccontextmanager
async def running(idle: float = 60.0) -> AsyncIterator[Registrar]:
    own = Registrar(idle)
    try:
        yield own
    finally:
        await own.close()


def pid_of(registrar: Registrar) -> int:
    assert registrar._reading is not None
    return registrar._reading.process.pid


def gone(pid: int) -> bool:
    found = Identity.of(pid)
    return found is None or not found.alive()


def test_questions_side_by_side_are_answered_by_one_process_and_errors_come_as_they_are(
    zoo: Zoo, tmp_path: Path
) -> None:
    uri, registry = zoo.doubles(), Registry(tracking_uri=zoo.uri)
    name, _, version = uri.removeprefix("models:/").rpartition("/")

    async def ask() -> None:
        async with running() as own:
            found, missing, unreachable = await asyncio.gather(
                own.resolve(parse(uri), registry),
                own.resolve(parse("models:/nothing-of-this-name/1"), registry),
                own.resolve(parse(uri), Registry(tracking_uri=f"sqlite:///{tmp_path}/none.db")),
                return_exceptions=True,
            )
            assert (found.name, found.version) == (name, version)  # type: ignore[union-attr]
            assert isinstance(missing, NotFound)
            assert "nothing-of-this-name" in missing.message
            assert missing.hint
            assert isinstance(unreachable, RegistryUnreachable)
            told: list[str] = []
            digest = await own.fetch(found, registry, tmp_path / "models", told.append)  # type: ignore[arg-type]
            assert (tmp_path / "models" / digest.removeprefix("sha256:")).is_dir()
            assert told[-1] == "verifying the files"

    asyncio.run(ask())


def test_it_ends_when_nothing_was_asked_for_a_while_and_comes_back_with_the_next_question(
    zoo: Zoo,
) -> None:
    reference, registry = parse(zoo.doubles()), Registry(tracking_uri=zoo.uri)

    async def ask() -> None:
        async with running(idle=0.05) as own:
            await own.resolve(reference, registry)
            first = pid_of(own)
            await asyncio.to_thread(until, lambda: gone(first), what="the end of the idle reader")
            await own.resolve(reference, registry)

    asyncio.run(ask())


def test_a_reader_that_is_killed_is_told_and_replaced(zoo: Zoo) -> None:
    reference, registry = parse(zoo.doubles()), Registry(tracking_uri=zoo.uri)

    async def ask() -> None:
        async with running() as own:
            question = asyncio.create_task(own.warm())
            while own._reading is None:  # noqa: ASYNC110 (it appears within the first steps of the task)
                await asyncio.sleep(0)
            os.kill(pid_of(own), signal.SIGKILL)
            with pytest.raises(RegistryUnreachable, match="killed by signal 9"):
                await question
            assert (await own.resolve(reference, registry)).version

    asyncio.run(ask())


def test_it_ends_with_a_controller_that_is_killed() -> None:
    script = textwrap.dedent("""
        import asyncio
        from jupyter_serving.controller.registrar import Registrar

        async def main():
            own = Registrar(600.0)
            asyncio.create_task(own.warm())
            while own._reading is None:
                await asyncio.sleep(0)
            print(own._reading.process.pid, flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    until(lambda: gone(child), what="the end of the reader")
