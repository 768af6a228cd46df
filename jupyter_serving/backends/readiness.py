"""One HTTP question to a replica over its unix socket: is it ready?"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StartFailed
from .making import Import, imports_of

_DETAILS = ("batch", "fast_path", "workers", "workers_reason", "memory", "first")


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of ``GET /health/ready``: HTTP status and body."""

    status: int
    body: dict[str, Any]

    @property
    def ready(self) -> bool:
        """True when every slot is warm."""
        return self.status == 200

    @property
    def failed(self) -> bool:
        """True when the model could not be loaded: waiting longer changes nothing."""
        return self.status == 503 and self.body.get("error_code") == "INTERNAL_ERROR"

    @property
    def slots(self) -> int:
        """Requests that the replica serves at a time."""
        return int(self.body.get("slots") or 0)

    @property
    def capacity(self) -> int:
        """Requests that it takes at a time: more than ``slots`` where it batches."""
        return int(self.body.get("capacity") or self.slots)

    @property
    def details(self) -> dict[str, Any]:
        """How it serves: ``batch``, ``fast_path``, ``workers``, as far as it tells."""
        return {name: self.body[name] for name in _DETAILS if name in self.body}

    @property
    def phases(self) -> dict[str, float]:
        """Seconds of each phase of its start."""
        return {str(k): float(v) for k, v in (self.body.get("phases") or {}).items()}

    @property
    def phase(self) -> str:
        """The phase in which the load failed; "" where it did not, or nobody could tell."""
        return str(self.body.get("phase") or "")

    @property
    def imports(self) -> tuple[Import, ...]:
        """The slowest imports of its load."""
        return imports_of(self.body.get("imports"))

    @property
    def modules(self) -> list[str]:
        """Modules that its load imported."""
        return [str(name) for name in self.body.get("modules") or []]


async def ask(socket: Path, wait: float, patience: float = 5.0) -> Readiness:
    """Ask the replica behind ``socket``; it answers when it is ready or has failed, or after ``wait`` seconds.

    ``patience`` is how much longer than ``wait`` the answer may take.

    Raises:
        OSError: nobody listens there, or the connection broke.
        TimeoutError: no answer.
        StartFailed: the answer is not what a replica says.
    """
    async with asyncio.timeout(wait + patience):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        try:
            request = f"GET /health/ready?wait={wait:.3f} HTTP/1.1\r\nhost: replica\r\nconnection: close\r\n\r\n"
            writer.write(request.encode())
            return await _answer(reader)
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> Readiness:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        body = await reader.readexactly(int(fields["content-length"]))
        return Readiness(int(head[0].split()[1]), json.loads(body))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the replica closed the connection") from error
    except (LookupError, ValueError, asyncio.LimitOverrunError) as error:
        raise StartFailed(
            f"What answers on the replica's socket is no replica: {error}."
        ) from error
