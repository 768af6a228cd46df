"""The controller's way to model registries: a process that imports MLflow when it is needed, and ends when it is not.

See ``registry.reader`` for the other side. While no deployment comes the controller holds nothing of MLflow.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from .. import errors
from ..api import Registry
from ..errors import Internal, RegistryUnreachable, ServingError
from ..registry.reference import ModelReference
from ..registry.resolve import Resolved

log = logging.getLogger(__name__)
MODULE = "jupyter_serving.registry.reader"
LINE_LIMIT = 1 << 24
END_SECONDS = 2.0
Progress = Callable[[str], None]


@dataclass(slots=True)
class Asked:
    """A question that waits for its answer."""

    answer: asyncio.Future[Any]
    progress: Progress


@dataclass(slots=True)
class Reading:
    """A running reader, and what it was asked. ``left`` ends it when nothing was asked for a while."""

    process: asyncio.subprocess.Process
    asked: dict[int, Asked] = field(default_factory=dict)
    left: asyncio.TimerHandle | None = None
    listening: asyncio.Task[None] | None = None


class Registrar:
    """Resolves and fetches models. ``idle``: seconds without a question after which the reader ends."""

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._numbers = itertools.count()
        self._reading: Reading | None = None
        self._starting = asyncio.Lock()

    async def warm(self) -> None:
        """Have the reader up with MLflow imported: the next question then takes no seconds."""
        await self._ask({"verb": "warm"})

    async def resolve(self, reference: ModelReference, registry: Registry) -> Resolved:
        """As ``registry.resolve.resolve``."""
        question = {
            "verb": "resolve",
            "reference": asdict(reference),
            "registry": msgspec.to_builtins(registry),
        }
        return Resolved(**await self._ask(question))

    async def fetch(
        self, resolved: Resolved, registry: Registry, models: Path, progress: Progress
    ) -> str:
        """As ``registry.resolve.fetch``; returns the digest."""
        question = {
            "verb": "fetch",
            "resolved": asdict(resolved),
            "registry": msgspec.to_builtins(registry),
            "models": str(models),
        }
        return str(await self._ask(question, progress))

    async def close(self) -> None:
        """End the reader, whatever it does."""
        reading, self._reading = self._reading, None
        if reading is None:
            return
        _hang_up(reading)
        try:
            async with asyncio.timeout(END_SECONDS):
                await reading.process.wait()
        except TimeoutError:
            reading.process.kill()
            await reading.process.wait()

    # -- inside --------------------------------------------------------------------------------------

    async def _ask(self, question: dict[str, Any], progress: Progress = lambda _: None) -> Any:
        async with self._starting:
            reading = self._reading
            if reading is None or reading.process.returncode is not None:
                reading = self._reading = await self._start()
            number = next(self._numbers)
            asked = Asked(asyncio.get_running_loop().create_future(), progress)
            reading.asked[number] = asked
            if reading.left is not None:
                reading.left.cancel()
            assert reading.process.stdin is not None
            reading.process.stdin.write(json.dumps({"id": number, **question}).encode() + b"\n")
        try:
            return await asked.answer
        finally:
            reading.asked.pop(number, None)
            if not reading.asked and reading is self._reading:
                loop = asyncio.get_running_loop()
                reading.left = loop.call_later(self._idle, self._leave, reading)

    async def _start(self) -> Reading:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", MODULE),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT,
                start_new_session=True,
            )
        except OSError as error:
            raise Internal(
                f"The process that reads model registries cannot be started: {error}."
            ) from error
        reading = Reading(process)
        reading.listening = asyncio.create_task(self._listen(reading))
        return reading

    async def _listen(self, reading: Reading) -> None:
        assert reading.process.stdout is not None
        while line := await reading.process.stdout.readline():
            _hear(reading, json.loads(line))
        status = await reading.process.wait()
        for asked in reading.asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(_lost(status))

    def _leave(self, reading: Reading) -> None:
        """Nothing was asked for a while: what MLflow holds is free again."""
        if reading is self._reading and not reading.asked:
            self._reading = None
            _hang_up(reading)


def _hang_up(reading: Reading) -> None:
    if reading.left is not None:
        reading.left.cancel()
    assert reading.process.stdin is not None
    with contextlib.suppress(OSError):
        reading.process.stdin.close()


def _hear(reading: Reading, said: dict[str, Any]) -> None:
    asked = reading.asked.get(said["id"])
    if asked is None or asked.answer.done():
        return  # whoever asked is gone
    if "progress" in said:
        asked.progress(said["progress"])
    elif "error" in said:
        asked.answer.set_exception(_raised(said["error"]))
    else:
        asked.answer.set_result(said["result"])


def _raised(error: dict[str, Any]) -> ServingError:
    kind = getattr(errors, error["class"], Internal) if error["class"] else Internal
    fault: ServingError = kind(error["message"], hint=error["hint"])
    return fault


def _lost(status: int) -> RegistryUnreachable:
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return RegistryUnreachable(
        f"The process that reads model registries {how} before it answered.",
        hint="Deploy again; the end of the controller's log may tell why (memory, say).",
    )
