"""A controller that kills itself at a named checkpoint; ``python crashing.py jupyter_serving.controller``.

This process imports the controller once and forks one per line ``start <data> <folder>`` of its standard input, so that
a hundred restarts cost little; it answers with the pid. A checkpoint is the moment before and after each commit of the
store and each effect of the backend. While ``<folder>/armed`` exists (a serial number and a target, "" for none), each
checkpoint that is passed is a line of ``<folder>/passed``; at the target, a name and which occurrence of it, the
process kills itself with SIGKILL.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from jupyter_serving.api import Registry
from jupyter_serving.backends.base import Handle, ReplicaSpec, Started
from jupyter_serving.backends.process import ProcessBackend
from jupyter_serving.controller import app, registrar
from jupyter_serving.controller.records import (
    ConfigRecord,
    EndpointRecord,
    EventRecord,
    Record,
    ReplicaRecord,
)
from jupyter_serving.controller.store import Statement, Store
from jupyter_serving.places import DATA_DIR_VARIABLE
from jupyter_serving.registry import resolve
from jupyter_serving.registry.reference import ModelReference


class Checkpoints:
    """Counts what is passed and dies where it is told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._serial = ""
        self._seen: Counter[str] = Counter()

    def passed(self, name: str) -> None:
        """The process is at a checkpoint."""
        try:
            serial, _, target = (self._folder / "armed").read_text().partition(" ")
        except OSError:
            return
        if serial != self._serial:
            self._serial, self._seen = serial, Counter()
        self._seen[name] += 1
        here = f"{name} #{self._seen[name]}"
        with (self._folder / "passed").open("a") as file:
            file.write(f"{serial} {here}\n")
        if here == target:
            os.kill(os.getpid(), signal.SIGKILL)


def describe(records: Iterable[Record], removals: Iterable[Statement]) -> str:
    """What a commit does, in words that are the same in every run. ``log`` where it changes no live record."""
    records = list(records)
    words = [r.type for r in records if isinstance(r, EventRecord)]
    for record in records:
        match record:
            case EndpointRecord():
                words.append(f"endpoint-{record.wanted}-{record.update}")
            case ConfigRecord():
                entity = record.entities[0]
                words.append(f"config-{bool(entity.digest)}-{entity.environment is not None}")
            case ReplicaRecord():
                known = "pid" if "pid" in record.handle else "handle" if record.handle else "new"
                words.append(f"replica-{record.phase}-{known}")
    words += sorted({statement.split()[2] for statement, _ in removals})
    return "commit " + ("+".join(words) or "log")


def instrument(checkpoints: Checkpoints) -> None:
    """Make the store's commits and the backend's effects checkpoints."""
    write, start, stop = Store._write, ProcessBackend.start, ProcessBackend.stop

    def checked_write(self: Store, records: Any, removals: Any) -> None:
        records, removals = list(records), list(removals)
        name = describe(records, removals)
        checkpoints.passed(f"before {name}")
        write(self, records, removals)
        checkpoints.passed(f"after {name}")

    async def checked_start(self: ProcessBackend, spec: ReplicaSpec) -> AsyncIterator[Started]:
        checkpoints.passed("before start")
        steps = start(self, spec)
        try:
            async for item in steps:
                checkpoints.passed(f"after start gave {item.phase}")
                yield item
                checkpoints.passed(f"before start goes on from {item.phase}")
        finally:
            await steps.aclose()  # type: ignore[attr-defined]

    async def checked_stop(self: ProcessBackend, handle: Handle, grace: float) -> None:
        checkpoints.passed("before stop")
        await stop(self, handle, grace)
        checkpoints.passed("after stop")

    Store._write = checked_write  # type: ignore[method-assign]
    ProcessBackend.start = checked_start  # type: ignore[method-assign]
    ProcessBackend.stop = checked_stop  # type: ignore[method-assign]


def control(data: Path, folder: Path) -> None:
    """In the child: become a controller of ``data``."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.environ[DATA_DIR_VARIABLE] = str(data)
    log = os.open(data / "logs" / "controller.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    logging.shutdown()
    instrument(Checkpoints(folder))
    # A reader of its own would import MLflow anew for each controller: what is imported already answers instead.
    registrar.Registrar.resolve = _resolve_here  # type: ignore[method-assign]
    code = 70
    try:
        code = app.main()
    finally:
        os._exit(code)


async def _resolve_here(
    self: registrar.Registrar, reference: ModelReference, registry: Registry
) -> resolve.Resolved:
    return await asyncio.to_thread(resolve.resolve, reference, registry)


def main() -> None:
    """Fork a controller for each line."""
    # What a controller imports when it first resolves a model: seconds, and the same each time.
    for module in ("model_registry", "tracking"):
        importlib.import_module(f"mlflow.store.{module}.sqlalchemy_store")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        _, data, folder = line.split()
        pid = os.fork()
        if pid == 0:
            control(Path(data), Path(folder))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
