"""Make, share and verify the environments of models."""

from __future__ import annotations

import asyncio
import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import StagingFailed
from ..places import Places
from ..settings import Settings
from . import failures, kernel, lock, shelf
from . import python as interpreters
from .buildlog import BuildLog
from .bytecode import Bytecode
from .environment import Environment
from .installed import Installed, inspect
from .python import Interpreter
from .shelf import Shelf
from .spec import ModelRequirements, parsed
from .uv import Uv, find_uv

Progress = Callable[[str], None]
# What makes the runtime fast; it works without them.
RUNTIME_EXTRAS = ("uvloop", "httptools", "orjson")


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that decides what an environment is."""

    key: str
    lock: str
    wanted: ModelRequirements
    interpreter: Interpreter
    extras: tuple[str, ...]


class Stager:
    """Gives each model an environment: the kernel's where it fits exactly, else one staged with uv."""

    def __init__(self, places: Places, settings: Settings) -> None:
        self._places, self._settings = places, settings
        self._shelf = Shelf(places.environments)
        self._bytecode = Bytecode()
        self._building: dict[str, asyncio.Task[Environment]] = {}
        self._waiting: dict[str, int] = {}
        self._swept: asyncio.Task[list[Path]] | None = None

    async def stage(
        self, model: Path, kernel_python: Path | None, log: Path, progress: Progress
    ) -> Environment:
        """Return a ready environment for the model directory ``model``.

        Args:
            model: model directory with its ``MLmodel`` and requirements.
            kernel_python: interpreter of the kernel that logged or deploys the model; used as it is where it fits.
            log: build log; every line is appended with its time since the start, in seconds.
            progress: called with one short line per phase, from the event loop's thread.

        Raises:
            StagingFailed: no Python, no solution, no index, no space; the message holds the useful line.
        """
        build = BuildLog(log, progress)
        try:
            await self._sweep(build)
            wanted = await asyncio.to_thread(ModelRequirements.read, model)
            for note in wanted.notes:
                build.line(note)
            found = await self._kernel(wanted, kernel_python, build)
            environment = found or await self._staged(wanted, kernel_python, build)
        except StagingFailed as error:
            build.phase(f"failed: {error}")
            raise
        except OSError as error:
            raise self._told(error, build) from error
        self._bytecode.want(environment)
        build.phase(f"environment {environment.key} ({environment.kind}) is ready")
        return environment

    async def compiled(self) -> None:
        """Wait for the background compilation of bytecode; for tests and for an image's build."""
        await self._bytecode.wait()

    async def close(self) -> None:
        """Cancel staging and background compilation; staged environments stay."""
        tasks = list(self._building.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._bytecode.close()

    async def _sweep(self, build: BuildLog) -> None:
        if self._swept is None:
            self._places.environments.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._swept = asyncio.create_task(asyncio.to_thread(self._shelf.sweep))
            for path in await asyncio.shield(self._swept):
                build.line(f"removed {path.name}, which an ended process left half made")
        await asyncio.shield(self._swept)

    async def _kernel(
        self, wanted: ModelRequirements, python: Path | None, build: BuildLog
    ) -> Environment | None:
        if python is None:
            return None
        build.phase("comparing the kernel's environment with the model's requirements")
        try:
            environment, reasons = await kernel.usable(wanted, python, self._places.environments)
        except StagingFailed as error:
            build.line(f"{error} Staging an environment.")
            return None
        if reasons:
            build.line(f"{'; '.join(reasons)}: staging an environment")
        return environment

    async def _staged(
        self, wanted: ModelRequirements, kernel_python: Path | None, build: BuildLog
    ) -> Environment:
        if wanted.conda_only:
            raise StagingFailed(
                f"The model needs packages that only conda has: {', '.join(wanted.conda_only)}.",
                hint="Deploy it from a kernel whose environment has them and the model's other requirements, or log "
                "it with pip requirements.",
            )
        cwd, binary = self._places.environments, find_uv()
        interpreter = await interpreters.find(
            wanted.python,
            kernel_python,
            binary,
            cwd,
            substitute=self._settings.allow_python_substitute,
        )
        if wanted.python and interpreter.version != wanted.python:
            build.line(f"Python {wanted.python} is wanted, {interpreter.version} is used")
        plan = await self._plan(wanted, interpreter, binary, build)
        ready = await self._verified(plan.key, build)
        return ready or await self._shared(plan, binary, build)

    async def _plan(
        self, wanted: ModelRequirements, interpreter: Interpreter, binary: str, build: BuildLog
    ) -> _Plan:
        """Resolve the requirements, or take the lock that the same requirements were resolved to before."""
        base = await inspect(interpreter.path, self._places.environments)
        files = await asyncio.to_thread(_contents, wanted)
        asked = "\n".join([*wanted.requirements, *(f"-c {c}" for c in wanted.constraints)])
        about = (interpreter.version, base.platform, files)
        request = lock.lock_hash(asked, *about, wanted.options)
        kept = self._places.environments / "locks" / f"{request[:32]}.txt"
        try:
            text = _named(await asyncio.to_thread(kept.read_text), files)
            build.line("the same requirements were resolved before: their lock is used")
        except OSError:
            text = await self._resolved(wanted, interpreter, binary, build)
            await asyncio.to_thread(_keep, kept, _unnamed(text, files))
        locked = {r.name.lower() for r in parsed(text.splitlines())}
        extras = tuple(
            x for x in (*RUNTIME_EXTRAS, *wanted.build) if x.split("==")[0] not in locked
        )
        key = lock.lock_hash(text, *about, (*extras, *wanted.options))[:16]
        return _Plan(key, text, wanted, interpreter, extras)

    async def _resolved(
        self, wanted: ModelRequirements, interpreter: Interpreter, binary: str, build: BuildLog
    ) -> str:
        build.phase(
            f"resolving {len(wanted.requirements)} requirements for Python {interpreter.version}"
        )
        place = self._shelf.temporary()
        try:
            source = place / "requirements.in"
            source.write_text("\n".join([*wanted.options, *wanted.requirements, ""]))
            constraints = place / "constraints.txt" if wanted.constraints else None
            if constraints is not None:
                constraints.write_text("\n".join([*wanted.constraints, ""]))
            uv = Uv(binary, place, build)
            return await uv.compile(source, place / "lock.txt", interpreter.path, constraints)
        finally:
            await _removed(place)

    async def _verified(self, key: str, build: BuildLog) -> Environment | None:
        """The environment if it stands and is still what its marker says."""
        found = await asyncio.to_thread(self._shelf.read, key)
        if found is None:
            return None
        try:
            installed = await inspect(found.python, self._places.environments)
        except StagingFailed as error:
            build.line(f"{error} Staging it again.")
            return None
        if installed.fingerprint != found.fingerprint:
            build.line(f"environment {key} was changed after it was made: staging it again")
            return None
        return found

    async def _shared(self, plan: _Plan, binary: str, build: BuildLog) -> Environment:
        """Make the environment once for all who wait for it; the last one who gives up cancels it."""
        task = self._building.get(plan.key)
        if task is None:
            task = asyncio.create_task(self._make(plan, binary, build))
            self._building[plan.key] = task
        else:
            build.phase(
                f"waiting for environment {plan.key}, which is being made for another model"
            )
        self._waiting[plan.key] = self._waiting.get(plan.key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[plan.key] -= 1
            if not self._waiting[plan.key]:
                del self._waiting[plan.key], self._building[plan.key]
                task.cancel()
                await asyncio.wait([task])

    async def _make(self, plan: _Plan, binary: str, build: BuildLog) -> Environment:
        count = len(lock.normalise(plan.lock).splitlines())
        build.phase(f"installing {count} packages for Python {plan.interpreter.version}")
        place = self._shelf.temporary()
        try:
            uv = Uv(binary, place, build)
            lines = place / "lock.txt"
            lines.write_text("\n".join([*plan.wanted.options, plan.lock]))
            python = await uv.venv(place / "environment", plan.interpreter.path)
            await uv.install(python, lines)
            missing = await uv.add(python, plan.extras)
            if missing:
                build.line(
                    f"{', '.join(missing)} cannot be added: the runtime works without, more slowly"
                )
            installed = await inspect(python, self._places.environments)
            return await asyncio.to_thread(self._publish, place, plan, installed, build)
        finally:
            await _removed(place)

    def _publish(
        self, place: Path, plan: _Plan, installed: Installed, build: BuildLog
    ) -> Environment:
        made = place / "environment"
        marker = {
            "version": installed.python,
            "lock": plan.lock,
            "fingerprint": installed.fingerprint,
            "created": time.time(),
            "bytes": shelf.size_of(made),
            "seconds": round(build.elapsed, 2),
            "extras": list(plan.extras),
        }
        return self._shelf.publish(made, plan.key, marker)

    def _told(self, error: OSError, build: BuildLog) -> StagingFailed:
        root = self._places.environments
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            told = failures.disk_full(str(root), shutil.disk_usage(root.parent).free)
        else:
            told = StagingFailed(
                f"The model's environment could not be made: {error}.",
                hint=f"Check permissions and free space of {root}.",
            )
        build.phase(f"failed: {told}")
        return told


def _contents(wanted: ModelRequirements) -> dict[str, str]:
    return {str(path): lock.content_hash(path) for path in wanted.local_files()}


def _unnamed(text: str, files: dict[str, str]) -> str:
    """A lock that holds for every model with the same wheels, wherever they lie."""
    for path, content in files.items():
        text = text.replace(path, f"<{content}>")
    return text


def _named(text: str, files: dict[str, str]) -> str:
    for path, content in files.items():
        text = text.replace(f"<{content}>", path)
    return text


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


async def _removed(place: Path) -> None:
    """Remove a temporary directory even when the task is being cancelled."""
    await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))
