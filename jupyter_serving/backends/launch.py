"""From a replica's spec to its process: forked by a zygote, or an interpreter of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..environments import hints
from ..environments.environment import Environment
from ..errors import StartFailed
from ..places import Places
from ..processes import Identity, boot_id, spawn_detached
from ..settings import Settings
from . import census, environ, guard, tail
from .base import Handle, ReplicaSpec
from .making import Making
from .runtimecopy import copy_runtime
from .zygote import Zygote
from .zygotes import Birth, Zygotes

HARMLESS = frozenset({"joblib", "numpy", "pandas", "scipy", "sklearn"})
LOADERS = frozenset({"mlflow.sklearn", "mlflow.pyfunc.model"})
# How often, and how long apart in seconds, a new process is looked for.
_LOOKS, _LOOK = 20, 0.02


@dataclass(frozen=True, slots=True)
class Launched:
    """A replica's process, and how it came to be."""

    identity: Identity
    making: Making


class Launcher:
    """Starts processes; ``zygotes`` are shared with whoever asks them for exits."""

    def __init__(self, places: Places, settings: Settings, zygotes: Zygotes) -> None:
        self._places, self._settings, self._zygotes = places, settings, zygotes
        self._guard = guard.Guard(places.environments)
        self._runtime: Path | None = None
        self._copying = asyncio.Lock()

    async def handle(self, spec: ReplicaSpec) -> Handle:
        """What is known before anything exists, and enough to find what may come to exist."""
        forked = self._settings.environment_zygotes and sys.platform != "darwin"
        return {
            "backend": "process",
            "id": spec.id,
            "boot": boot_id(),
            "socket": str(self._places.replica_socket(spec.id)),
            "lock": str(self._places.replica_lock(spec.id)),
            # fork is not safe on macOS once system libraries have been used
            "zygote": environ.zygote_key(spec, await self._copied()) if forked else "",
        }

    async def launch(self, spec: ReplicaSpec, handle: Handle, began: float) -> Launched:
        """Start the process; its socket accepts connections soon, or already.

        ``began``: monotonic time at which the start began.

        Raises:
            StartFailed: with the end of the log; nothing was started, or ``handle`` finds it.
        """
        spec.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not handle["zygote"]:
            await self._guard.check(spec.environment)
            order = await self._order(spec, handle)
            identity = await self._alone(spec, handle, order)
            return Launched(identity, Making("none", {"spawn": order["asked"] - began}))
        zygote = await self._zygote(spec, handle["zygote"])
        order = await self._order(spec, handle)
        identity = await zygote.spawn(spec.id, order)
        return Launched(identity, zygote.making(began, order["asked"]))

    async def prepare(self, spec: ReplicaSpec) -> None:
        """Have the zygote that such a replica would be forked from.

        Raises:
            StartFailed: it cannot be started.
        """
        handle = await self.handle(spec)
        if handle["zygote"]:
            await self._zygote(spec, handle["zygote"])

    def learned(self, environment: Environment) -> Path:
        """File of the modules that loads in this environment have taught."""
        return self._places.data / "imports" / f"{environment.key}.json"

    async def _copied(self) -> Path:
        async with self._copying:
            if self._runtime is None:
                self._runtime = await asyncio.to_thread(copy_runtime, self._places.runtime_copy)
        return self._runtime

    async def _zygote(self, spec: ReplicaSpec, key: str) -> Zygote:
        """The zygote, verified: one that was started before its environment changed is replaced once."""
        variables = environ.base_environment(spec.environment.python) | dict(spec.environment_vars)
        learned = self.learned(spec.environment)
        if self._zygotes.connected(key) is None:
            await asyncio.to_thread(hint, learned, spec.model)
        runtime = environ.with_runtime(variables, await self._copied())
        python, environment = spec.environment.python, spec.environment.key
        birth = Birth(key, python, runtime, learned, environment, spec.endpoint)
        zygote, _ = await asyncio.gather(
            self._zygotes.get(birth), self._guard.check(spec.environment)
        )
        if self._is_of(zygote, spec):
            return zygote
        await self._zygotes.end(key)
        zygote = await self._zygotes.get(birth)
        if self._is_of(zygote, spec):
            return zygote
        raise guard.changed(spec.environment)

    def _is_of(self, zygote: Zygote, spec: ReplicaSpec) -> bool:
        # A search path of the user's own adds distributions that are not the environment's.
        own_path = "PYTHONPATH" in spec.environment_vars
        wanted = spec.environment.fingerprint
        return own_path or not wanted or zygote.hello.get("fingerprint") == wanted

    async def _order(self, spec: ReplicaSpec, handle: Handle) -> dict[str, Any]:
        """What the replica's leader is told; ``asked`` is now, on the clock that all processes here share."""
        verdicts = await self._verdicts(spec)
        return {
            "id": spec.id,
            "socket": handle["socket"],
            "lock": handle["lock"],
            "log": str(spec.log),
            "model": str(spec.model),
            "entity": spec.entity,
            "slots": spec.slots,
            "environ": environ.replica_environment(spec),
            "deadline": spec.deadline,
            "stack_trace": spec.stack_trace,
            "cpu_share": environ.threads(spec),
            "batching": dict(spec.batching),
            "nan": "bare" if spec.bare_nan else "null",
            "max_body_bytes": spec.max_body_bytes,
            "memory_bytes": spec.memory_bytes,
            "grace": self._settings.drain_grace_seconds,
            "asked": time.monotonic(),
            **verdicts,
        }

    async def _verdicts(self, spec: ReplicaSpec) -> dict[str, str]:
        """Of an order: the file of what checks found before. Nothing for a model that is not known by its digest."""
        if spec.model.parent != self._places.models:
            return {}
        name = environ.verdicts_name(spec, await self._copied())
        try:
            self._places.verdicts.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return {}  # each start checks
        return {"verdicts": str(self._places.verdicts / name)}

    async def _alone(self, spec: ReplicaSpec, handle: Handle, order: Mapping[str, Any]) -> Identity:
        """Without a zygote: the process reads its order from a file, which its command line names."""
        place = order_file(handle)
        before = tail.size(spec.log)
        variables = environ.with_runtime(environ.replica_environment(spec), await self._copied())
        argv = [str(spec.environment.python), "-m", "serving_runtime", "serve", str(place)]
        await asyncio.to_thread(_write_private, place, json.dumps(order))
        await asyncio.to_thread(spawn_detached, argv, spec.log, variables)
        # A process has no command line for a moment while it becomes another program.
        for _ in range(_LOOKS):
            found = await asyncio.to_thread(census.naming, str(place))
            if found:
                return found[0]
            await asyncio.sleep(_LOOK)
        raise StartFailed(f"The replica ended at once: {tail.useful(spec.log, before)}.")


def hint(learned: Path, model: Path) -> None:
    """Where no load has taught anything yet, have the zygote import what the model's files name.

    Every worker of the first start would import it otherwise. Taught modules are tried in a throw-away fork first;
    a hint is not, so only packages count whose import is known to start no threads and open no device.
    """
    if learned.exists():
        return
    names = [n for n in hints.modules(model) if n.partition(".")[0] in HARMLESS or n in LOADERS]
    if next(model.rglob("*.skops"), None) is not None:
        names.append("skops.io")
    learned.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    learned.write_text(json.dumps(names))


def order_file(handle: Handle) -> Path:
    """The file that holds the order of a replica without a zygote (0600, removed when it is ready)."""
    return Path(handle["lock"]).with_suffix(".json")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
