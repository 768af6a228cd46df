"""An open loop: requests at given moments, whatever the answers do, each on a connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Answered:
    """One request: seconds from the begin when it was sent, HTTP status (0: none), seconds by part of Server-Timing."""

    at: float
    status: int
    timing: Mapping[str, float]

    @property
    def waited(self) -> float:
        """Seconds from its arrival at the gateway to a slot."""
        return self.timing.get("queue", 0.0) + self.timing.get("cold", 0.0)


def play(
    address: str, path: str, headers: Mapping[str, str], body: bytes, moments: Sequence[float]
) -> tuple[float, list[Answered]]:
    """Send a request at each of ``moments`` (seconds from now); when it began (monotonic), and all answers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    )
    begun = time.monotonic()
    return begun, asyncio.run(_play(address, head.encode() + body, moments, begun))


async def _play(
    address: str, request: bytes, moments: Sequence[float], begun: float
) -> list[Answered]:
    tasks = []
    for moment in sorted(moments):
        left = begun + moment - time.monotonic()
        if left > 0:
            await asyncio.sleep(left)
        tasks.append(asyncio.create_task(_one(address, request, begun)))
    return list(await asyncio.gather(*tasks))


async def _one(address: str, request: bytes, begun: float) -> Answered:
    host, _, port = address.rpartition(":")
    at = time.monotonic() - begun
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(request)
                data = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return Answered(at, 0, {})
    return Answered(at, *told(data))


def told(data: bytes) -> tuple[int, dict[str, float]]:
    """Status and Server-Timing (in seconds) of a whole answer; status 0 where it is none."""
    head = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = head[0].split(" ")
    if len(words) < 2 or not words[1].isdigit():
        return 0, {}
    timing: dict[str, float] = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() != "server-timing":
            continue
        for part in value.split(","):
            what, _, milliseconds = part.strip().partition(";dur=")
            if milliseconds:
                timing[what] = timing.get(what, 0.0) + float(milliseconds) / 1000
    return int(words[1]), timing
