"""What happened: events of the store, and the log files of builds and replicas."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .records import EndpointRecord, EventRecord

TAIL_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class BuildLog:
    """The build log of one entity of one config version."""

    path: Path
    clock: Callable[[], float]

    def write(self, line: str) -> None:
        """Append a line with its time."""
        stamp = datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self.path.open("a") as file:
            file.write(f"{stamp} {line}\n")


class Journal:
    """Events and log files, by endpoint id. ``progress`` holds the present line of a running update."""

    def __init__(
        self, logs: Path, log_max_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._logs, self._limit, self._clock = logs, log_max_bytes, clock
        self.progress: dict[str, str] = {}

    def event(
        self,
        endpoint: EndpointRecord,
        kind: str,
        message: str,
        entity: str = "",
        details: dict[str, Any] | None = None,
    ) -> EventRecord:
        """Make an event, to be stored with the change that it tells."""
        return EventRecord(
            endpoint=endpoint.id,
            timestamp=int(self._clock() * 1000),
            type=kind,
            message=message,
            served_entity=entity,
            details=details or {},
        )

    def build_log(self, endpoint: str, entity: str, version: int) -> BuildLog:
        """Build log of an entity of a config version; its directory exists."""
        return BuildLog(self._folder(endpoint) / f"{entity}.build-{version}.log", self._clock)

    def service_log(self, endpoint: str, entity: str) -> Path:
        """Log of all replicas of an entity; moved aside once when it has grown past the limit."""
        path = self._folder(endpoint) / f"{entity}.service.log"
        if path.exists() and path.stat().st_size > self._limit:
            path.replace(path.with_suffix(".log.1"))
        return path

    def read_service(self, endpoint: str, entity: str) -> str:
        """The end of the service log; "" where nothing has run."""
        return _tail(self._folder(endpoint) / f"{entity}.service.log")

    def read_build(self, endpoint: str, entity: str, version: int) -> str:
        """The end of a build log; "" where nothing was built."""
        return _tail(self._folder(endpoint) / f"{entity}.build-{version}.log")

    def remove(self, endpoint: str) -> None:
        """Remove the logs of an endpoint."""
        self.progress.pop(endpoint, None)
        shutil.rmtree(self._logs / endpoint, ignore_errors=True)

    def sweep(self, endpoints: Collection[str]) -> None:
        """Remove the logs of what is no endpoint any more: a crash came between its removal and theirs."""
        # Folders first: one that is made meanwhile belongs to an endpoint that is among them already.
        folders = [path for path in self._logs.glob("*") if path.is_dir()]
        for folder in folders:
            if folder.name not in endpoints:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, endpoint: str) -> Path:
        folder = self._logs / endpoint
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
