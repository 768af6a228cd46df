"""A runtime directory with real zygotes and replicas, and a census that nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from services import census, until

from jupyter_serving.backends import Handle, ReplicaSpec, Started
from jupyter_serving.backends.process import ProcessBackend
from jupyter_serving.environments import Environment
from jupyter_serving.places import Places
from jupyter_serving.settings import Settings


@dataclass
class World:
    """One data directory; ``models`` holds the directories of ``models.LOADS``."""

    places: Places
    environment: Environment
    models: Path
    _ids: Iterator[int] = field(default_factory=itertools.count)

    def spec(
        self, model: str = "teller", variables: Mapping[str, str] = {}, **other: Any
    ) -> ReplicaSpec:
        """A replica that was never started before."""
        fields: dict[str, Any] = {
            "id": f"t{next(self._ids)}",
            "endpoint": "e",
            "entity": model,
            "config_version": 1,
            "model": self.models / model,
            "environment": self.environment,
            "slots": 1,
            "threads": 1,
            "environment_vars": variables,
            "deadline": 60.0,
            "stack_trace": True,
        }
        fields["log"] = self.places.logs / f"{fields['id']}.log"
        return ReplicaSpec(**fields | other)

    @contextlib.asynccontextmanager
    async def backend(self, **settings: Any) -> AsyncIterator[ProcessBackend]:
        """A backend, as a controller has one; closed at the end."""
        own = ProcessBackend(self.places, Settings(**settings))
        try:
            yield own
        finally:
            await own.close()

    def processes(self) -> dict[int, str]:
        """Everything of this data directory that lives."""
        return census(self.places)

    def replicas(self) -> dict[int, str]:
        """The same without zygotes at rest."""
        held = {p: c for p, c in self.processes().items() if not _is_zygote(p)}
        return held

    def zygotes(self) -> list[int]:
        """Pids of the zygotes."""
        return [pid for pid in self.processes() if _is_zygote(pid)]

    def files(self, replica: str) -> list[str]:
        """What a replica has in the runtime directory."""
        return [p.name for p in self.places.runtime.iterdir() if p.name.startswith(f"r-{replica}.")]

    def end(self) -> None:
        """End the zygotes and assert that nothing else was there."""

        async def release() -> None:
            async with self.backend() as backend:
                await backend.release()

        asyncio.run(release())
        until(lambda: not self.processes(), what=f"the end of {self.processes()}")
        shutil.rmtree(self.places.runtime)


def _is_zygote(pid: int) -> bool:
    """A replica is forked from a zygote and has its command line, but leads or belongs to a session with a lock."""
    try:
        links = [str(f.readlink()) for f in Path(f"/proc/{pid}/fd").iterdir()]
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return (
        b"\0zygote\0" in line
        and any(link.endswith(".sock.lock") for link in links)
        and not any("/r-" in link and link.endswith(".lock") for link in links)
    )


async def ready(backend: ProcessBackend, spec: ReplicaSpec) -> Started:
    """Start a replica to its readiness."""
    return [step async for step in backend.start(spec)][-1]


async def ask(handle: Handle, *names: str) -> list[str]:
    """Ask a teller for the values of environment variables."""
    transport = httpx.AsyncHTTPTransport(uds=handle["socket"])
    async with httpx.AsyncClient(transport=transport, timeout=60) as client:
        answer = await client.post("http://replica/invocations", json={"inputs": list(names)})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["predictions"])
